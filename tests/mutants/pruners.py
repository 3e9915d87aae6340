"""Pruners with one fault each, and the check that must find it."""

from __future__ import annotations

import random

import numpy as np
import torch
from pydantic import Field

from srframework import Mask, Options, Phase, ScoringPruner, keep_highest


class Sparsity(Options):
    sparsity: float = Field(0.5, ge=0, lt=1, description="Fraction in [0, 1).")


class Sound(ScoringPruner):
    """Prunes the smallest magnitudes once."""

    def scores(self, weights):
        return {name: weight.abs() for name, weight in weights.items()}


class Gradual(Sound):
    """Prunes to three levels."""

    def phases(self, total_steps):
        first = total_steps // 3
        end = self.options.sparsity
        steps = [first, first, total_steps - 2 * first]
        return [Phase(each, level=end * share) for each, share in zip(steps, (0.4, 0.8, 1), strict=True)]


class Scheduled(Sound):
    """Prunes at the updates of the mask."""

    def attach(self, network, total_steps):
        super().attach(network, total_steps)
        self.count = 0

    def state(self):
        return {**super().state(), "count": torch.tensor(self.count)}

    def restore(self, state):
        super().restore(state)
        self.count = int(state["count"])


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
    def attach(self, network, total_steps):
        super().attach(network, total_steps)
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

    def attach(self, network, total_steps):
        super().attach(network, total_steps)
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
    def attach(self, network, total_steps):
        self.total = total_steps
        super().attach(network, total_steps)

    def phases(self, total_steps):
        return [Phase(self.total)]


class ScalesKeptWeights(Sound):
    def attach(self, network, total_steps):
        super().attach(network, total_steps)
        for weight, _ in self._pruned:
            weight.data *= 2


class ResetsBiases(Sound):
    def attach(self, network, total_steps):
        super().attach(network, total_steps)
        for name, parameter in network.model.named_parameters():
            if name.endswith("bias"):
                parameter.data += 0.1


class ZerosEmbeddings(Sound):
    def attach(self, network, total_steps):
        super().attach(network, total_steps)
        network.model.get_input_embeddings().weight.data[3] = 0


class SeedsTorch(Sound):
    def attach(self, network, total_steps):
        torch.manual_seed(0)
        super().attach(network, total_steps)


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


class StateIsNoCopy(Sound):
    def state(self):
        return {f"{name}.mask": kept for name, kept in self.masks().items()}


class UpdateDrawsAgain(Sound):
    def update_mask(self, step):
        order = {n: torch.rand(w.shape) for n, w in self._matrices.items()}
        self.hold(Mask(keep_highest(order, 0.5, "local")))


class UpdateAlternates(Scheduled):
    def update_mask(self, step):
        self.count += 1
        scores = {n: w.detach().abs() * (1 if self.count % 2 else -1) for n, w in self._matrices.items()}
        self.hold(Mask(keep_highest(scores, 0.5, "local")))


class ChangesUnannounced(Sound):
    def after_step(self, step):
        scores = {n: w.detach().roll(step).abs() for n, w in self._matrices.items()}
        self.hold(Mask(keep_highest(scores, 0.5, "local")))


class NeverComplete(Sound):
    def complete(self, step):
        return False


class CompleteOneLate(Sound):
    def complete(self, step):
        return step > 20


class UnseededMask(Sound):
    def scores(self, weights):
        generator = torch.Generator()
        generator.seed()
        return {name: torch.rand(weight.shape, generator=generator) for name, weight in weights.items()}


class TrainsNothing(Sound):
    def parameters(self):
        return [torch.nn.Parameter(torch.zeros(2))]


class FreezesItsParameters(Sound):
    def attach(self, network, total_steps):
        super().attach(network, total_steps)
        network.model.requires_grad_(False)

    def parameters(self):
        return list(self._model.parameters())


class NoParameters(Sound):
    def parameters(self):
        return []


class ForwardUsesTheOldWeight(Sound):
    def attach(self, network, total_steps):
        for name in network.matrices(self._parts):
            module = network.model.get_submodule(name)
            old = module.weight.detach().clone()
            module.forward = lambda x, old=old, module=module: torch.nn.functional.linear(x, old, module.bias)
        super().attach(network, total_steps)


class ForgetsTheMask(UnseededMask):
    def state(self):
        return {}

    def restore(self, state):
        pass


class RestoresHalf(UnseededMask):
    def restore(self, state):
        half = dict(list(state.items())[: len(state) // 2])
        self.hold(Mask({name.removesuffix(".mask"): kept for name, kept in half.items()}))


class RestoresWithoutWeights(UnseededMask):
    def restore(self, state):
        self._mask = Mask({name.removesuffix(".mask"): kept for name, kept in state.items()})


class CountsInPython(Scheduled):
    def state(self):
        return ScoringPruner.state(self)

    def restore(self, state):
        ScoringPruner.restore(self, state)

    def before_step(self, step):
        self.count += 1
        super().before_step(step)
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad *= 1 / self.count


class RaisesInStep(Sound):
    def after_step(self, step):
        raise KeyError("weights")


class RaisesInBegin(Sound):
    def begin(self, phase, step):
        raise SystemExit(3)


class MasksReturnsADict(Sound):
    def masks(self):
        return dict(super().masks())


MUTANTS = {
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
    StateIsNoCopy: "mask_is_a_value",
    UpdateDrawsAgain: "update_is_exact",
    UpdateAlternates: "update_is_exact",
    ChangesUnannounced: "announces_changes",
    NeverComplete: "becomes_complete",
    CompleteOneLate: "becomes_complete",
    UnseededMask: "same_seed_same_mask",
    TrainsNothing: "trains_something",
    FreezesItsParameters: "trains_something",
    NoParameters: "trains_something",
    ForwardUsesTheOldWeight: "forward_uses_weight",
    ForgetsTheMask: "restores_in_another_instance",
    RestoresHalf: "restores_in_another_instance",
    RestoresWithoutWeights: "resumes_with_same_bits",
    CountsInPython: "resumes_with_same_bits",
    RaisesInStep: "zeros_equal_mask",
    RaisesInBegin: "zeros_equal_mask",
    MasksReturnsADict: "mask_fits",
}
SOUND = [Sound, Gradual, Scheduled]
OPTIONS = Sparsity
