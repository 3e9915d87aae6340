"""Pruners with one fault each, and the check that must find it."""

from __future__ import annotations

import torch
from mutants.sound_pruners import Scheduled, Sound

from srframework import Mask, ParameterGroup, ScoringPruner, keep_highest
from srframework.training.optimization import own_parameters


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


class KeepsTheProjectedMask(Scheduled):
    """Counts its updates outside its state, so that the mask of one of them cannot be undone."""

    def update_mask(self, step):
        self.last = max(step, getattr(self, "last", 0))
        self.hold(self.pruned_to(self.options.sparsity + 0.01 * self.last))

    def restore(self, state):
        super().restore(state)
        self.update_mask(0)


class UnseededMask(Sound):
    def scores(self, weights):
        generator = torch.Generator()
        generator.seed()
        return {name: torch.rand(weight.shape, generator=generator) for name, weight in weights.items()}


class TrainsNothing(Sound):
    def parameter_groups(self):
        return [ParameterGroup([torch.nn.Parameter(torch.zeros(2))])]


class FreezesItsParameters(Sound):
    def attach(self, network, context):
        super().attach(network, context)
        network.model.requires_grad_(False)

    def parameter_groups(self):
        return [ParameterGroup(list(self._model.parameters()))]


class NoParameters(Sound):
    def parameter_groups(self):
        return [ParameterGroup([])]


class ForwardUsesTheOldWeight(Sound):
    def attach(self, network, context):
        for name in network.matrices(self._parts):
            module = network.model.get_submodule(name)
            old = module.weight.detach().clone()
            module.forward = lambda x, old=old, module=module: torch.nn.functional.linear(x, old, module.bias)
        super().attach(network, context)


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
        for parameter in own_parameters(self):
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


TRAINING = {
    StateIsNoCopy: "mask_is_a_value",
    UpdateDrawsAgain: "update_is_exact",
    UpdateAlternates: "update_is_exact",
    ChangesUnannounced: "announces_changes",
    KeepsTheProjectedMask: "candidates_are_final",
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
