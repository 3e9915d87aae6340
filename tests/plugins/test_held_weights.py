"""What holds for every pruner that trains weights under a mask: exact, nested, and 0 whatever happens."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis.extra.numpy as arrays
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_context import context
from torch import nn

from srf_pruners.imp import IterativeMagnitudePruning
from srf_pruners.imp_rw import RewindingMagnitudePruning
from srf_pruners.one_shot import OneShotMagnitudePruning, RandomPruning
from srf_pruners.options import ImpOptions, ImpRewindOptions, OneShotOptions
from srframework import FixedMask, Mask, Network
from srframework.training.optimization import own_parameters

SHAPES = {"0": (3, 4), "2": (1, 3), "3": (2, 1)}

EACH = {
    "imp": lambda **options: IterativeMagnitudePruning(ImpOptions(**options)),
    "imp-rw": lambda **options: RewindingMagnitudePruning(ImpRewindOptions(**options)),
    "omp": lambda **options: OneShotMagnitudePruning(OneShotOptions(**options)),
    "random": lambda **options: RandomPruning(OneShotOptions(**options)),
}

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "decay": lambda parameters: torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.5),
    "adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=0.1),
}

SCOPES = st.sampled_from(["local", "global"])
SPARSITIES = st.one_of(st.sampled_from([0.0, 0.5, 0.999]), st.floats(0, 1, exclude_max=True))


def weights() -> st.SearchStrategy[dict[str, torch.Tensor]]:
    """Of the three matrices, often with ties."""
    few = st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1.0])
    elements = st.one_of(few, st.floats(-(2.0**60), 2.0**60, width=32))
    return st.fixed_dictionaries(
        {
            name: arrays.arrays("float32", shape, elements=elements).map(torch.from_numpy)
            for name, shape in SHAPES.items()
        }
    )


def small_network() -> Network:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1), nn.Linear(1, 2))
    return Network(model, None, {"0": "encoder", "2": "pooler", "3": "classifier"})


def set_weights(network: Network, values: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, weight in network.matrices().items():
            weight.copy_(values[name])


def assert_exact(mask: Mask, network: Network, sparsity: float, scope: str) -> None:
    """Counts of the mask, and zeros where it prunes."""
    pruned = {name: int((~kept).sum()) for name, kept in mask.items()}
    if scope == "global":
        assert sum(pruned.values()) == round(sparsity * 17)
    else:
        assert pruned == {"0": round(sparsity * 12), "2": round(sparsity * 3), "3": round(sparsity * 2)}
    for name, weight in network.matrices().items():
        assert (weight[~mask[name]] == 0).all()


@pytest.mark.parametrize("name", ["omp", "random"])
@given(values=weights(), sparsity=SPARSITIES, scope=SCOPES)
def test_pruned_once_whatever_the_weights_the_count_is_exact(name, values, sparsity, scope):
    network = small_network()
    set_weights(network, values)
    pruner = EACH[name](sparsity=sparsity, scope=scope, pooler=True)
    pruner.attach(network, context())
    assert_exact(pruner.masks(), network, sparsity, scope)


@pytest.mark.long
@pytest.mark.parametrize("name", ["imp", "imp-rw"])
@given(course=st.lists(weights(), min_size=9, max_size=9), scope=SCOPES)
def test_level_by_level_whatever_the_weights_become_counts_are_exact_and_masks_nested(name, course, scope):
    network = small_network()
    pruner = EACH[name](scope=scope, pooler=True)
    pruner.attach(network, context())
    last, left = None, iter(course)
    for phase in pruner.phases(10):
        pruner.begin(phase, step=0)
        if phase.level is not None:
            assert_exact(pruner.masks(), network, phase.level, scope)
            assert last is None or all(not (kept & ~last[name]).any() for name, kept in pruner.masks().items())
            last = pruner.masks()
        if phase.steps:
            set_weights(network, next(left))
            pruner.after_step(1)
    assert last is not None
    assert last.pruned == (round(0.9 * 17) if scope == "global" else 11 + 3 + 2)


@pytest.mark.parametrize("scope", ["local", "global"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", EACH)
def test_whatever_the_optimizer_pruned_gradients_and_weights_stay_zero(name, optimizer, scope):
    network = small_network()
    pruner = EACH[name](sparsity=0.3, scope=scope, pooler=True)
    pruner.attach(network, context())
    steps, moved = 0, False
    for phase in pruner.phases(10):
        pruner.begin(phase, steps)
        stepper = OPTIMIZERS[optimizer](own_parameters(pruner))
        for _ in range(phase.steps):
            network.model(torch.linspace(-1, 1, 20).reshape(5, 4)).exp().sum().backward()
            pruner.before_step(steps)
            for each, weight in network.matrices().items():
                assert (weight.grad[~pruner.masks()[each]] == 0).all()
            before = {each: weight.detach().clone() for each, weight in network.matrices().items()}
            stepper.step()
            stepper.zero_grad()
            steps += 1
            pruner.after_step(steps)
            for each, weight in network.matrices().items():
                assert (weight[~pruner.masks()[each]] == 0).all()
                moved |= bool((weight != before[each]).any())
    assert moved
    assert_exact(pruner.masks(), network, 0.3, scope)


@pytest.mark.parametrize("name", EACH)
class TestState:
    def pruned(self, name: str) -> tuple[FixedMask, Network]:
        network = small_network()
        pruner = EACH[name](sparsity=0.6, step=0.2) if "imp" in name else EACH[name](sparsity=0.6)
        pruner.attach(network, context())
        pruner.begin(pruner.phases(10)[0], step=0)
        return pruner, network

    def test_restore_brings_back_the_mask_and_its_zeros(self, name):
        pruner, network = self.pruned(name)
        before, state = pruner.masks(), pruner.state()
        pruner.hold(Mask({each: torch.zeros_like(kept) for each, kept in before.items()}))
        set_weights(network, {each: torch.ones(shape) for each, shape in SHAPES.items()})
        pruner.restore(state)
        assert pruner.masks() == before
        for each, kept in before.items():
            assert torch.equal(network.matrices()[each], kept.float())

    def test_a_state_is_a_copy(self, name):
        pruner, _ = self.pruned(name)
        before = pruner.masks().digest()
        for value in pruner.state().values():
            value.zero_()
        assert pruner.masks().digest() == before

    def test_a_dense_state_can_be_restored(self, name):
        network = small_network()
        pruner = EACH[name]()
        pruner.attach(network, context())
        before = pruner.masks()
        pruner.restore(pruner.state())
        assert pruner.masks() == before
