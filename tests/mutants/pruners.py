"""Pruners with one fault each, and the check that must find it."""

from __future__ import annotations

import random

import numpy as np
import torch
from mutants.sound_pruners import Gradual, Sound

from srframework import Mask, Phase, keep_highest


class OneTooFew(Sound):
    def pruned_to(self, level):
        mask = super().pruned_to(level)
        name = next(iter(mask))
        kept = mask[name].clone()
        kept[0, 0] = ~kept[0, 0]
        return Mask({**mask, name: kept})


class IgnoresSparsity(Sound):
    def pruned_to(self, level):
        return super().pruned_to(0.5)


class RoundsDown(Sound):
    def pruned_to(self, level):
        return super().pruned_to(int(level * 10) / 10 if level < 0.95 else 0.9)


class KeepsTheFraction(Sound):
    def pruned_to(self, level):
        return super().pruned_to(1 - level)


class PercentForFraction(Sound):
    def pruned_to(self, level):
        return super().pruned_to(level / 100)


class BreaksAtZero(Sound):
    def pruned_to(self, level):
        if level == 0:
            raise ZeroDivisionError("no entries")
        return super().pruned_to(level)


class TiesPrunedTogether(Sound):
    def pruned_to(self, level):
        scores = {n: w.detach().abs().mul(20).round() for n, w in self._matrices.items()}
        return Mask({n: s > s.flatten().quantile(level) if level else s >= 0 for n, s in scores.items()})


class WrongLevel(Gradual):
    def begin(self, phase, step):
        self.hold(self.pruned_to(phase.level / 2))


class ForgetsEarlierLevels(Gradual):
    def begin(self, phase, step):
        scores = {
            n: torch.rand(w.shape, generator=torch.Generator().manual_seed(step)) for n, w in self._matrices.items()
        }
        self.hold(Mask(keep_highest(scores, phase.level, "local")))


class ClaimsMoreThanItPrunes(Sound):
    def hold(self, mask):
        super().hold(mask)
        self._mask = Mask({n: torch.zeros_like(kept) for n, kept in mask.items()})


class PrunesMoreThanItClaims(Sound):
    def attach(self, network, context):
        super().attach(network, context)
        self.row = next(iter(network.matrices(self._parts).values()))

    def update_mask(self, step):
        self.row.data[0] = 0.0


class NeverPrunes(Sound):
    def hold(self, mask):
        self._mask = mask

    def before_step(self, step):
        pass

    def after_step(self, step):
        pass


class LetsWeightsGrowBack(Sound):
    def before_step(self, step):
        pass

    def after_step(self, step):
        pass


class ZerosOnlyGradients(Sound):
    """Weight decay leaves zeros alone, but momentum of an earlier step does not."""

    def attach(self, network, context):
        super().attach(network, context)
        self.steps = 0

    def before_step(self, step):
        pass

    def after_step(self, step):
        if step % 2 == 0:
            super().after_step(step)


class MissesTheLastMatrix(Sound):
    def after_step(self, step):
        for weight, pruned in self._pruned[:-1]:
            weight.data.masked_fill_(pruned, 0.0)

    def before_step(self, step):
        for weight, pruned in self._pruned[:-1]:
            weight.grad.masked_fill_(pruned, 0.0)


class LosesSteps(Sound):
    def phases(self, total_steps):
        return [Phase(total_steps // 2)]


class AddsSteps(Sound):
    def phases(self, total_steps):
        return [Phase(total_steps + 1)]


class LosesTheRemainder(Sound):
    def phases(self, total_steps):
        return [Phase(10, level=0.5)] * max(1, total_steps // 100)


class PhasesNeedAttach(Sound):
    def attach(self, network, context):
        self.total = context.steps
        super().attach(network, context)

    def phases(self, total_steps):
        return [Phase(self.total)]


class ScalesKeptWeights(Sound):
    def attach(self, network, context):
        super().attach(network, context)
        for weight, _ in self._pruned:
            weight.data *= 2


class ResetsBiases(Sound):
    def attach(self, network, context):
        super().attach(network, context)
        for name, parameter in network.model.named_parameters():
            if name.endswith("bias"):
                parameter.data += 0.1


class ZerosEmbeddings(Sound):
    def attach(self, network, context):
        super().attach(network, context)
        network.model.get_input_embeddings().weight.data[3] = 0


class SeedsTorch(Sound):
    def attach(self, network, context):
        torch.manual_seed(0)
        super().attach(network, context)


class DrawsFromTorch(Sound):
    def scores(self, weights):
        return {name: torch.rand(weight.shape) for name, weight in weights.items()}


class DrawsFromPython(Sound):
    def after_step(self, step):
        random.random()
        super().after_step(step)


class DrawsFromNumpy(Sound):
    def before_step(self, step):
        np.random.rand()
        super().before_step(step)


class EmptyMask(Sound):
    def masks(self):
        return Mask({})


class WrongNames(Sound):
    def masks(self):
        return Mask({f"{name}.weight": kept for name, kept in super().masks().items()})


class TransposedMask(Sound):
    def masks(self):
        return Mask({name: kept.T for name, kept in super().masks().items()})


MASKS = {
    OneTooFew: "exact_counts",
    IgnoresSparsity: "exact_counts",
    RoundsDown: "exact_counts",
    KeepsTheFraction: "exact_counts",
    PercentForFraction: "exact_counts",
    BreaksAtZero: "exact_counts",
    TiesPrunedTogether: "exact_counts",
    WrongLevel: "exact_levels",
    ForgetsEarlierLevels: "nested_levels",
    ClaimsMoreThanItPrunes: "zeros_equal_mask",
    PrunesMoreThanItClaims: "zeros_equal_mask",
    NeverPrunes: "zeros_equal_mask",
    LetsWeightsGrowBack: "optimizer_leaves_zeros",
    ZerosOnlyGradients: "optimizer_leaves_zeros",
    MissesTheLastMatrix: "optimizer_leaves_zeros",
    LosesSteps: "phases_add_up",
    AddsSteps: "phases_add_up",
    LosesTheRemainder: "phases_add_up",
    PhasesNeedAttach: "phases_add_up",
    ScalesKeptWeights: "keeps_other_weights",
    ResetsBiases: "keeps_other_weights",
    ZerosEmbeddings: "keeps_other_weights",
    SeedsTorch: "random_state_untouched",
    DrawsFromTorch: "random_state_untouched",
    DrawsFromPython: "random_state_untouched",
    DrawsFromNumpy: "random_state_untouched",
    EmptyMask: "mask_fits",
    WrongNames: "mask_fits",
    TransposedMask: "mask_fits",
}
