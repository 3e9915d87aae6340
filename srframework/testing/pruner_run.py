"""A training of the small model that a check of a pruner watches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from srframework.contracts import LossInputs, Network, Pruner
from srframework.masks import Mask, weight_of
from srframework.testing.check import Subject, require
from srframework.testing.inputs import attach_pruner, optimizer_groups
from srframework.testing.small_task import network

STEPS = 20
EVALUATE_EVERY = 5

Seen = Callable[[str, int, Pruner, Network], None]


def run(
    subject: Subject,
    seen: Seen,
    optimizer: Any = None,
    pruner: Pruner | None = None,
    net: Network | None = None,
    steps: int = STEPS,
    context: Any = None,
    **changed: Any,
) -> Mask:
    """Train a small model as a run does, without dropout; return the final mask.

    Args:
        subject: The pruner.
        seen: Called with "attached", "begun", "step", "updated" or "level S", and with "before M" and "after M" around
            each call of the methods begin, before_step, after_step and update_mask.
        optimizer: Makes the optimizer of the groups; AdamW by default.
        pruner: The instance; None: a new one with the options ``changed``.
        net: The model; that of :func:`network` by default.
        steps: Planned steps.
        context: Fields of the context to replace.
        changed: Options.
    """
    make = optimizer or (lambda groups: torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1))
    pruner, net, step = pruner or subject.build(**changed), net or network(), 0

    def call(method: str, *arguments: Any) -> None:
        seen(f"before {method}", step, pruner, net)
        getattr(pruner, method)(*arguments)
        seen(f"after {method}", step, pruner, net)

    with torch.random.fork_rng():
        torch.manual_seed(1)
        net.model.eval()  # no dropout, so that two runs are equal
        attach_pruner(subject, pruner, net, steps, **(context or {}))
        seen("attached", 0, pruner, net)
        for phase in pruner.phases(steps):
            call("begin", phase, step)
            seen("begun", step, pruner, net)
            opt = make(optimizer_groups(pruner))
            end = step + phase.steps
            while step < end:
                loss_of_batch(pruner, net, step / steps).backward()  # type: ignore[no-untyped-call]
                call("before_step", step)
                opt.step()
                opt.zero_grad()
                step += 1
                call("after_step", step)
                seen("step", step, pruner, net)
                if step == end or step % EVALUATE_EVERY == 0:
                    call("update_mask", step)
                    seen("updated", step, pruner, net)
            if not phase.steps:
                call("update_mask", step)
                seen("updated", step, pruner, net)
            if phase.level is not None:
                seen(f"level {phase.level}", step, pruner, net)
    return pruner.masks()


def require_zeros(pruner: Pruner, net: Network, where: str, both: bool = False) -> None:
    """Require that the weights are zero where the mask prunes; with ``both``, only there."""
    for name, kept in pruner.masks().items():
        weight = weight_of(net.model, name)
        alive = int((weight[~kept] != 0).sum())
        require(alive == 0, f"{where}: {alive} pruned entries of {name} are not zero")
        dead = int((weight[kept] == 0).sum()) if both else 0
        require(dead == 0, f"{where}: {dead} entries of {name} are zero, but the mask keeps them")


def loss_of_batch(pruner: Pruner, net: Network, progress: float = 0.0) -> torch.Tensor:
    """Return the loss of a batch with two examples and the pruner's terms."""
    batch = net.tokenizer(["a b c", "d e f"], return_tensors="pt")
    labels = torch.tensor([0, 1])
    output = net.model(**batch, labels=labels)
    inputs = LossInputs(output.logits, labels, torch.tensor([0, 1]), progress=min(progress, 0.99), batch=dict(batch))
    total: torch.Tensor = output.loss
    for term in pruner.loss_terms(inputs, output.loss.detach()).values():
        total = total + term
    return total


def nothing(*_: object) -> None:
    """Watch nothing."""
