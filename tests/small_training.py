"""Losses and pruners that record how the training loop calls them."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field

import pytest
import torch

from srf_debiasers.losses import Standard
from srf_debiasers.options import NoOptions
from srf_pruners.imp import IterativeMagnitudePruning
from srf_pruners.mask import MaskTraining
from srf_pruners.mask_options import MaskOptions
from srf_pruners.options import ImpOptions
from srframework.contracts import LossInputs, Phase
from srframework.fixed_mask import FixedMask
from srframework.masks import Mask
from srframework.training.events import KeptModel


class Recording(Standard):
    """Cross-entropy that notes what it is given; ``examples`` are the numbers of the examples, batch by batch."""

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.inputs: list[LossInputs] = []
        self.losses: list[float] = []

    def loss(self, inputs: LossInputs) -> torch.Tensor:
        loss = super().loss(inputs)
        self.inputs.append(inputs)
        self.losses.append(loss.item())
        return loss

    @property
    def examples(self) -> list[list[int]]:
        return [[int(row[0]) for row in inputs.bias_log_probs] for inputs in self.inputs]


class Phased(FixedMask):
    """Trains in the phases that it is given, and notes when they begin."""

    def __init__(self, *phases: Phase, keeps_best: bool = True) -> None:
        super().__init__()
        self.given, self.keeps_best = phases, keeps_best
        self.calls: list[str] = []

    def phases(self, total_steps: int) -> tuple[Phase, ...]:
        return self.given

    def begin(self, phase: Phase, step: int) -> None:
        self.calls.append(f"begin at {step}")

    def before_step(self, step: int) -> None:
        self.calls.append(f"before {step}")

    def after_step(self, step: int) -> None:
        self.calls.append(f"after {step}")

    def update_mask(self, step: int) -> None:
        self.calls.append(f"update_mask {step}")


@dataclass
class Optimized:
    """What every optimizer was about to do, step by step."""

    rates: list[float] = field(default_factory=list)
    gradients: list[list[torch.Tensor]] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)
    alive: weakref.WeakSet[torch.optim.Optimizer] = field(default_factory=weakref.WeakSet)

    def __call__(self, optimizer: torch.optim.Optimizer, args: object, kwargs: object) -> None:
        (group,) = optimizer.param_groups
        self.rates.append(group["lr"])
        self.gradients.append([each.grad.detach().clone().cpu() for each in group["params"] if each.grad is not None])
        self.fresh.append(not optimizer.state)
        self.alive.add(optimizer)


def some_mask(network, sparsity: float = 0.5) -> Mask:
    draw = torch.Generator().manual_seed(7)
    return Mask({name: torch.rand(w.shape, generator=draw) >= sparsity for name, w in network.matrices().items()})


PRUNERS = {
    "dense": lambda _: FixedMask(),
    "fixed mask": lambda network: FixedMask(mask=some_mask(network)),
    "mask training": lambda _: MaskTraining(MaskOptions(sparsity=0.7)),
    "imp": lambda _: IterativeMagnitudePruning(ImpOptions(sparsity=0.4, step=0.2, interval=0.5)),
}
every_pruner = pytest.mark.parametrize("pruner_name", PRUNERS)


def assert_same_bits(one: KeptModel, other: KeptModel) -> None:
    assert one.step == other.step
    assert one.mask == other.mask
    assert one.weights.keys() == other.weights.keys()
    for name, value in one.weights.items():
        assert torch.equal(value, other.weights[name]), name
