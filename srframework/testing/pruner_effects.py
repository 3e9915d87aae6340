"""Checks of what a pruner leaves unchanged: other weights, random states, modes, other instances."""

from __future__ import annotations

import torch
from torch import Tensor

from srframework.contracts import Network, Pruner
from srframework.masks import Mask, weight_of
from srframework.testing.check import NotApplicable, Subject, require
from srframework.testing.inputs import attach_pruner, logged_badly
from srframework.testing.pruner_run import STEPS, loss_of_batch, nothing, run
from srframework.testing.randomness import untouched_states, watched_generators
from srframework.testing.sharing import shared_tensors
from srframework.testing.small_task import network


class _Weights:
    """The values of all parameters of the small model, and the mask, at one moment."""

    def __init__(self, pruner: Pruner, net: Network, names: list[str]) -> None:
        matrices = {f"{name}.weight": name for name in net.prunable}
        self.values = {
            name: (weight_of(net.model, matrices[name]) if name in matrices else net.model.get_parameter(name))
            .detach()
            .clone()
            for name in names
        }
        self.kept = {f"{name}.weight": kept for name, kept in pruner.masks().items()}

    def require_same(self, later: _Weights, where: str) -> None:
        """Require equal values of all entries that both masks keep."""
        for name, value in self.values.items():
            both = _kept(self.kept, name, value) & _kept(later.kept, name, value)
            same = torch.equal(later.values[name][both], value[both])
            require(same, f"{where}: {name} has other values where nothing is pruned")


def _kept(masks: dict[str, Tensor], name: str, value: Tensor) -> Tensor:
    return masks.get(name, torch.ones_like(value, dtype=torch.bool))


def keeps_other_weights(subject: Subject) -> None:
    """Attaching and pruning change no weight except the pruned entries, which become zero."""
    first = _uneven()
    names = [name for name, _ in first.model.named_parameters()]
    unpruned = subject.build()
    before = {"start": _of_model(first, names)}

    def seen(event: str, step: int, pruner: Pruner, net: Network) -> None:
        if event == "attached" or (event == "begun" and step == 0):
            before["start"].require_same(_Weights(pruner, net, names), event)
        method = event.partition(" ")[2]
        if method in ("before_step", "after_step", "update_mask"):
            now = _Weights(pruner, net, names)
            if event.startswith("after"):
                before[method].require_same(now, f"{method}() at step {step}")
            before[method] = now

    run(subject, seen, pruner=unpruned, net=_uneven())


def _uneven() -> Network:
    """The small model, whose biases and LayerNorms have other values than the initial zeros and ones."""
    net, draw = network(), torch.Generator().manual_seed(2)
    for parameter in net.model.parameters():
        if parameter.dim() == 1:
            parameter.data.add_(torch.rand(parameter.shape, generator=draw), alpha=0.1)
    return net


def _of_model(net: Network, names: list[str]) -> _Weights:
    made = _Weights.__new__(_Weights)
    made.values = {name: net.model.get_parameter(name).detach().clone() for name in names}
    made.kept = {}
    return made


def random_state_untouched(subject: Subject) -> None:
    """The global random states of Python, numpy and torch stay as they were."""
    pruner, net, step = subject.build(), network(), 0
    net.model.eval()
    with untouched_states("the pruner"):
        phases = pruner.phases(STEPS)
        attach_pruner(subject, pruner, net, STEPS)
        for phase in phases[:2]:
            pruner.begin(phase, step)
            pruner.parameter_groups()
            for _ in range(3):
                loss_of_batch(pruner, net).backward()  # type: ignore[no-untyped-call]
                pruner.before_step(step)
                step += 1
                pruner.after_step(step)
                pruner.changes_mask(step)
            pruner.update_mask(step)
            pruner.masks()
            pruner.restore(pruner.state())


def seed_matters(subject: Subject) -> None:
    """If the pruner draws from generators of its own, another seed gives another mask."""

    def mask(seed: int) -> Mask:
        generator = torch.Generator().manual_seed(seed)
        return run(subject, nothing, steps=2, context={"seed": seed, "generator": generator})

    with watched_generators(subject.component) as drawn:
        first = mask(1)
    if not drawn:
        raise NotApplicable("it draws from no generator of its own")
    require(any(mask(seed) != first for seed in (2, 3, 4)), "seeds 1, 2, 3 and 4 give the same mask")


def modes_and_gradients_untouched(subject: Subject) -> None:
    """The pruner leaves the training mode of each module as it is, and no gradients."""
    for training in (True, False):
        pruner, net = subject.build(), network()
        modules = dict(net.model.train(training).named_modules())
        attach_pruner(subject, pruner, net, STEPS)
        _require_mode(modules, training, "attach()")
        _require_no_gradients(net, "attach()")
        for phase in pruner.phases(STEPS):
            pruner.begin(phase, 0)
            _require_mode(modules, training, "begin()")
            _require_no_gradients(net, "begin()")
            pruner.update_mask(phase.steps)
            _require_mode(modules, training, "update_mask()")


def _require_mode(modules: dict[str, torch.nn.Module], training: bool, method: str) -> None:
    wrong = [name or "the model" for name, module in modules.items() if module.training != training]
    mode = "evaluation" if training else "training"
    require(not wrong, f"{method} leaves {', '.join(wrong[:3])} in {mode} mode")


def _require_no_gradients(net: Network, method: str) -> None:
    for name, each in net.model.named_parameters():
        require(each.grad is None or not bool(each.grad.any()), f"{method} leaves a gradient in {name}")


def instances_are_independent(subject: Subject) -> None:
    """The mask of one instance does not depend on another instance, and they share no tensors."""
    one, two = subject.build(), subject.build()
    first = run(subject, nothing, pruner=one, steps=4).digest()
    run(subject, nothing, pruner=two, net=network(seed=5), steps=4)
    require(one.masks().digest() == first, "another instance, with another model, changes the mask of the first")
    shared = shared_tensors(getattr(one, "guarded", one))
    require(not shared, f"{shared} has tensors, which all instances share; use an attribute of the instance")


def mask_is_a_value(subject: Subject) -> None:
    """A mask that masks() has returned does not change later, and changing state() does not change the pruner."""
    masks: list[tuple[int, Mask, str]] = []

    def seen(event: str, step: int, pruner: Pruner, _net: Network) -> None:
        if event in ("attached", "updated"):
            masks.append((step, pruner.masks(), pruner.masks().digest()))
            for value in pruner.state().values():
                value.zero_()
            require(pruner.masks().digest() == masks[-1][2], "changing the tensors of state() changes the pruner")

    run(subject, seen)
    for step, mask, digest in masks:
        require(mask.digest() == digest, f"the mask that masks() returned after step {step} has changed since")


def logs_numbers(subject: Subject) -> None:
    """What the pruner logs is named and finite, one number each."""
    logged: list[tuple[object, object]] = []
    run(subject, nothing, context={"log": lambda name, value: logged.append((name, value))})
    if not logged:
        raise NotApplicable("the pruner logs nothing")
    for name, value in logged:
        require(not (fault := logged_badly(name, value)), fault)


CHECKS = [
    keeps_other_weights,
    random_state_untouched,
    seed_matters,
    modes_and_gradients_untouched,
    instances_are_independent,
    mask_is_a_value,
    logs_numbers,
]
