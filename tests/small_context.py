"""A context of a training, for losses and pruners that a test attaches by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from srframework import ReferencedStage, TrainingContext


def context(steps: int = 10, **facts: Any) -> TrainingContext:
    defaults = {
        "labels": ("no", "yes", "maybe"),
        "gold": np.zeros(0, dtype=np.int64),
        "seed": 1,
        "device": torch.device("cpu"),
        "hidden_size": 3,
        "columns": {},
        "bias_log_probs": None,
        "stages": {},
        "learning_rates": 0.1,
        "log": lambda _name, _value: None,
        "warn": lambda _text: None,
        "generator": torch.Generator().manual_seed(1),
        "pretrained": None,
        "calibration": None,
    }
    return TrainingContext(steps=steps, **defaults | facts)


def teacher(log_probs: Any, name: str = "full") -> dict[str, ReferencedStage]:
    """A stage with these predictions on the training set."""
    return {name: ReferencedStage(name, lambda: None, None, np.asarray(log_probs))}
