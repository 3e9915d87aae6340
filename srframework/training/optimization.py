"""AdamW with a linear schedule, from a stage's options."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from transformers import get_linear_schedule_with_warmup

from srframework.contracts import Debiaser, ParameterGroup, Phase, Pruner
from srframework.training.options import TrainingOptions


def make_optimizer(
    groups: Iterable[ParameterGroup], phase: Phase, options: TrainingOptions, accelerator: Accelerator
) -> tuple[Any, Any]:
    """Create the optimizer and the schedule of one phase."""
    settings: dict[tuple[float, float], list[nn.Parameter]] = {}
    for group in groups:
        rate = options.learning_rate if group.learning_rate is None else group.learning_rate
        decay = options.weight_decay if group.weight_decay is None else group.weight_decay
        settings.setdefault((rate, decay), []).extend(group.parameters)
    optimizer = torch.optim.AdamW(
        [{"params": each, "lr": rate, "weight_decay": decay} for (rate, decay), each in settings.items()],
        lr=options.learning_rate,
        eps=options.adam_epsilon,
        fused=True,
    )
    warmup = options.warmup_steps if phase.warmup else 0
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, phase.decay_steps or phase.steps)
    return accelerator.prepare_optimizer(optimizer), schedule


def summed_learning_rate(options: TrainingOptions, steps: int) -> float:
    """Return the sum of the learning rates of :func:`make_optimizer`'s schedule, for one phase of ``steps`` steps.

    >>> summed_learning_rate(TrainingOptions(learning_rate=0.1, warmup_steps=2, max_steps=4), 4)  # 0, ½, 1 and ½ of it
    0.2
    """
    warmup = options.warmup_steps
    rising = sum(range(min(warmup, steps))) / max(warmup, 1)
    falling = (steps - warmup + 1) / 2 if steps > warmup else 0.0
    return options.learning_rate * (rising + falling)


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


def own_parameters(component: Debiaser | Pruner) -> list[nn.Parameter]:
    """Return the parameters of all groups of a loss or of a pruner."""
    return [parameter for group in component.parameter_groups() for parameter in group.parameters]
