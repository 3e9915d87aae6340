"""Pruners with one fault each in their options, their scope or their memory, and the check that must find it."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from mutants.sound_pruners import Calibrated, Choosing, Drawn, Gradual, Sound, Sparsity
from pydantic import Field
from torch import nn

from srframework import Mask, Phase, PruneOptions, ScoringPruner, keep_highest


class Chosen(PruneOptions):
    sparsity: float = Field(0.5, ge=0, lt=1, description="Fraction in [0, 1).")


class Scoped(Sound):
    """Prunes the smallest magnitudes of the chosen parts, in the chosen scope."""

    options_class = Chosen

    def __init__(self, options):
        ScoringPruner.__init__(self, options, options.parts(), options.scope, options.parsed_pattern())


class IgnoresTheScope(Scoped):
    def __init__(self, options):
        ScoringPruner.__init__(self, options, options.parts(), pattern=options.parsed_pattern())


class RanksEachPartAlone(Scoped):
    def attach(self, network, context):
        self.part = network.prunable
        super().attach(network, context)

    def pruned_to(self, level):
        if self.options.scope == "local" or self.options.pattern is not None:
            return super().pruned_to(level)
        kept = {}
        for part in sorted(set(self.part.values())):
            scores = {name: w.detach().abs() for name, w in self._matrices.items() if self.part[name] == part}
            kept |= keep_highest(scores, level, "global")
        return Mask(kept)


class IgnoresTheParts(Scoped):
    def __init__(self, options):
        ScoringPruner.__init__(self, options, scope=options.scope, pattern=options.parsed_pattern())


class InvertsThePart(Scoped):
    def __init__(self, options):
        parts = options.model_copy(update={"classifier": not options.classifier}).parts()
        ScoringPruner.__init__(self, options, parts, options.scope, options.parsed_pattern())


class IgnoresTheBlocks(Sound):
    def attach(self, network, context):
        super().attach(dataclasses.replace(network, blocks={}), context)


class PrunesAtTheFirstStep(Sound):
    def hold(self, mask):
        self._mask = mask
        self._pruned = [(self._matrices[name], ~kept) for name, kept in mask.items()]


class Rarely(Sparsity):
    every: int = Field(1, ge=1, description="Steps between two corrections; at least 1.")


class CorrectsRarely(Sound):
    options_class = Rarely

    def before_step(self, step):
        pass

    def after_step(self, step):
        if step % self.options.every == 0:
            super().after_step(step)


class ReplacesTheParameter(Sound):
    def update_mask(self, step):
        for name, kept in self._mask.items():
            module = self._model.get_submodule(name)
            module.weight = nn.Parameter(module.weight.detach() * kept)
        self.hold(self._mask)


class LeavesItsHooks(Calibrated):
    def norms(self):
        found = super().norms()
        for name in self._matrices:
            self._model.get_submodule(name).register_forward_pre_hook(lambda *_: None)
        return found


class RestoresTheIntersection(Gradual):
    def restore(self, state):
        self.hold(Mask({name: state[f"{name}.mask"] & kept for name, kept in self.masks().items()}))


class RestoresOnlyOnce(Sound):
    def update_mask(self, step):
        self.hold(self.pruned_to(min(0.5 + 0.02 * step, 0.9)))

    def restore(self, state):
        if not self.masks():
            super().restore(state)


class RestoresIntoNewParameters(Sound):
    def restore(self, state):
        for name in self._matrices:
            module = self._model.get_submodule(name)
            module.weight = nn.Parameter(module.weight.detach().clone())
        super().restore(state)


class ForgetsItsSums(Gradual):
    def attach(self, network, context):
        self.sums = {name: 1e-3 * weight.detach().abs() for name, weight in network.counted().items()}
        super().attach(network, context)

    def before_step(self, step):
        super().before_step(step)
        for name, weight in self._matrices.items():
            self.sums[name] = self.sums[name] + (weight * weight.grad).detach().abs()

    def scores(self, weights):
        return self.sums


class RestoresNoSums(ForgetsItsSums):
    def state(self):
        return super().state() | {f"{name}.sums": each.clone() for name, each in self.sums.items()}


class KeepsScoresInTheClass(Sound):
    first: ClassVar[dict[str, torch.Tensor]] = {}

    def scores(self, weights):
        for name, weight in weights.items():
            self.first.setdefault(name, weight.detach().abs().clone())
        return {name: self.first[name] for name in weights}


class ClearsAllGradients(Sound):
    def before_step(self, step):
        self._model.zero_grad()


class TrainsNotInAShortStage(Sound):
    def phases(self, total_steps):
        return [Phase(int(0.2 * total_steps), level=level) for level in (0.1, 0.2, 0.3, 0.4, self.options.sparsity)]


class KeepsEveryLevel(Choosing):
    def phases(self, total_steps):
        return [dataclasses.replace(each, kept=True) for each in super().phases(total_steps)]


class SkipsTheOtherLevels(Choosing):
    def phases(self, total_steps):
        phases = super().phases(total_steps)
        return [each for each in phases if each.kept] or phases[-1:]


class RanksByTheChoice(Choosing):
    def scores(self, weights):
        sign = -1 if self.options.levels == "last" else 1
        return {name: sign * weight.abs() for name, weight in weights.items()}


class SeedsByTheName(Drawn):
    def scores(self, weights):
        draws = {name: torch.Generator().manual_seed((hash(name) + self.seed) % 2**31) for name in weights}
        return {
            name: torch.rand(weight.shape, dtype=torch.float64, generator=draws[name])
            for name, weight in weights.items()
        }


class TurnsGradientsOff(Sound):
    def attach(self, network, context):
        super().attach(network, context)
        torch.set_grad_enabled(False)


class ChangesTheDefaultType(Sound):
    def attach(self, network, context):
        torch.set_default_dtype(torch.float64)
        super().attach(network, context)


OPTIONS = {
    IgnoresTheScope: "scope_is_exact",
    RanksEachPartAlone: "scope_is_exact",
    IgnoresTheParts: "prunes_the_chosen_parts",
    InvertsThePart: "prunes_the_chosen_parts",
    IgnoresTheBlocks: "blocks_have_the_sparsity",
    PrunesAtTheFirstStep: "zeros_equal_mask",
    CorrectsRarely: "keeps_zeros_with_any_option",
    ReplacesTheParameter: "optimizer_keeps_its_parameters",
    LeavesItsHooks: "calibration_leaves_no_hooks",
    RestoresTheIntersection: "restores_an_earlier_state",
    RestoresOnlyOnce: "update_can_be_undone",
    RestoresIntoNewParameters: "update_can_be_undone",
    ForgetsItsSums: "resumes_with_same_bits",
    RestoresNoSums: "restores_in_another_instance",
    KeepsScoresInTheClass: "instances_are_independent",
    ClearsAllGradients: "trains_something",
    TrainsNotInAShortStage: "phases_add_up",
    KeepsEveryLevel: "keeps_the_chosen_levels",
    SkipsTheOtherLevels: "keeps_the_chosen_levels",
    RanksByTheChoice: "keeps_the_chosen_levels",
    SeedsByTheName: "same_seed_same_mask",
    TurnsGradientsOff: "random_state_untouched",
    ChangesTheDefaultType: "random_state_untouched",
}
