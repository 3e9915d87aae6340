"""Checks of pruners, on the small model."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch

from srframework.contracts import Network, Pruner
from srframework.masks import Mask, weight_of
from srframework.scores import pruned_count
from srframework.testing.check import NotApplicable, Subject, checks_in, require
from srframework.testing.hash_seeds import in_another_process
from srframework.testing.inputs import attach_pruner, optimizer_groups
from srframework.testing.pruner_effects import CHECKS as EFFECTS
from srframework.testing.pruner_levels import CHECKS as LEVELS
from srframework.testing.pruner_run import STEPS, nothing, require_zeros, run
from srframework.testing.pruner_scope import CHECKS as SCOPE
from srframework.testing.pruner_state import CHECKS as STATE
from srframework.testing.pruner_training import CHECKS as TRAINING
from srframework.testing.randomness import global_states
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


def exact_with_ties(subject: Subject) -> None:
    """The counts are exact too if many weights have the same magnitude, and some are zero."""
    for sparsity in list(_sparsities(subject))[::2]:
        net = network()
        for weight in net.matrices().values():
            weight.data = torch.where(weight.abs() < 0.004, 0.0, torch.sign(weight) * torch.ceil(weight.abs() / 0.01))
        mask = run(subject, nothing, net=net, steps=2, sparsity=sparsity)
        _require_exact(mask, sparsity, f"sparsity = {sparsity}, with ties")


def nested_sparsities(subject: Subject) -> None:
    """What one sparsity prunes before the training, a higher sparsity prunes too, with the same seed."""
    masks = []
    for sparsity in _sparsities(subject):
        pruner = subject.build(sparsity=sparsity)
        with global_states(1):
            attach_pruner(subject, pruner, network(), STEPS)
        mask = pruner.masks()
        if not mask or abs(mask.sparsity - sparsity) > 0.02:
            raise NotApplicable("it does not prune to the sparsity before the training")
        masks.append((sparsity, mask))
    for (low, one), (high, two) in pairwise(masks):
        back = sum(int((two[name] & ~kept).sum()) for name, kept in one.items())
        require(back == 0, f"sparsity = {high} keeps {back} entries that sparsity = {low} prunes")


def mask_covers_every_layer(subject: Subject) -> None:
    """A matrix that is pruned in one layer is pruned in all layers."""
    mask, net = run(subject, nothing, steps=2), network()
    roles: dict[str, set[str]] = defaultdict(set)
    for name, part in net.prunable.items():
        if part == "encoder":
            roles[re.sub(r"\.\d+\.", ".N.", name)].add(name)
    for role, names in roles.items():
        missing = names - set(mask)
        require(
            not missing or missing == names, f"the mask has {role} of some layers, not {', '.join(sorted(missing))}"
        )


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
    """After attach, at the beginning of a phase and after each update of the mask, the weights are zero where the mask
    prunes, and only there."""
    places = {"attached": "after attach", "begun": "after begin", "updated": "after the update"}

    def seen(event: str, step: int, pruner: Pruner, net: Network) -> None:
        if event in places:
            require_zeros(pruner, net, f"{places[event]} at step {step}", both=True)

    run(subject, seen)


def optimizer_leaves_zeros(subject: Subject) -> None:
    """Momentum and weight decay never change pruned entries, with SGD or AdamW, after any step."""

    def seen(event: str, step: int, pruner: Pruner, net: Network) -> None:
        if event == "step" and pruner.masks():
            require_zeros(pruner, net, f"after step {step}")

    run(subject, seen, lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9, weight_decay=0.1))
    run(subject, seen)


def phases_add_up(subject: Subject) -> None:
    """The phases have as many steps as the stage, up to rounding, and can be computed before attach."""
    for total in (1, 20, 997, 1000):
        phases = subject.build().phases(total)
        require(any(phase.steps for phase in phases), f"of a stage of {total} steps, no phase has any")
        steps, longest = sum(phase.steps for phase in phases), max(phase.steps for phase in phases)
        training = sum(phase.steps > 0 for phase in phases)
        allowed = training / 2 if training > 1 else 0
        if longest <= 1 and total < 100:
            continue  # a phase has at least one step
        require(abs(steps - total) <= allowed, f"of a stage of {total} steps, the phases have {steps}")


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
    attach_pruner(subject, pruner, net, STEPS)
    pruner.begin(pruner.phases(STEPS)[0], 0)
    pruner.update_mask(0)
    for step in range(1, STEPS):
        before = pruner.masks().digest()
        pruner.before_step(step - 1)
        pruner.after_step(step)
        changed = pruner.masks().digest() != before
        require(not changed or pruner.changes_mask(step), f"after_step({step}) changes the mask unannounced")


def same_seed_same_mask(subject: Subject) -> None:
    """Two runs with one seed end with the same mask."""
    one, two = run(subject, nothing), run(subject, nothing)
    require(one == two, f"two runs with one seed have different masks: they agree in {one.agreement(two):.2f}")
    with in_another_process(subject.component):
        other = run(subject, nothing)
    require(one == other, "another process has another mask: hash() of a text differs in each process")


def trains_something(subject: Subject) -> None:
    """An optimizer step of a phase with steps changes the weights or the scores that its parameters list."""
    pruner, net = subject.build(), network()
    attach_pruner(subject, pruner, net, STEPS)
    phase = next((each for each in pruner.phases(STEPS) if each.steps), None)
    if phase is None:
        raise NotApplicable("no phase has steps")
    pruner.begin(phase, 0)
    listed = [each for group in optimizer_groups(pruner) for each in group["params"]]
    net.model(**net.tokenizer(["a b c"], return_tensors="pt"), labels=torch.tensor([1])).loss.backward()
    reached = [each for each in listed if each.grad is not None and bool(each.grad.ne(0).any())]
    require(reached, "the loss has no gradient for any of the listed parameters")
    pruner.before_step(0)
    left = [each for each in reached if each.grad is not None and bool(each.grad.ne(0).any())]
    require(left, "before_step() clears the gradients of all listed parameters")


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
        exact_with_ties,
        nested_sparsities,
        mask_covers_every_layer,
        *LEVELS,
        exact_levels,
        nested_levels,
        zeros_equal_mask,
        optimizer_leaves_zeros,
        phases_add_up,
        mask_fits,
        update_is_exact,
        announces_changes,
        same_seed_same_mask,
        trains_something,
        forward_uses_weight,
        *SCOPE,
        *STATE,
        *EFFECTS,
        *TRAINING,
    ],
)
