"""What is measured of a stage's models, into a directory, and read back.

::

    DIRECTORY/
      figures.json                      of the stage's end, and of each point inside it
      predictions/SPLIT.safetensors     logits (N, C), and predicted and true labels (N,), in the split's own
      points/POINT/predictions/…        the same, for a step or a sparsity level inside the stage
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

import numpy as np
from accelerate import Accelerator
from safetensors.numpy import save_file

from srframework import masks
from srframework.contracts import Predictions
from srframework.files import json_text, read_json
from srframework.recipe.model import Stage
from srframework.run.directory import Figures
from srframework.run.machine import record
from srframework.run.resources import Materials
from srframework.run.stage import point_in
from srframework.store.drafts import Sums, emptied

FIGURES = "figures.json"


def measure(
    stage: Stage, trained: Path, points: Iterable[str], materials: Materials, accelerator: Accelerator, into: Path
) -> Sums | None:
    """Every figure of a trained stage, and of these points inside it; what was written, of the first process."""
    sums = emptied(into) if accelerator.is_main_process else None
    if sums is not None:
        record(into, sums, str(accelerator.device))
    final = _measured(stage, trained, materials, accelerator, into, sums)
    of_points = {
        point: _measured(stage, point_in(trained, point), materials, accelerator, point_in(into, point), sums)
        for point in points
    }
    if sums is not None:
        figures = {"final": asdict(final), "points": {point: asdict(each) for point, each in of_points.items()}}
        with sums.file(into / FIGURES) as file:
            file.write_text(json_text(figures), encoding="utf-8")
    return sums


def read_figures(measured: Path) -> tuple[Figures, dict[str, Figures]]:
    """What :func:`measure` wrote: of the end, and of the points in the order in which they were reached."""
    figures = read_json(measured / FIGURES)
    return Figures(**figures["final"]), {point: Figures(**each) for point, each in figures["points"].items()}


def predictions_file(place: Path, split: str) -> Path:
    """Where the predictions for a split are kept, whatever its name is made of."""
    return place / "predictions" / f"{quote(split, safe=' ')}.safetensors"


def _measured(
    stage: Stage, place: Path, materials: Materials, accelerator: Accelerator, into: Path, sums: Sums | None
) -> Figures:
    task = materials.task
    network = materials.load(place / "model")
    model = network.model.to(accelerator.device)
    evaluations = {}
    for split in task.evaluated:
        predictions = Predictions(split, materials.logits(model, split, stage))
        if sums is not None:
            _save(predictions, predictions_file(into, split.name), sums)
        evaluations[split.name] = materials.figures(predictions)
    if measured := materials.measures(network):
        evaluations["model"] = measured
    return Figures(
        sparsity=masks.sparsity(network.counted()),
        id=materials.metric(evaluations[materials.reported.name]),
        ood={split.name: materials.metric(evaluations[split.name]) for split in task.ood},
        also={split.name: materials.metric(evaluations[split.name]) for split in task.also},
        evaluations=evaluations,
    )


def _save(predictions: Predictions, path: Path, sums: Sums) -> None:
    arrays = {
        "logits": predictions.logits,
        "predicted": np.asarray(predictions.predicted, dtype=np.int64),
        "label": np.asarray(predictions.gold, dtype=np.int64),
    }
    with sums.file(path) as temporary:
        save_file(arrays, temporary)
