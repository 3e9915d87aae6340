"""Paths of the files of a stage, in the store and in a run directory.

::

    STAGE/
      model/                          plain transformers: config, tokenizer, safetensors
      packed/                         in place of model/: what differs from base/; see :mod:`srframework.run.packing`
      base/                           hard links to the weights from which the stage started; only with packed/
      mask.safetensors                one bit per weight; only if something is pruned
      metrics.jsonl                   loss and figures by step
      chosen.json                     step of the result, and among how many checkpoints it is the best
      figures.json                    for the end of the stage and its points
      predictions/SPLIT.safetensors   for every evaluated example
      log_probs/                      for the training examples; only if another stage learns from them
      points/POINT/                   model, mask and predictions at a step or a sparsity level inside the stage
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from srframework.files import is_temporary
from srframework.store.content import POINTS

MODEL = "model"
PACKED = "packed"
MASK = "mask.safetensors"
LOG = "metrics.jsonl"
CHOSEN = "chosen.json"


def point_in(stage: Path, point: str | None) -> Path:
    """Return the directory of a point inside a stage; None is the end of the stage, in its own directory."""
    return stage if point is None else stage / POINTS / point


def points_kept(stage: Path) -> frozenset[str]:
    """Return the points in a stage's directory."""
    return frozenset(point.name for point in (stage / POINTS).glob("*") if not is_temporary(point))


def point_of(file: Path) -> str | None:
    """Return the point of a file, whose path is relative to the stage's directory; None for the end of the stage."""
    return file.parts[1] if file.parts[0] == POINTS else None


def part_of(file: Path) -> str:
    """Return the first part of a file's path in its stage or point; ``file``: as for :func:`point_of`."""
    return file.parts[2 if file.parts[0] == POINTS else 0]


def predictions_file(place: Path, split: str) -> Path:
    """Return the predictions file for a split of any name, in the directory of a stage or a point."""
    return place / "predictions" / f"{quote(split, safe=' ')}.safetensors"


def log_probs_file(place: Path, split: str, max_length: int) -> Path:
    """Return the file of a teacher's log-probabilities for a split, in the directory of its stage or point."""
    return place / "log_probs" / f"{split}-{max_length}.safetensors"
