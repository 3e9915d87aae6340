"""Checks of a pruner's state and of its pattern."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from srframework.contracts import Network, Pruner
from srframework.masks import weight_of
from srframework.scores import pruned_count
from srframework.testing.check import NotApplicable, Subject, require
from srframework.testing.inputs import attach_pruner
from srframework.testing.pruner_run import STEPS, nothing, run
from srframework.testing.resuming import resumed_as_uninterrupted, train
from srframework.testing.small_task import network


def restores_in_another_instance(subject: Subject) -> None:
    """A new instance with the same weights and the state has the same mask and the same pruned weights."""
    pruner, net = subject.build(), network()
    run(subject, nothing, pruner=pruner, net=net)
    other, fresh = subject.build(), network()
    with torch.random.fork_rng():
        torch.manual_seed(99)
        attach_pruner(subject, other, fresh, STEPS)
    fresh.model.load_state_dict(net.model.state_dict())
    other.restore({name: value.clone() for name, value in pruner.state().items()})
    require(other.masks() == pruner.masks(), "another instance with the restored state has another mask")
    for name in pruner.masks():
        same = torch.equal(weight_of(fresh.model, name), weight_of(net.model, name))
        require(same, f"another instance with the restored state has other weights in {name}")
    one, two = pruner.state(), other.state()
    lost = [name for name, value in one.items() if name not in two or not torch.equal(two[name], value)]
    require(not lost, f"another instance with the restored state returns another state(): {', '.join(lost[:3])}")


def restores_an_earlier_state(subject: Subject) -> None:
    """Restoring an earlier state of the same instance, with the weights of then, gives the mask and weights of then."""
    saved: dict[str, Any] = {}

    def seen(event: str, step: int, pruner: Pruner, net: Network) -> None:
        if event == "updated" and step >= STEPS // 4 and not saved:
            weights = {name: value.clone() for name, value in net.model.state_dict().items()}
            shown = {name: weight_of(net.model, name).detach().clone() for name in pruner.masks()}
            state = {name: value.clone() for name, value in pruner.state().items()}
            saved.update(step=step, model=weights, state=state, mask=pruner.masks(), shown=shown)

    pruner, net = subject.build(), network()
    run(subject, seen, pruner=pruner, net=net)
    net.model.load_state_dict(saved["model"])
    pruner.restore(saved["state"])
    where = f"after restore() of the state of step {saved['step']}"
    require(pruner.masks() == saved["mask"], f"{where}, the instance has another mask than at that step")
    for name, value in saved["shown"].items():
        require(torch.equal(weight_of(net.model, name), value), f"{where}, {name} has other weights than at that step")


def update_can_be_undone(subject: Subject) -> None:
    """Between two updates, restoring the state of before an additional update gives the mask of before, and keeps the
    parameters. A run does so for a point that another stage refers to."""

    def seen(event: str, step: int, pruner: Pruner, _net: Network) -> None:
        if event != "step" or step not in (3, 7, 13):
            return
        before, state = pruner.masks(), {name: value.clone() for name, value in pruner.state().items()}
        listed = _listed(pruner)
        pruner.update_mask(step)
        pruner.restore(state)
        where = f"after update_mask({step}) and restore() of the state of before"
        require(pruner.masks() == before, f"{where}, the mask differs; state() or restore() lacks something")
        same = [id(each) for each in _listed(pruner)] == [id(each) for each in listed]
        require(same, f"{where}, parameter_groups() lists other objects; change parameters in place")

    run(subject, seen)


def _listed(pruner: Pruner) -> list[Tensor]:
    return [each for group in pruner.parameter_groups() for each in group.parameters]


def state_is_a_copy(subject: Subject) -> None:
    """A later step changes neither the tensors that state() has returned nor those that restore() got."""
    states: list[tuple[str, dict[str, Tensor], dict[str, Tensor]]] = []

    def seen(event: str, step: int, pruner: Pruner, _net: Network) -> None:
        if event != "step":
            return
        for method, state, before in states:
            for name, value in before.items():
                require(torch.equal(value, state[name]), f"a later step changes {name} that {method}() got or returned")
        if step in (2, 4):
            states.append(("state", state := pruner.state(), {name: each.clone() for name, each in state.items()}))
        if step == 6 and states:
            given = {name: each.clone() for name, each in pruner.state().items()}
            states.append(("restore", given, {name: each.clone() for name, each in given.items()}))
            pruner.restore(given)

    run(subject, seen)


def resumes_with_same_bits(subject: Subject) -> None:
    """A training that is killed and resumed ends with the same weights and mask as one that is not."""
    steps = 8
    uninterrupted = train(subject.build(), steps)
    for stopped_at in (2, 5):
        resumed_as_uninterrupted(subject.build, uninterrupted, steps, stopped_at)


def pattern_is_exact(subject: Subject) -> None:
    """With pattern = "2:4", exactly two of every four neighbours in a row are pruned; with "1x4" and "row", neighbours
    and rows are pruned together."""
    if "pattern" not in (fields := subject.component.options.model_fields):
        raise NotApplicable("no option pattern")
    more = {key: value for key, value in (("step", 0.5), ("classifier", False)) if key in fields}
    for text, group in (("2:4", 4), ("1x4", 4), ("row", None)):
        options: dict[str, Any] = {"pattern": text, "sparsity": 0.5, **more}
        if not subject.accepts(**options):
            if text == "2:4":
                raise NotApplicable('the options refuse pattern = "2:4"')
            continue
        for name, kept in run(subject, nothing, **options).items():
            groups = kept.reshape(-1, group or kept.shape[1])
            count = groups.sum(1)
            if text == "2:4":
                require(bool((count == 2).all()), f"{name}: a group of four entries does not keep exactly two")
                continue
            is_whole = bool(((count == 0) | (count == groups.shape[1])).all())
            require(is_whole, f'{name}: with pattern = "{text}", some entries of a unit are pruned, and some are not')
            pruned, expected = int((count == 0).sum()), pruned_count(0.5, len(groups))
            require(pruned == expected, f'{name}: pattern = "{text}" prunes {pruned} units, not {expected}')


CHECKS = [
    restores_in_another_instance,
    restores_an_earlier_state,
    update_can_be_undone,
    resumes_with_same_bits,
    state_is_a_copy,
    pattern_is_exact,
]
