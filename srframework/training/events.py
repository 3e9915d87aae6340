"""Outputs of a training while it runs: models at some steps, and callbacks; and its position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from srframework.masks import Mask


@dataclass(frozen=True)
class KeptModel:
    """A model at one step, on the CPU.

    Attributes:
        step: Number of finished optimizer steps of the stage.
        point: Its name in references: ``"10000"`` (a step), ``"0.5"`` (a sparsity level);
            None for the end of the stage.
        weights: The state dict; pruned entries are exactly 0.
        mask: The mask of the pruned entries.
        logits: What the evaluation of this very model found, by split; empty if it was not evaluated.
    """

    step: int
    point: str | None
    weights: dict[str, Tensor]
    mask: Mask
    logits: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Events:
    """Callbacks of the loop.

    Attributes:
        evaluate: Called with the model; returns ``(ID metric, {OOD split: metric})``.
        on_step: Called every ``log_every`` steps with (step, mean loss since the last call, learning rate,
            means of the logged scalars).
        on_evaluation: Called with (step, ID metric, OOD metrics) after each evaluation.
        on_start: Called once, with the step at which the training starts or resumes; 0 for a new training.
        on_stop: Called with the step of the checkpoint that is written before an interrupt stops the training.
        better: Whether the checkpoint with the highest or the lowest ID metric is the best.
        candidate: Called after an evaluation with (step, the model with its mask projected to the final sparsity), if
            that is another mask; returns the ID metric. None: ``evaluate`` is called.
        logits: Called after ``evaluate`` or ``candidate``; returns the logits of its splits, ``(N, C)`` each, by split.
    """

    evaluate: Callable[[PreTrainedModel], tuple[float, dict[str, float]]]
    on_step: Callable[[int, float, float, dict[str, float]], None]
    on_evaluation: Callable[[int, float, dict[str, float]], None]
    on_start: Callable[[int], None] = lambda _step: None
    on_stop: Callable[[int], None] = lambda _step: None
    better: Literal["higher", "lower"] = "higher"
    candidate: Callable[[int, PreTrainedModel], float] | None = None
    logits: Callable[[], Mapping[str, np.ndarray]] = dict

    def evaluate_candidate(self, step: int, model: PreTrainedModel) -> float:
        """Return the ID metric of the model with its mask projected to the final sparsity."""
        return self.evaluate(model)[0] if self.candidate is None else self.candidate(step, model)


@dataclass
class Position:
    """The position of a training; the rest of its state is in the model, the pruner, the loss and the optimizer.

    Attributes:
        step: Number of finished optimizer steps.
        phase: Number of the phase, from 0.
        losses: Number of losses since the last log line; ``loss_sum`` is their sum.
    """

    step: int = 0
    phase: int = 0
    losses: int = 0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros(()))


def tensor_of(model: nn.Module, name: str) -> Tensor:
    """Return a parameter or buffer by its plain name. If the module is parametrised, return the value of the forward
    pass."""
    module, _, attribute = name.rpartition(".")
    tensor = getattr(model.get_submodule(module), attribute)
    assert isinstance(tensor, Tensor), name
    return tensor
