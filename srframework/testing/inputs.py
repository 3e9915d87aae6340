"""The arguments that the checks give to components. Only this module knows how the contract builds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from srframework.component import NEEDS_BIAS, stage_references
from srframework.contracts import Debiaser, LossInputs, Network, Predictions, Pruner, Split
from srframework.testing.check import Subject
from srframework.testing.small_task import LABELS

HIDDEN = 5


def attached_debiaser(subject: Subject, debiaser: Any = None) -> Debiaser:
    """Return a debiaser that is attached to a stage; a new instance unless one is given."""
    made: Debiaser = subject.build() if debiaser is None else debiaser
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made.attach(HIDDEN)
    return made


def attach_pruner(pruner: Pruner, network: Network, steps: int) -> None:
    """Attach a pruner to a model, for a stage of that many steps."""
    pruner.attach(network, steps)


def own_parameters(debiaser: Debiaser) -> list[nn.Parameter]:
    """Return the parameters that a debiaser lists."""
    return list(debiaser.parameters())


def optimizer_groups(pruner: Pruner) -> list[dict[str, Any]]:
    """Return the parameters of a pruner in the form of a torch optimizer."""
    return [{"params": list(pruner.parameters())}]


def loss_inputs(
    subject: Subject,
    logits: Tensor | None = None,
    labels: Tensor | None = None,
    bias: Tensor | None = None,
    teacher: Tensor | None = None,
    progress: float = 0.25,
    rows: Sequence[int] = range(6),
) -> LossInputs:
    """Create the inputs of a loss: six examples of three labels, or the chosen ``rows`` of them."""
    draw = torch.Generator().manual_seed(1)
    random = [torch.randn(6, len(LABELS), generator=draw) for _ in range(3)]
    hidden = torch.randn(6, HIDDEN, generator=draw)
    labels = torch.tensor([0, 1, 2, 0, 2, 1]) if labels is None else labels
    at = list(rows)
    chosen = (random[0] if logits is None else logits)[at].clone().requires_grad_()
    needs_bias = NEEDS_BIAS in subject.component.required(subject.options())
    log_bias = torch.log_softmax(random[1], 1) if bias is None else bias
    log_teacher = torch.log_softmax(random[2], 1) if teacher is None else teacher
    return LossInputs(
        chosen,
        labels[at],
        bias_log_probs=log_bias[at] if needs_bias else None,
        teacher_log_probs=log_teacher[at] if stage_references(subject.component.options) else None,
        hidden=hidden[at],
        progress=progress,
    )


def predictions(split: Split, logits: np.ndarray) -> Predictions:
    """Create the predictions of a model for a split."""
    return Predictions(split, logits)
