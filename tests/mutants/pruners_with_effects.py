"""Pruners with one fault each in what they leave behind, and the check that must find it."""

from __future__ import annotations

import random

import torch
from mutants.sound_pruners import Calibrated, Drawn, Gradual, Penalised, Scheduled, Sound

from srframework import Mask, Phase, mark_lowest, pruned_count


class TiesAreUnclear(Sound):
    def pruned_to(self, level):
        scores = {name: weight.detach().abs() for name, weight in self._matrices.items()}
        counts = {name: pruned_count(level, score.numel()) for name, score in scores.items()}
        sorted_ = {name: score.flatten().sort().values for name, score in scores.items()}
        return Mask({name: score >= sorted_[name][counts[name]] for name, score in scores.items()})


class DrawsByTheCount(Sound):
    def pruned_to(self, level):
        kept = {}
        for name, weight in self._matrices.items():
            count = pruned_count(level, weight.numel())
            draw = torch.Generator().manual_seed(count)
            kept[name] = ~mark_lowest(torch.rand(weight.shape, dtype=torch.float64, generator=draw), count)
        return Mask(kept)


class SkipsTheFirstLayer(Sound):
    def pruned_to(self, level):
        self._matrices = {name: weight for name, weight in self._matrices.items() if ".0." not in name}
        return super().pruned_to(level)


class LastLevelTwice(Gradual):
    def phases(self, total_steps):
        phases = super().phases(total_steps)
        return [*phases, Phase(0, level=phases[-1].level)]


class PrunesInSteps(Scheduled):
    """Prunes more after some steps, whatever step update_mask() is asked for."""

    def after_step(self, step):
        super().after_step(step)
        self.count = step

    def update_mask(self, step):
        self.hold(self.pruned_to(self.options.sparsity + 0.01 * self.count))


class ClearsBiasesInUpdate(Sound):
    def update_mask(self, step):
        for name in self._matrices:
            self._model.get_submodule(name).bias.data.zero_()


class DecaysEmbeddings(Sound):
    def after_step(self, step):
        super().after_step(step)
        self._model.get_input_embeddings().weight.data.mul_(0.99)


class DrawsInState(Sound):
    def state(self):
        random.random()
        return super().state()


class DrawsInTerms(Penalised):
    def loss_terms(self, inputs, loss):
        torch.rand(1)
        return super().loss_terms(inputs, loss)


class OneSeedForAll(Drawn):
    def draw(self):
        return torch.Generator().manual_seed(0)


class StaysInEvaluation(Calibrated):
    def norms(self):
        self._model.eval()
        return super().norms()


class LeavesGradients(Calibrated):
    def norms(self):
        batch = next(iter(self._context.calibration(2)))
        self._model(**{name: value for name, value in batch.items() if name != "index"}).loss.backward()
        return super().norms()


class IgnoresTheCalibration(Calibrated):
    def scores(self, weights):
        self.norms()
        return {name: weight.abs() for name, weight in weights.items()}


class SharedMask(Sound):
    shared = Mask({})

    def hold(self, mask):
        super().hold(mask)
        SharedMask.shared = mask

    def masks(self):
        return SharedMask.shared


class OneMaskForEver(Scheduled):
    def hold(self, mask):
        for name, kept in self._mask.items():
            kept.copy_(mask[name])
        super().hold(self._mask if self._mask else mask)

    def update_mask(self, step):
        self.hold(self.pruned_to(self.options.sparsity + 0.01 * step))


class RestoresTheGivenTensors(Scheduled):
    def attach(self, network, context):
        super().attach(network, context)
        self.steps = torch.zeros(())

    def after_step(self, step):
        super().after_step(step)
        self.steps += 1

    def state(self):
        return {**super().state(), "steps": self.steps.clone()}

    def restore(self, state):
        super().restore(state)
        self.steps = state["steps"]


class LogsAVector(Sound):
    def attach(self, network, context):
        super().attach(network, context)
        self.log = context.log

    def update_mask(self, step):
        self.log("kept", torch.ones(3))


class TermIsNaN(Penalised):
    def loss_terms(self, inputs, loss):
        return {name: term * torch.nan for name, term in super().loss_terms(inputs, loss).items()}


class TermWithoutGradient(Penalised):
    def loss_terms(self, inputs, loss):
        return {name: term.detach() for name, term in super().loss_terms(inputs, loss).items()}


class TermIsASum(Penalised):
    def loss_terms(self, inputs, loss):
        return {"confidence": inputs.logits.square().sum()}


class TermChangesLogits(Penalised):
    def loss_terms(self, inputs, loss):
        inputs.logits.data.zero_()
        return super().loss_terms(inputs, loss)


class DividesByTheOtherSteps(Sound):
    def attach(self, network, context):
        super().attach(network, context)
        self.share = 1 / (context.steps - 1)


class NeedsTenSteps(Sound):
    def attach(self, network, context):
        super().attach(network, context)
        if context.steps < 10:
            self.hold(self.pruned_to(0.0))


EFFECTS = {
    TiesAreUnclear: "exact_with_ties",
    DrawsByTheCount: "nested_sparsities",
    SkipsTheFirstLayer: "mask_covers_every_layer",
    LastLevelTwice: "levels_rise",
    PrunesInSteps: "candidates_are_final",
    ClearsBiasesInUpdate: "keeps_other_weights",
    DecaysEmbeddings: "keeps_other_weights",
    DrawsInState: "random_state_untouched",
    DrawsInTerms: "random_state_untouched",
    OneSeedForAll: "seed_matters",
    StaysInEvaluation: "modes_and_gradients_untouched",
    LeavesGradients: "modes_and_gradients_untouched",
    IgnoresTheCalibration: "calibration_matters",
    SharedMask: "instances_are_independent",
    OneMaskForEver: "mask_is_a_value",
    RestoresTheGivenTensors: "state_is_a_copy",
    LogsAVector: "logs_numbers",
    TermIsNaN: "loss_terms_are_sound",
    TermWithoutGradient: "loss_terms_are_sound",
    TermIsASum: "loss_terms_are_sound",
    TermChangesLogits: "loss_terms_are_sound",
    DividesByTheOtherSteps: "short_trainings",
    NeedsTenSteps: "short_trainings",
}
