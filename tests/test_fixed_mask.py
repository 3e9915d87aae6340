"""A mask that is held while the rest is trained."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from small_context import context
from torch import nn

from srframework import Component, Options, testing
from srframework.contracts import Network, Phase
from srframework.fixed_mask import FixedMask, ScoringPruner
from srframework.masks import Mask
from srframework.training.optimization import own_parameters


def small_network() -> Network:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    return Network(model, None, {"0": "encoder", "2": "classifier"})


def held(network: Network, seed: int = 0, density: float = 0.5) -> tuple[FixedMask, Mask]:
    draw = torch.Generator().manual_seed(seed)
    shapes = {name: weight.shape for name, weight in network.matrices().items()}
    mask = Mask({name: torch.rand(shape, generator=draw) < density for name, shape in shapes.items()})
    pruner = FixedMask(mask=mask)
    pruner.attach(network, context())
    return pruner, mask


def gradient(network: Network, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    network.model(torch.randn(8, 4, generator=draw)).square().sum().backward()


OPTIMIZERS = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1),
    "adamw with weight decay": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.5),
    "adamw with weight decay, fused": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.5, fused=True),
    "sgd with momentum and L2": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.5),
}


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
def test_pruned_weights_and_gradients_stay_exactly_zero(optimizer_name):
    network = small_network()
    pruner, mask = held(network)
    optimizer = OPTIMIZERS[optimizer_name](own_parameters(pruner))
    start = {name: weight.detach().clone() for name, weight in network.matrices().items()}
    for step in range(5):
        gradient(network, seed=step)
        pruner.before_step(step)
        for name, weight in network.matrices().items():
            assert (weight.grad[~mask[name]] == 0).all()
        optimizer.step()
        optimizer.zero_grad()
        pruner.after_step(step + 1)
        for name, weight in network.matrices().items():
            assert (weight[~mask[name]] == 0).all()
    for name, weight in network.matrices().items():
        assert (weight != start[name])[mask[name]].all()


def test_the_gradient_of_kept_entries_is_that_of_the_masked_model():
    network, reference = small_network(), small_network()
    pruner, mask = held(network)
    gradient(network, seed=3)
    pruner.before_step(0)
    leaves = {name: weight.detach().clone().requires_grad_() for name, weight in reference.matrices().items()}
    biases = {name: value.detach() for name, value in reference.model.named_parameters() if name.endswith("bias")}
    weights = {f"{name}.weight": mask[name] * leaf for name, leaf in leaves.items()}
    inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(3))
    torch.func.functional_call(reference.model, weights | biases, (inputs,)).square().sum().backward()
    for name, weight in network.matrices().items():
        torch.testing.assert_close(weight.grad, leaves[name].grad)


def test_an_entry_that_the_optimizer_moves_by_momentum_is_zero_after_the_step():
    network = small_network()
    pruner, _ = held(network, density=1.0)
    optimizer = torch.optim.AdamW(own_parameters(pruner), lr=0.1)
    gradient(network, seed=0)
    optimizer.step()
    pruned = Mask({"0": torch.zeros(3, 4, dtype=torch.bool)})
    pruner.hold(pruned)
    pruner.before_step(1)
    optimizer.step()
    assert network.matrices()["0"].count_nonzero() > 0
    pruner.after_step(2)
    assert network.matrices()["0"].count_nonzero() == 0


def test_the_model_is_pruned_as_soon_as_it_is_attached():
    network = small_network()
    before = {name: weight.detach().clone() for name, weight in network.matrices().items()}
    pruner, mask = held(network)
    for name, weight in network.matrices().items():
        assert torch.equal(weight, before[name] * mask[name])
    assert pruner.masks() == mask


def test_without_a_mask_nothing_is_pruned():
    network = small_network()
    before = {name: value.clone() for name, value in network.model.state_dict().items()}
    pruner = FixedMask()
    pruner.attach(network, context())
    gradient(network, seed=0)
    pruner.before_step(0)
    pruner.after_step(1)
    assert all(torch.equal(value, before[name]) for name, value in network.model.state_dict().items())
    assert network.matrices()["0"].grad.count_nonzero() > 0
    assert pruner.masks() == Mask({})


def test_every_parameter_that_wants_a_gradient_is_trained():
    network = small_network()
    network.model[0].bias.requires_grad_(False)
    pruner, _ = held(network)
    expected = [network.model[0].weight, network.model[2].weight, network.model[2].bias]
    assert [id(parameter) for parameter in own_parameters(pruner)] == [id(parameter) for parameter in expected]


def test_a_frozen_matrix_may_be_held():
    network = small_network()
    network.model[0].weight.requires_grad_(False)
    pruner, mask = held(network)
    gradient(network, seed=0)
    pruner.before_step(0)
    pruner.after_step(1)
    assert network.model[0].weight.grad is None
    assert (network.model[0].weight[~mask["0"]] == 0).all()


def test_training_is_one_phase_that_ends_with_the_best_checkpoint():
    pruner = FixedMask()
    assert pruner.phases(7) == [Phase(7, level=None, warmup=True)]
    assert pruner.keeps_best
    assert pruner.state() == {}


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ({"0": torch.ones(4, 3, dtype=torch.bool)}, r"'0': expected \(3, 4\), got \(4, 3\)"),
        ({"9": torch.ones(3, 4, dtype=torch.bool)}, "no matrix '9'"),
    ],
    ids=["shape", "name"],
)
def test_a_mask_that_does_not_fit_is_refused_by_name(mask, expected):
    with pytest.raises(ValueError, match=expected):
        FixedMask(mask=Mask(mask)).attach(small_network(), context())


@given(seed=st.integers(0, 2**31), density=st.floats(0, 1))
def test_whatever_the_mask_the_zeros_after_a_step_are_its_zeros(seed, density):
    network = small_network()
    pruner, mask = held(network, seed, density)
    optimizer = torch.optim.AdamW(own_parameters(pruner), lr=0.1, weight_decay=0.1)
    gradient(network, seed=0)
    pruner.before_step(0)
    optimizer.step()
    pruner.after_step(1)
    for name, weight in network.matrices().items():
        assert (weight[~mask[name]] == 0).all()
        assert weight.grad[~mask[name]].count_nonzero() == 0


# -- pruners that only say how they score ------------------------------------------------------------


class Sparsity(Options):
    sparsity: float = Field(0.5, ge=0, lt=1, description="Fraction of the entries to prune, in [0, 1).")


class RelativeMagnitude(ScoringPruner):
    """By the magnitude as a share of that of the row."""

    def scores(self, weights):
        return {name: weight.abs() / weight.norm(dim=1, keepdim=True) for name, weight in weights.items()}


class Gradual(RelativeMagnitude):
    keeps_best = False

    def phases(self, total_steps):
        half, sparsity = total_steps // 2, self.options.sparsity
        return [Phase(half, level=sparsity / 2), Phase(total_steps - half, level=sparsity)]


class Short(ScoringPruner):
    def scores(self, weights):
        return {name: weight[:1] for name, weight in weights.items()}


@pytest.mark.parametrize("factory", [RelativeMagnitude, Gradual])
def test_a_pruner_that_only_scores_keeps_the_contract(factory):
    results = list(testing.check_component(Component("mine", Sparsity, factory, "Mine.", "here")))
    assert [each.reason for each in results if each.outcome == "failed"] == []


def test_a_score_decides_what_is_pruned_and_exactly_so_much():
    network = small_network()
    with torch.no_grad():
        network.matrices()["2"].copy_(torch.tensor([[4.0, 5.0, 6.0], [0.1, 0.2, 0.9]]))
    pruner = RelativeMagnitude(Sparsity(sparsity=0.5))
    pruner.attach(network, context(1))
    assert pruner.masks()["2"].tolist() == [[False, True, True], [False, False, True]]
    assert network.matrices()["2"].tolist() == [[0.0, 5.0, 6.0], [0.0, 0.0, pytest.approx(0.9)]]
    assert pruner.masks()["0"].sum() == 6


def test_parts_and_scope_say_over_what_a_sparsity_is_counted():
    network = small_network()
    pruner = RelativeMagnitude(Sparsity(sparsity=0.25), parts=["encoder"], scope="global")
    pruner.attach(network, context(1))
    assert list(pruner.masks()) == ["0"]
    assert pruner.masks().pruned == 3


def test_a_later_prune_is_inside_the_earlier_one_and_nothing_is_pruned_before_the_first():
    network = small_network()
    pruner = Gradual(Sparsity(sparsity=0.5))
    pruner.attach(network, context(4))
    assert len(pruner.masks()) == 0
    first, second = pruner.phases(4)
    pruner.begin(first, 0)
    early = pruner.masks()
    with torch.no_grad():
        network.matrices()["0"].add_(9.0)
    pruner.begin(second, 2)
    assert (early.pruned, pruner.masks().pruned) == (5, 9)  # 3 of 12 and 2 of 6; 6 of 12 and 3 of 6
    assert all(not (pruner.masks()[name] & ~early[name]).any() for name in early)


def test_scores_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"scores of '0': expected shape \(3, 4\), got \(1, 4\)"):
        Short(Sparsity()).attach(small_network(), context(1))
