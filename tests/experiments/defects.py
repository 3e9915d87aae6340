"""A plugin of methods with one line wrong: the claims must notice each of them. See ``test_defects.py``."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from srf_debiasers.losses import Reweight
from srf_debiasers.options import AnnealingOptions, ReweightOptions
from srf_pruners.imp import IterativeMagnitudePruning
from srf_pruners.mask import MaskTraining
from srf_pruners.mask_options import MaskOptions
from srf_pruners.options import ImpOptions
from srframework import Component, Debiaser, LossInputs, hookimpl


class PoeWithoutBias(Debiaser):
    """The product of experts without p_b."""

    def loss(self, inputs: LossInputs) -> Tensor:
        return inputs.mean(F.cross_entropy(inputs.logits, inputs.labels, reduction="none"))


class ReweightByOne(Reweight):
    """The weight 1 in place of 1 − β."""

    def loss(self, inputs: LossInputs) -> Tensor:
        return inputs.mean(F.cross_entropy(inputs.logits, inputs.labels, reduction="none"))


class NotStraightThrough(MaskTraining):
    """The true derivative of the step function: 0 everywhere."""

    def before_step(self, step: int) -> None:
        for group in self.parameter_groups():
            for scores in group.parameters:
                scores.grad = None if scores.grad is None else scores.grad * 0


class ForgetsZeros(IterativeMagnitudePruning):
    """Pruned weights are trained like the others."""

    def before_step(self, step: int) -> None:
        pass

    def after_step(self, step: int) -> None:
        pass


class NeverRises(MaskOptions):
    """The sparsity stays at the beginning of the schedule."""

    def sparsity_at(self, step: int, total_steps: int) -> float:
        return self.sparsity if self.initial_sparsity is None else self.initial_sparsity


@hookimpl
def srframework_debiasers() -> list[Component]:
    return [
        Component("no-bias", AnnealingOptions, PoeWithoutBias, "poe without p_b", "here", requires=["bias"]),
        Component("by-one", ReweightOptions, ReweightByOne, "reweight by 1", "here", requires=["bias"]),
    ]


@hookimpl
def srframework_pruners() -> list[Component]:
    return [
        Component("no-gradient", MaskOptions, NotStraightThrough, "mask without gradient", "here"),
        Component("regrows", ImpOptions, ForgetsZeros, "imp that forgets its zeros", "here"),
        Component("flat", NeverRises, MaskTraining, "mask whose schedule never rises", "here"),
    ]
