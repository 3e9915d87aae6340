"""What a training gives while it works: models at some steps, and calls; and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedModel

from srframework.masks import Mask


@dataclass(frozen=True)
class KeptModel:
    """A model at one step, on the CPU.

    Attributes:
        step: Optimizer steps of the stage until then.
        point: By what others refer to it: ``"10000"`` (a step), ``"0.5"`` (a sparsity level);
            None for the end of the stage.
        weights: The state dict; pruned entries are exactly 0.
        mask: Which entries those are.
    """

    step: int
    point: str | None
    weights: dict[str, Tensor]
    mask: Mask


@dataclass(frozen=True)
class Events:
    """What the loop calls while it works.

    Attributes:
        evaluate: Called with the model; gives ``(ID metric, {OOD split: metric})``.
        on_step: Called every ``log_every`` steps with (step, mean loss since the last call, learning rate).
        on_evaluation: Called with (step, ID metric, OOD metrics) after each evaluation.
        on_start: Called once, with the step from which the training resumes; 0 at its beginning.
        on_stop: Called with the step of the checkpoint that is written, before an interrupt stops the training.
    """

    evaluate: Callable[[PreTrainedModel], tuple[float, dict[str, float]]]
    on_step: Callable[[int, float, float], None]
    on_evaluation: Callable[[int, float, dict[str, float]], None]
    on_start: Callable[[int], None] = lambda _step: None
    on_stop: Callable[[int], None] = lambda _step: None


@dataclass
class Position:
    """How far a training is; the rest of its state is in the model, the pruner, the loss and the optimizer.

    Attributes:
        step: Optimizer steps.
        phase: Number of the phase, from 0.
        losses: How many losses there were since one was told; ``loss_sum`` is their sum.
    """

    step: int = 0
    phase: int = 0
    losses: int = 0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros(()))
