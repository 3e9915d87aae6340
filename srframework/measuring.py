"""What is measured of a stage's models, into a directory, and read back.

::

    DIRECTORY/
      figures.json                      of the stage's end, and of each point inside it
      predictions/SPLIT.safetensors     logits (N, C), and predicted and true labels (N,), in the split's own
      points/POINT/predictions/…        the same, for a step or a sparsity level inside the stage
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

import numpy as np
from accelerate import Accelerator
from safetensors.numpy import save_file

from srframework import masks
from srframework.contracts import Predictions
from srframework.files import atomic_file, write_json
from srframework.materials import Materials
from srframework.recipe import Stage
from srframework.runs import Figures
from srframework.stage_training import point_in

FIGURES = "figures.json"


def measure(
    stage: Stage, trained: Path, points: Iterable[str], materials: Materials, accelerator: Accelerator, into: Path
) -> None:
    """Every figure of a trained stage, and of these points inside it."""
    final = _measured(stage, trained, materials, accelerator, into)
    of_points = {
        point: _measured(stage, point_in(trained, point), materials, accelerator, point_in(into, point))
        for point in points
    }
    if accelerator.is_main_process:
        figures = {"final": asdict(final), "points": {point: asdict(each) for point, each in of_points.items()}}
        write_json(into / FIGURES, figures)


def read_figures(measured: Path) -> tuple[Figures, dict[str, Figures]]:
    """What :func:`measure` wrote: of the end, and of the points in the order in which they were reached."""
    figures = json.loads((measured / FIGURES).read_text(encoding="utf-8"))
    return Figures(**figures["final"]), {point: Figures(**each) for point, each in figures["points"].items()}


def predictions_file(place: Path, split: str) -> Path:
    """Where the predictions for a split are kept, whatever its name is made of."""
    return place / "predictions" / f"{quote(split, safe=' ')}.safetensors"


def _measured(stage: Stage, place: Path, materials: Materials, accelerator: Accelerator, into: Path) -> Figures:
    task = materials.task
    network = materials.load(place / "model")
    model = network.model.to(accelerator.device)
    evaluations = {}
    for split in task.evaluated:
        predictions = Predictions(split, materials.logits(model, split, stage))
        if accelerator.is_main_process:
            _save(predictions, predictions_file(into, split.name))
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


def _save(predictions: Predictions, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        "logits": predictions.logits,
        "predicted": np.asarray(predictions.predicted, dtype=np.int64),
        "label": np.asarray(predictions.gold, dtype=np.int64),
    }
    with atomic_file(path) as temporary:
        save_file(arrays, temporary)
