"""The ``[training]`` table: the training options. Each stage may override them."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from srframework.component import Options


class TrainingOptions(Options):
    """Training options. Defaults that depend on the task are the paper's values for MNLI (App. B.3)."""

    epochs: int = Field(3, ge=1, description="Passes over the training set; at least 1.")
    max_steps: int | None = Field(None, ge=1, description="Optimizer steps, at least 1. If set, it replaces epochs.")
    batch_size: int = Field(32, ge=1, description="Examples per batch on each device; at least 1.")
    gradient_accumulation: int = Field(1, ge=1, description="Batches per optimizer step; at least 1.")
    learning_rate: float = Field(5e-5, gt=0, description="Peak learning rate; above 0.")
    warmup_steps: int = Field(0, ge=0, description="Steps of linear warmup before the linear decay; at least 0.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's decoupled weight decay; at least 0.")
    ood_train: int = Field(
        0, ge=0, description="Add this many copies of the data set's OOD training examples to the training set."
    )
    adam_epsilon: float = Field(1e-8, gt=0, description="AdamW's epsilon; above 0.")
    adam_epsilon_uncorrected: bool = Field(
        False,
        description="Add epsilon before the bias correction, as the authors' AdamW does; "
        "equals PyTorch's AdamW with epsilon/√(1−β₂ᵗ) at step t.",
    )
    max_grad_norm: float = Field(1.0, ge=0, description="Clip the gradient to this L2 norm; 0 disables clipping.")
    clip: Literal["global", "per-tensor"] = Field(
        "global", description="Clip the norm of all gradients together (global), or of each tensor (per-tensor)."
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="Number format of the forward pass in training; weights and loss are fp32."
    )
    eval_precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="Number format of the forward pass in evaluations, and for the predictions of teachers."
    )
    max_length: int = Field(128, ge=8, description="Maximum number of tokens of an example; at least 8.")
    group_by_length: bool = Field(True, description="Group examples of similar length, to reduce padding.")
    eval_every: int = Field(1000, ge=1, description="Optimizer steps between evaluations; at least 1.")
    eval_batch_size: int = Field(128, ge=1, description="Examples per batch of an evaluation; at least 1.")
    eval_ood: bool = Field(
        False,
        description="Also evaluate the OOD splits during training, for curves; they never choose a checkpoint. "
        "If false, they are evaluated only at the end of the stage and at the points that it keeps.",
    )
    keep: Literal["best", "last"] = Field(
        "best",
        description="The result of a stage: its best checkpoint by the ID metric, or the model after its last step.",
    )
    best_after: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Only checkpoints after this fraction of the steps, in [0, 1], can be the best one. "
        "Unset: the default of the stage's pruner; 0 for most pruners, and for stages without a pruner.",
    )
    patience: int | None = Field(
        None,
        ge=1,
        json_schema_extra={"source": "App. E.1"},
        description="Stop a stage after this many evaluations in a row without a better ID metric, at least 1; "
        'only for stages with op = "train". Unset: train to the end.',
    )
    log_every: int = Field(10, ge=1, description="Optimizer steps between lines of metrics.jsonl; at least 1.")
    checkpoint_seconds: float = Field(
        300.0,
        ge=0,
        description="Seconds between checkpoints, from which an interrupted run resumes; 0: none by time.",
    )
    checkpoint_steps: int | None = Field(
        None, ge=1, description="Optimizer steps between additional checkpoints, at least 1; unset: no additional ones."
    )


PROGRESS = frozenset({"eval_ood", "log_every", "checkpoint_seconds", "checkpoint_steps"})
"""Options that affect only logs, evaluations and checkpoints during training, not the result."""


def optimizer_steps(options: TrainingOptions, examples: int, processes: int = 1) -> int:
    """Return the optimizer steps of a stage: ``max_steps``, or the steps of its epochs."""
    if options.max_steps is not None:
        return options.max_steps
    batches = math.ceil(examples / (options.batch_size * processes))
    return options.epochs * math.ceil(batches / options.gradient_accumulation)
