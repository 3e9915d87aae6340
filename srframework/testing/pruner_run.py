"""A training of the small model that a check of a pruner watches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from srframework.contracts import Network, Pruner
from srframework.masks import Mask
from srframework.testing.check import Subject
from srframework.testing.inputs import attach_pruner, optimizer_groups
from srframework.testing.small_task import network

STEPS = 20


def run(
    subject: Subject, seen: Callable[[str, int, Pruner, Network], None], optimizer: Any = None, **changed: Any
) -> Mask:
    """Train the small model as a run does; call ``seen`` with "attached", "begun", "step", "updated" or "level"."""
    make = optimizer or (lambda groups: torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1))
    pruner: Pruner = subject.build(**changed)
    net, step = network(), 0
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net.model.eval()  # no dropout, so that two runs are equal
        attach_pruner(pruner, net, STEPS)
        seen("attached", 0, pruner, net)
        for phase in pruner.phases(STEPS):
            pruner.begin(phase, step)
            seen("begun", step, pruner, net)
            opt = make(optimizer_groups(pruner))
            for _ in range(phase.steps):
                batch = net.tokenizer(["a b c", "d e f"], return_tensors="pt")
                net.model(**batch, labels=torch.tensor([0, 1])).loss.backward()
                pruner.before_step(step)
                opt.step()
                opt.zero_grad()
                step += 1
                pruner.after_step(step)
                seen("step", step, pruner, net)
            pruner.update_mask(step)
            seen("updated", step, pruner, net)
            if phase.level is not None:
                seen(f"level {phase.level}", step, pruner, net)
    return pruner.masks()


def nothing(*_: object) -> None:
    """Watch nothing."""
