"""Where the files of a stage are, in the store and in a run directory alike.

::

    STAGE/
      model/                          plain transformers: config, tokenizer, safetensors
      mask.safetensors                one bit an entry; only where something is pruned
      metrics.jsonl                   loss and figures by step
      figures.json                    of its end, and of the points inside it
      predictions/SPLIT.safetensors   of every example that it is evaluated on
      log_probs/                      of the training examples; only where another stage learns from them
      points/POINT/                   model, mask and predictions at a step or a sparsity level inside the stage
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from srframework.store.drafts import POINTS

MODEL = "model"
MASK = "mask.safetensors"
LOG = "metrics.jsonl"


def point_in(stage: Path, point: str | None) -> Path:
    """The directory of a point inside a stage; the stage's own for its end."""
    return stage if point is None else stage / POINTS / point


def steps_kept(stage: Path) -> frozenset[int]:
    """The steps that a stage's directory has."""
    return frozenset(int(point.name) for point in (stage / POINTS).glob("*") if point.name.isdecimal())


def point_of(file: Path) -> str | None:
    """The point that a file, relative to the stage's directory, belongs to; None for the stage's end."""
    return file.parts[1] if file.parts[0] == POINTS else None


def predictions_file(place: Path, split: str) -> Path:
    """The predictions for a split, in the directory of a stage or of a point; a split may have any name."""
    return place / "predictions" / f"{quote(split, safe=' ')}.safetensors"


def log_probs_file(place: Path, split: str, max_length: int) -> Path:
    """The log-probabilities of a teacher for a split, in the directory of its stage or point."""
    return place / "log_probs" / f"{split}-{max_length}.safetensors"
