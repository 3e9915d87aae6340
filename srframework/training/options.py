"""The ``[training]`` table: how a stage is trained. Any stage may override any of it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from srframework.component import Options


class TrainingOptions(Options):
    """Defaults are those of the paper for MNLI, where they are not of a task (App. B.3)."""

    epochs: int = Field(3, ge=1, description="Passes over the training set; at least 1.")
    max_steps: int | None = Field(
        None, ge=1, description="Optimizer steps, at least 1; where given, instead of epochs."
    )
    batch_size: int = Field(32, ge=1, description="Examples in a batch, on each device; at least 1.")
    gradient_accumulation: int = Field(1, ge=1, description="Batches to an optimizer step; at least 1.")
    learning_rate: float = Field(5e-5, gt=0, description="Peak learning rate; above 0.")
    warmup_steps: int = Field(0, ge=0, description="Steps of linear warmup before the linear decay; at least 0.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's decoupled weight decay; at least 0.")
    ood_train: int = Field(
        0, ge=0, description="Copies of the data set's OOD training examples that are added to the training set."
    )
    adam_epsilon: float = Field(1e-8, gt=0, description="AdamW's epsilon; above 0.")
    adam_epsilon_uncorrected: bool = Field(
        False,
        description="Add epsilon before the bias correction, as the authors' AdamW does: "
        "it is PyTorch's with epsilon/√(1−β₂ᵗ) at step t.",
    )
    max_grad_norm: float = Field(1.0, ge=0, description="Clip the gradient to this L2 norm; 0 does not clip.")
    clip: Literal["global", "per-tensor"] = Field(
        "global", description="Whether the norm is that of all gradients together, or of each tensor by itself."
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="Arithmetic of the forward pass.")
    max_length: int = Field(128, ge=8, description="Tokens to which an example is cut; at least 8.")
    group_by_length: bool = Field(True, description="Put examples of like length into a batch, to save padding.")
    eval_every: int = Field(1000, ge=1, description="Optimizer steps between evaluations; at least 1.")
    eval_batch_size: int = Field(128, ge=1, description="Examples in a batch of an evaluation; at least 1.")
    eval_ood: bool = Field(True, description="Evaluate the OOD splits during training too; they never choose anything.")
    keep: Literal["best", "last"] = Field(
        "best", description="Whether a stage ends with its best checkpoint by the ID metric, or with its last."
    )
    best_after: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the steps, in [0, 1], before which no checkpoint is the best. "
        "Unset: the default of the stage's pruner, which is 0 for most; 0 without a pruner.",
    )
    log_every: int = Field(10, ge=1, description="Optimizer steps between lines of metrics.jsonl; at least 1.")
    checkpoint_seconds: float = Field(
        300.0,
        ge=0,
        description="Seconds between checkpoints, from which a run that was killed goes on; 0 writes none by time.",
    )
    checkpoint_steps: int | None = Field(
        None, ge=1, description="Optimizer steps between checkpoints, at least 1; where given, besides those by time."
    )


PROGRESS = frozenset({"eval_ood", "log_every", "checkpoint_seconds", "checkpoint_steps"})
"""Options that say what is told and kept on the way, and change nothing of what comes out."""


def optimizer_steps(options: TrainingOptions, examples: int, processes: int = 1) -> int:
    """Optimizer steps of a stage: ``max_steps``, or those of its epochs."""
    if options.max_steps is not None:
        return options.max_steps
    batches = math.ceil(examples / (options.batch_size * processes))
    return options.epochs * math.ceil(batches / options.gradient_accumulation)
