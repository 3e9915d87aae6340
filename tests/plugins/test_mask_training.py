"""Mask training: on matrices of a few entries, and in the training loop."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from srf_pruners.arithmetic import magnitude_mask
from srf_pruners.mask import MaskTraining
from srf_pruners.options import MaskOptions
from srframework import Mask, Network

ENCODER = "bert.encoder.layer.0"
IN_ENCODER = {
    *(f"{ENCODER}.attention.self.{name}" for name in ("query", "key", "value")),
    f"{ENCODER}.attention.output.dense",
    f"{ENCODER}.intermediate.dense",
    f"{ENCODER}.output.dense",
}


def small_network() -> Network:
    """Matrices of 3 x 4, 1 x 3 and 2 x 1."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1), nn.Linear(1, 2))
    return Network(model, None, {"0": "encoder", "2": "pooler", "3": "classifier"})


def attached(network: Network, **options: object) -> MaskTraining:
    pruner = MaskTraining(MaskOptions(**({"pooler": True} | options)))
    pruner.attach(network, total_steps=10)
    return pruner


def set_scores(pruner: MaskTraining, scores: list[torch.Tensor]) -> None:
    with torch.no_grad():
        for parameter, value in zip(pruner.parameters(), scores, strict=True):
            parameter.copy_(value)


def forward(network: Network) -> torch.Tensor:
    return network.model(torch.linspace(-1, 1, 20).reshape(5, 4))


class TestOptions:
    def test_the_defaults_are_the_papers(self):
        options = MaskOptions()
        assert (options.phi, options.alpha, options.classifier, options.pooler) == (0.01, 2.0, True, False)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("sparsity", 1.0),
            ("sparsity", -0.1),
            ("sparsity", 70.0),
            ("sparsity", float("nan")),
            ("sparsity", "0.7"),
            ("phi", 0.0),
            ("alpha", 1.0),
            ("sparsty", 0.5),
        ],
    )
    def test_values_out_of_range_and_unknown_keys_are_refused(self, key, value):
        with pytest.raises(ValidationError) as refused:
            MaskOptions(**{key: value})
        assert [error["loc"] for error in refused.value.errors()] == [(key,)]


class TestAttach:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"pooler": False}, IN_ENCODER | {"classifier"}),
            ({"pooler": True}, IN_ENCODER | {"classifier", "bert.pooler.dense"}),
            ({"pooler": False, "classifier": False}, IN_ENCODER),
        ],
    )
    def test_the_parts_that_the_options_name_are_masked(self, make_network, options, expected):
        assert set(attached(make_network(), **options).masks()) == expected

    def test_only_the_scores_are_trained(self, make_network):
        network = make_network()
        pruner = attached(network)
        trained = [parameter for parameter in network.model.parameters() if parameter.requires_grad]
        assert {id(each) for each in trained} == {id(each) for each in pruner.parameters()}
        assert [each.shape for each in pruner.parameters()] == [each.shape for each in network.matrices().values()]

    @pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.7, 0.99])
    def test_it_starts_from_the_magnitude_mask(self, sparsity):
        network = small_network()
        weights = {name: weight.detach().clone() for name, weight in network.matrices().items()}
        pruner = attached(network, sparsity=sparsity)
        assert pruner.masks() == Mask({name: magnitude_mask(weight, sparsity) for name, weight in weights.items()})

    def test_scores_start_at_zero_and_alpha_phi(self):
        pruner = attached(small_network(), sparsity=0.5, phi=0.1, alpha=3.0)
        for scores, mask in zip(pruner.parameters(), [pruner.masks()[name] for name in "023"], strict=True):
            torch.testing.assert_close(scores.detach(), mask * 0.3)

    def test_the_weights_of_the_modules_show_the_mask(self):
        network = small_network()
        weights = {name: weight.detach().clone() for name, weight in network.matrices().items()}
        pruner = attached(network, sparsity=0.5)
        for name, weight in network.matrices().items():
            assert torch.equal(weight, weights[name] * pruner.masks()[name])

    def test_the_forward_pass_is_that_of_the_masked_model(self):
        network, reference = small_network(), small_network()
        pruner = attached(network, sparsity=0.5)
        pruner.masks().apply_(reference.model)
        assert torch.equal(forward(network), forward(reference))


class TestGradient:
    def test_the_scores_get_autograds_gradient_of_an_explicit_mask(self):
        network, reference = small_network(), small_network()
        pruner = attached(network, sparsity=0.5)
        forward(network).exp().sum().backward()
        masks = {name: mask.float().requires_grad_() for name, mask in pruner.masks().items()}
        replaced = {f"{name}.weight": mask * reference.matrices()[name].detach() for name, mask in masks.items()}
        inputs = torch.linspace(-1, 1, 20).reshape(5, 4)
        torch.func.functional_call(reference.model, replaced, (inputs,)).exp().sum().backward()
        for (name, mask), scores in zip(masks.items(), pruner.parameters(), strict=True):
            torch.testing.assert_close(scores.grad, mask.grad)
            assert scores.grad[~pruner.masks()[name]].count_nonzero() > 0

    def test_a_pruned_weight_comes_back_when_its_score_rises(self):
        network = small_network()
        pruner = attached(network, sparsity=0.5)
        pruned = ~pruner.masks()["0"]
        set_scores(pruner, [pruned.float(), *[each.detach() for each in pruner.parameters()[1:]]])
        pruner.refresh(1)
        assert torch.equal(pruner.masks()["0"], pruned)
        assert torch.equal(network.matrices()["0"] != 0, pruned)


def scores_of_small_network() -> st.SearchStrategy[list[torch.Tensor]]:
    few = st.sampled_from([-0.02, -0.0, 0.0, 0.01, 0.02])
    elements = st.one_of(few, st.floats(-(2.0**60), 2.0**60, width=32))

    def one(shape: tuple[int, int]) -> st.SearchStrategy[torch.Tensor]:
        equal = elements.map(lambda value: torch.full(shape, value))
        return st.one_of(equal, arrays.arrays("float32", shape, elements=elements).map(torch.from_numpy))

    return st.tuples(one((3, 4)), one((1, 3)), one((2, 1))).map(list)


class TestRefresh:
    @given(rounds=st.lists(scores_of_small_network(), min_size=1, max_size=3), sparsity=st.floats(0, 0.999))
    def test_whatever_the_scores_every_matrix_has_exactly_its_count(self, rounds, sparsity):
        network = small_network()
        pruner = attached(network, sparsity=sparsity)
        for step, scores in enumerate(rounds):
            set_scores(pruner, scores)
            pruner.refresh(step)
            for name, weight in network.matrices().items():
                count = round(sparsity * weight.numel())
                assert int((~pruner.masks()[name]).sum()) == count
                assert int((weight == 0).sum()) == count

    def test_the_highest_scores_are_kept(self):
        network = small_network()
        pruner = attached(network, sparsity=0.5)
        ranks = torch.tensor([[3.0, 9.0, 1.0, 7.0], [-2.0, 8.0, 0.0, -1.0], [5.0, 4.0, 2.0, 6.0]])
        set_scores(pruner, [ranks, torch.tensor([[0.1, 0.3, 0.2]]), torch.tensor([[2.0], [1.0]])])
        pruner.refresh(1)
        kept = {name: mask.int().tolist() for name, mask in pruner.masks().items()}
        assert kept == {"0": [[0, 1, 0, 1], [0, 1, 0, 0], [1, 1, 0, 1]], "2": [[0, 1, 0]], "3": [[1], [0]]}

    def test_equal_scores_keep_the_larger_weights(self):
        network = small_network()
        weights = {name: weight.detach().clone() for name, weight in network.matrices().items()}
        pruner = attached(network, sparsity=0.5)
        set_scores(pruner, [torch.full_like(each, 0.02) for each in pruner.parameters()])
        pruner.refresh(1)
        assert pruner.masks() == Mask({name: magnitude_mask(weight, 0.5) for name, weight in weights.items()})


class TestState:
    def moved(self, pruner: MaskTraining, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        set_scores(pruner, [torch.rand(each.shape, generator=draw) for each in pruner.parameters()])
        pruner.refresh(seed)

    def test_restore_brings_back_every_bit(self):
        network = small_network()
        pruner = attached(network, sparsity=0.5)
        self.moved(pruner, 1)
        state, mask, output = pruner.state(), pruner.masks(), forward(network)
        bits = {name: value.clone() for name, value in state.items()}
        self.moved(pruner, 2)
        assert pruner.masks() != mask
        pruner.restore(state)
        assert pruner.masks() == mask
        assert torch.equal(forward(network), output)
        assert all(torch.equal(value, bits[name]) for name, value in pruner.state().items())

    def test_a_state_is_a_copy(self):
        pruner = attached(small_network(), sparsity=0.5)
        state = pruner.state()
        bits = {name: value.clone() for name, value in state.items()}
        self.moved(pruner, 1)
        assert all(torch.equal(value, bits[name]) for name, value in state.items())
        pruner.restore(state)
        self.moved(pruner, 2)
        assert all(torch.equal(value, bits[name]) for name, value in state.items())

    def test_it_brings_another_pruner_on_the_same_model_to_the_same_mask(self):
        one, other = attached(small_network(), sparsity=0.5), attached(small_network(), sparsity=0.5)
        self.moved(one, 1)
        other.restore(one.state())
        assert other.masks() == one.masks()

    def test_the_optimizer_goes_on_with_the_same_parameters(self):
        pruner = attached(small_network(), sparsity=0.5)
        before = pruner.parameters()
        pruner.restore(pruner.state())
        assert [id(each) for each in pruner.parameters()] == [id(each) for each in before]


class TestTraining:
    def test_everything_but_the_scores_keeps_its_bits(self, train, make_network):
        network = make_network(dropout=0.1)
        before = {name: value.clone() for name, value in network.model.state_dict().items()}
        pruner = MaskTraining(MaskOptions(sparsity=0.7))
        ran = train(pruner, network=network, max_steps=10, weight_decay=0.1, warmup_steps=2, keep="last")
        assert ran.final.weights.keys() == before.keys()
        for name, value in ran.final.weights.items():
            mask = ran.final.mask.get(name.removesuffix(".weight"))
            expected = before[name] if mask is None else torch.where(mask, before[name], torch.zeros(()))
            assert torch.equal(value, expected), name
        start = Mask({name: magnitude_mask(before[f"{name}.weight"], 0.7) for name in ran.final.mask})
        assert ran.final.mask != start

    @pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.7, 0.95])
    def test_every_evaluation_and_checkpoint_has_the_exact_sparsity(self, train, make_network, sparsity):
        network, seen = make_network(), []
        pruner = MaskTraining(MaskOptions(sparsity=sparsity, pooler=True))

        def zeros_are_counted() -> list[float]:
            while True:
                seen.append({name: int((weight == 0).sum()) for name, weight in network.matrices().items()})
                yield 0.0

        ran = train(pruner, network=network, metrics=zeros_are_counted(), eval_every=2, steps_kept=[1, 2, 3, 5])
        sizes = {name: weight.numel() for name, weight in network.matrices().items()}
        assert seen == [{name: round(sparsity * size) for name, size in sizes.items()}] * 3
        for checkpoint in ran.checkpoints:
            for name, size in sizes.items():
                assert int((~checkpoint.mask[name]).sum()) == round(sparsity * size)
                assert int((checkpoint.weights[f"{name}.weight"] == 0).sum()) == round(sparsity * size)

    def test_it_finds_the_weights_that_the_task_needs(self):
        network = small_network()
        with torch.no_grad():
            network.model[0].weight.copy_(torch.tensor([[0.1, 9.0, 9.0, 9.0]] * 3))
        pruner = attached(network, sparsity=0.7, pooler=False, classifier=False)
        assert not pruner.masks()["0"][:, 0].any()
        optimizer = torch.optim.AdamW(pruner.parameters(), lr=0.01)
        inputs = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 4))).float()
        wanted = 0.1 * inputs[:, :1].expand(-1, 3)
        for step in range(30):
            nn.functional.mse_loss(network.model[0](inputs), wanted).backward()
            optimizer.step()
            optimizer.zero_grad()
            pruner.refresh(step + 1)
        assert pruner.masks()["0"][:, 0].all()
