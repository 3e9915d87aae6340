"""Checks of pruners, on the small model."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from srframework.contracts import Network, Pruner
from srframework.masks import Mask, weight_of
from srframework.scores import pruned_count
from srframework.testing.check import NotApplicable, Subject, checks_in, require
from srframework.testing.inputs import attach_pruner, optimizer_groups
from srframework.testing.pruner_run import STEPS, nothing, run
from srframework.testing.pruner_state import pattern_is_exact, restores_in_another_instance, resumes_with_same_bits
from srframework.testing.small_task import network


def _sparsities(subject: Subject) -> Iterator[float]:
    """The sparsities to try: those in range that the options accept."""
    found = False
    for sparsity in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97):
        if "sparsity" in subject.component.options.model_fields and subject.accepts(sparsity=sparsity):
            found = True
            yield sparsity
    if not found:
        raise NotApplicable("no option sparsity")


def _require_exact(mask: Mask, sparsity: float, where: str) -> None:
    wrong = [name for name, kept in mask.items() if int((~kept).sum()) != pruned_count(sparsity, kept.numel())]
    expected = pruned_count(sparsity, mask.entries)
    got = mask.pruned
    require(
        not wrong or got == expected,
        f"{where}: expected {expected} of {mask.entries} entries pruned, in total or in each matrix by its size; "
        f"got {got}",
    )


def exact_counts(subject: Subject) -> None:
    """The final mask prunes exactly the number of entries that the option sparsity asks for, at any sparsity."""
    for sparsity in _sparsities(subject):
        _require_exact(run(subject, nothing, sparsity=sparsity), sparsity, f"sparsity = {sparsity}")


def exact_levels(subject: Subject) -> None:
    """At the end of a phase with a level, exactly that fraction of the entries is pruned."""
    found = []

    def seen(event: str, _step: int, pruner: Pruner, _net: Network) -> None:
        if event.startswith("level "):
            found.append(event)
            _require_exact(pruner.masks(), float(event.removeprefix("level ")), event)

    run(subject, seen)
    if not found:
        raise NotApplicable("no phase has a level")


def nested_levels(subject: Subject) -> None:
    """What a phase with a level prunes stays pruned at the next level."""
    masks: list[Mask] = []

    def seen(event: str, _step: int, pruner: Pruner, _net: Network) -> None:
        if event.startswith("level "):
            masks.append(Mask({name: kept.clone() for name, kept in pruner.masks().items()}))

    run(subject, seen)
    if len(masks) < 2:
        raise NotApplicable("fewer than two phases have a level")
    for one, two in pairwise(masks):
        back = sum(int((two[name] & ~kept).sum()) for name, kept in one.items())
        require(back == 0, f"{back} entries that one level prunes are back at the next level")


def zeros_equal_mask(subject: Subject) -> None:
    """After each update of the mask, the weights are zero where the mask prunes, and only there."""

    def seen(event: str, step: int, pruner: Pruner, net: Network) -> None:
        if event == "updated":
            _require_zeros(pruner, net, f"after the update at step {step}", both=True)

    run(subject, seen)


def _require_zeros(pruner: Pruner, net: Network, where: str, both: bool = False) -> None:
    for name, kept in pruner.masks().items():
        weight = weight_of(net.model, name)
        alive = int((weight[~kept] != 0).sum())
        require(alive == 0, f"{where}: {alive} pruned entries of {name} are not zero")
        dead = int((weight[kept] == 0).sum()) if both else 0
        require(dead == 0, f"{where}: {dead} entries of {name} are zero, but the mask keeps them")


def optimizer_leaves_zeros(subject: Subject) -> None:
    """Momentum and weight decay never change pruned entries, with SGD or AdamW, after any step."""

    def seen(event: str, step: int, pruner: Pruner, net: Network) -> None:
        if event == "step" and pruner.masks():
            _require_zeros(pruner, net, f"after step {step}")

    run(subject, seen, lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9, weight_decay=0.1))
    run(subject, seen)


def phases_add_up(subject: Subject) -> None:
    """The phases have as many steps as the stage, up to rounding, and can be computed before attach."""
    for total in (1, 20, 997, 1000):
        phases = subject.build().phases(total)
        steps, longest = sum(phase.steps for phase in phases), max(phase.steps for phase in phases)
        training = sum(phase.steps > 0 for phase in phases)
        allowed = training / 2 if training > 1 else 0
        if longest <= 1 and total < 100:
            continue  # a phase has at least one step
        require(abs(steps - total) <= allowed, f"of a stage of {total} steps, the phases have {steps}")


def keeps_other_weights(subject: Subject) -> None:
    """Attaching and pruning change no weight except the pruned entries, which become zero."""
    before = network().model.state_dict()

    def seen(event: str, _step: int, pruner: Pruner, net: Network) -> None:
        if event not in ("attached", "begun"):
            return
        matrices, masks = {f"{name}.weight": name for name in net.prunable}, pruner.masks()
        for key, value in before.items():
            now = weight_of(net.model, matrices[key]) if key in matrices else net.model.get_parameter(key)
            kept = masks[matrices[key]] if matrices.get(key) in masks else torch.ones_like(value, dtype=torch.bool)
            require(torch.equal(now[kept], value[kept]), f"{event}: {key} has other values where nothing is pruned")
        if event == "begun":
            raise _Enough

    with contextlib.suppress(_Enough):
        run(subject, seen)


class _Enough(Exception):
    """The rest of the training is not needed."""


def random_state_untouched(subject: Subject) -> None:
    """The global random states of Python, numpy and torch stay as they were."""
    pruner, net = subject.build(), network()
    states = random.getstate(), str(np.random.get_state()), torch.get_rng_state()
    attach_pruner(pruner, net, STEPS)
    phase = pruner.phases(STEPS)[0]
    pruner.begin(phase, 0)
    pruner.before_step(0)
    pruner.after_step(1)
    pruner.update_mask(1)
    require(random.getstate() == states[0], "the pruner draws from the global state of Python's random")
    require(str(np.random.get_state()) == states[1], "the pruner draws from the global state of numpy")
    require(torch.equal(torch.get_rng_state(), states[2]), "the pruner draws from the global state of torch")


def mask_fits(subject: Subject) -> None:
    """The mask has at least one matrix; each is a prunable module, bool, with the shape of its weight."""

    def seen(event: str, _step: int, pruner: Pruner, net: Network) -> None:
        if event != "updated":
            return
        mask, matrices = pruner.masks(), net.matrices()
        require(mask, "the mask has no matrix")
        for name, kept in mask.items():
            require(name in matrices, f"the mask has {name}, which is not a prunable module")
            require(kept.dtype == torch.bool, f"the mask of {name} has the type {kept.dtype}")
            expected, got = tuple(weight_of(net.model, name).shape), tuple(kept.shape)
            require(expected == got, f"the mask of {name}: expected shape {expected}, got {got}")

    run(subject, seen)


def mask_is_a_value(subject: Subject) -> None:
    """A mask that masks() has returned does not change later, and changing it does not change the pruner."""
    pruner, net = subject.build(), network()
    attach_pruner(pruner, net, STEPS)
    pruner.begin(pruner.phases(STEPS)[0], 0)
    pruner.update_mask(0)
    digest = pruner.masks().digest()
    for value in pruner.state().values():
        value.zero_()
    require(pruner.masks().digest() == digest, "changing the tensors of state() changes the pruner; return copies")


def update_is_exact(subject: Subject) -> None:
    """Updating the mask twice after the same step changes nothing."""

    def seen(event: str, step: int, pruner: Pruner, _net: Network) -> None:
        if event == "updated":
            before = pruner.masks().digest()
            pruner.update_mask(step)
            require(pruner.masks().digest() == before, f"a second update_mask({step}) changes the mask")

    run(subject, seen)


def announces_changes(subject: Subject) -> None:
    """A step after which changes_mask() is False does not change the mask."""
    pruner, net = subject.build(), network()
    attach_pruner(pruner, net, STEPS)
    pruner.begin(pruner.phases(STEPS)[0], 0)
    pruner.update_mask(0)
    for step in range(1, STEPS):
        before = pruner.masks().digest()
        pruner.before_step(step - 1)
        pruner.after_step(step)
        changed = pruner.masks().digest() != before
        require(not changed or pruner.changes_mask(step), f"after_step({step}) changes the mask unannounced")


def becomes_complete(subject: Subject) -> None:
    """After the last step, complete() is True."""
    pruner = subject.build()
    attach_pruner(pruner, network(), STEPS)
    last = sum(phase.steps for phase in pruner.phases(STEPS))
    require(pruner.complete(last), f"complete({last}) is False after the last step, so the stage has no result")


def same_seed_same_mask(subject: Subject) -> None:
    """Two runs with one seed end with the same mask."""
    one, two = run(subject, nothing), run(subject, nothing)
    require(one == two, f"two runs with one seed have different masks: they agree in {one.agreement(two):.2f}")


def trains_something(subject: Subject) -> None:
    """A phase with steps changes the weights or the scores that its parameters list."""
    pruner, net = subject.build(), network()
    attach_pruner(pruner, net, STEPS)
    phase = next((each for each in pruner.phases(STEPS) if each.steps), None)
    if phase is None:
        raise NotApplicable("no phase has steps")
    pruner.begin(phase, 0)
    listed = [each for group in optimizer_groups(pruner) for each in group["params"]]
    net.model(**net.tokenizer(["a b c"], return_tensors="pt"), labels=torch.tensor([1])).loss.backward()
    reached = [each for each in listed if each.grad is not None and bool(each.grad.ne(0).any())]
    require(reached, "the loss has no gradient for any of the listed parameters")


def forward_uses_weight(subject: Subject) -> None:
    """The forward pass of each pruned module uses the pruned weights."""

    def seen(event: str, _step: int, pruner: Pruner, net: Network) -> None:
        for name in pruner.masks() if event == "updated" else ():
            module: Any = net.model.get_submodule(name)
            inputs = torch.eye(module.in_features)
            with torch.no_grad():
                got = module(inputs) - (0 if module.bias is None else module.bias)
            expected = weight_of(net.model, name).detach().T
            require(torch.allclose(got, expected, atol=1e-5), f"{name}: the forward pass uses other weights")

    run(subject, seen)


CHECKS = checks_in(
    "pruner",
    [
        exact_counts,
        exact_levels,
        nested_levels,
        zeros_equal_mask,
        optimizer_leaves_zeros,
        phases_add_up,
        keeps_other_weights,
        random_state_untouched,
        mask_fits,
        mask_is_a_value,
        update_is_exact,
        announces_changes,
        becomes_complete,
        same_seed_same_mask,
        trains_something,
        forward_uses_weight,
        restores_in_another_instance,
        resumes_with_same_bits,
        pattern_is_exact,
    ],
)
