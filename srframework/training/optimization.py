"""AdamW with a linear schedule, from a stage's options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from transformers import get_linear_schedule_with_warmup

from srframework.contracts import Phase
from srframework.training.options import TrainingOptions


def make_optimizer(
    parameters: Sequence[nn.Parameter], phase: Phase, options: TrainingOptions, accelerator: Accelerator
) -> tuple[Any, Any]:
    """Create the optimizer and the schedule of one phase."""
    optimizer = torch.optim.AdamW(
        parameters,
        lr=options.learning_rate,
        eps=options.adam_epsilon,
        weight_decay=options.weight_decay,
        fused=True,
    )
    warmup = options.warmup_steps if phase.warmup else 0
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, phase.steps)
    return accelerator.prepare_optimizer(optimizer), schedule


def set_epsilon(optimizer: Any, step: int, options: TrainingOptions) -> None:
    """Set epsilon for the ``step``-th step of an optimizer, from 1."""
    if options.adam_epsilon_uncorrected:
        for group in optimizer.param_groups:
            group["eps"] = options.adam_epsilon / math.sqrt(1 - group["betas"][1] ** step)


def clip(parameters: Sequence[nn.Parameter], options: TrainingOptions, accelerator: Accelerator) -> None:
    """Clip the gradients to ``max_grad_norm``, all together or each tensor separately."""
    norm = options.max_grad_norm
    if not norm:
        return
    groups = [[parameter] for parameter in parameters] if options.clip == "per-tensor" else [parameters]
    for group in groups:
        accelerator.clip_grad_norm_(group, norm)
