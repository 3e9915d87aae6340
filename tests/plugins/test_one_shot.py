"""One prune before training: by magnitude, and at random."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from small_context import context
from torch import nn

from srf_pruners.one_shot import OneShotMagnitudePruning, RandomPruning
from srf_pruners.options import OneShotOptions
from srframework import Network, Phase

BOTH = pytest.mark.parametrize("pruner", [OneShotMagnitudePruning, RandomPruning])


def attached(pruner, network: Network, seed: int = 1, **options: object):
    made = pruner(OneShotOptions(**options))
    made.attach(network, context(generator=torch.Generator().manual_seed(seed)))
    return made


@pytest.fixture
def network() -> Network:
    """A matrix of 2 x 4, a pooler of 2 x 2 and a classifier of 1 x 2."""
    model = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    values = [[[0.5, -0.1, 0.3, 0.9], [-0.2, 0.7, -0.8, 0.4]], [[1.0, 2.0], [3.0, 4.0]], [[0.25, -0.15]]]
    with torch.no_grad():
        for module, weight in zip(model, values, strict=True):
            module.weight.copy_(torch.tensor(weight))
    return Network(model, None, {"0": "encoder", "1": "pooler", "2": "classifier"})


def mean_of_masks(weight: torch.Tensor, draws: int, **options: object) -> torch.Tensor:
    """Share of the draws in which each entry is kept."""
    total = torch.zeros(weight.shape)
    for seed in range(draws):
        module = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            module.weight.copy_(weight)
        network = Network(nn.Sequential(module), None, {"0": "encoder"})
        total += attached(RandomPruning, network, seed, **options).masks()["0"]
    return total / draws


@pytest.mark.parametrize(("key", "value"), [("sparsity", 1.0), ("sparsity", -0.1), ("scope", "row"), ("step", 0.1)])
def test_values_out_of_range_and_unknown_keys_are_refused(key, value):
    with pytest.raises(ValidationError) as refused:
        OneShotOptions(**{key: value})
    assert [error["loc"] for error in refused.value.errors()] == [(key,)]


class TestMagnitude:
    @pytest.mark.parametrize(
        ("options", "kept"),
        [
            ({"sparsity": 0.0}, {"0": [[1, 1, 1, 1], [1, 1, 1, 1]], "2": [[1, 1]]}),
            ({"sparsity": 0.5}, {"0": [[1, 0, 0, 1], [0, 1, 1, 0]], "2": [[1, 0]]}),
            ({"sparsity": 0.5, "classifier": False}, {"0": [[1, 0, 0, 1], [0, 1, 1, 0]]}),
            ({"sparsity": 0.5, "scope": "global"}, {"0": [[1, 0, 0, 1], [0, 1, 1, 1]], "2": [[0, 0]]}),
            (
                {"sparsity": 0.5, "scope": "global", "pooler": True},
                {"0": [[0, 0, 0, 1], [0, 1, 1, 0]], "1": [[1, 1], [1, 1]], "2": [[0, 0]]},
            ),
            ({"sparsity": 0.99}, {"0": [[0, 0, 0, 0], [0, 0, 0, 0]], "2": [[0, 0]]}),
        ],
    )
    def test_the_smallest_go_when_it_is_attached(self, network, options, kept):
        before = {name: weight.detach().clone() for name, weight in network.matrices().items()}
        pruner = attached(OneShotMagnitudePruning, network, **options)
        assert {name: mask.int().tolist() for name, mask in pruner.masks().items()} == kept
        for name, weight in network.matrices().items():
            assert torch.equal(weight, before[name] * pruner.masks().get(name, torch.ones(())))


class TestRandom:
    @pytest.mark.parametrize("sparsity", [0.0, 0.2, 0.5, 0.9, 0.999])
    def test_the_count_is_exact_in_its_scope(self, network, sparsity):
        local = attached(RandomPruning, network, sparsity=sparsity, pooler=True).masks()
        assert [int((~mask).sum()) for mask in local.values()] == [round(sparsity * size) for size in (8, 4, 2)]
        together = attached(RandomPruning, network, sparsity=sparsity, pooler=True, scope="global").masks()
        assert together.pruned == round(sparsity * 14)

    def test_the_seed_decides_and_nothing_else(self, make_network):
        masks = []
        for seed in (1, 1, 2):
            net = make_network()
            with torch.no_grad():
                for weight in net.matrices().values():
                    weight.mul_(len(masks) - 5)
            masks.append(attached(RandomPruning, net, seed, sparsity=0.5).masks())
        assert masks[0] == masks[1]
        assert masks[0] != masks[2]

    def test_every_entry_is_as_likely_as_every_other_whatever_its_weight(self):
        share = mean_of_masks(torch.tensor([[0.0, 1.0, 100.0], [-5.0, 0.0, 1e-9]]), 1500, sparsity=1 / 3)
        # Six standard errors of a share of 2/3 in 1500 draws.
        torch.testing.assert_close(share, torch.full((2, 3), 2 / 3), rtol=0, atol=6 * (2 / 9 / 1500) ** 0.5)


class TestRun:
    @BOTH
    def test_the_mask_stays_and_what_is_left_is_trained(self, train, make_network, pruner):
        net = make_network()
        before = {name: weight.detach().clone() for name, weight in net.matrices().items()}
        made = pruner(OneShotOptions(sparsity=0.6))
        ran = train(made, network=net, max_steps=6, eval_every=2, weight_decay=0.1, metrics=[0.1, 0.9, 0.5])
        assert ran.final.step == 4, "the best is the result"
        assert ran.final.mask == made.masks()
        for name, mask in ran.final.mask.items():
            weight = ran.final.weights[f"{name}.weight"]
            assert torch.equal(weight == 0, ~mask)
            assert int((~mask).sum()) == round(0.6 * mask.numel())
            assert (weight[mask] != before[name][mask]).any()

    @BOTH
    def test_all_steps_are_one_phase(self, pruner):
        made = pruner(OneShotOptions())
        assert made.phases(10) == [Phase(10)]
        assert made.keeps_best

    def test_a_random_run_is_that_of_its_seed(self, train):
        masks = [train(RandomPruning(OneShotOptions()), seed=seed, max_steps=1).final.mask for seed in (1, 1, 2)]
        assert masks[0] == masks[1]
        assert masks[0] != masks[2]
