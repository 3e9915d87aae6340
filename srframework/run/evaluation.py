"""Measures the models of a stage and writes the results into a directory; see :mod:`srframework.run.paths`.

Predictions are logits ``(N, C)`` and predicted and true labels ``(N,)``, in the split's own labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from safetensors.numpy import save_file

from srframework import masks
from srframework.contracts import Predictions
from srframework.recipe.model import Stage
from srframework.run.machine import record
from srframework.run.paths import MODEL, point_in, predictions_file
from srframework.run.resources import Materials
from srframework.run.results import FIGURES, Figures, Measured
from srframework.store.drafts import Sums, emptied


def measure(
    stage: Stage, trained: Path, points: Iterable[str], materials: Materials, accelerator: Accelerator, into: Path
) -> Sums | None:
    """Measure a trained stage and these points inside it; return the checksums, or None if not the first process."""
    sums = emptied(into) if accelerator.is_main_process else None
    if sums is not None:
        record(into, sums, str(accelerator.device))
    final = _measured(stage, trained, materials, accelerator, into, sums)
    of_points = {
        point: _measured(stage, point_in(trained, point), materials, accelerator, point_in(into, point), sums)
        for point in points
    }
    if sums is not None:
        with sums.file(into / FIGURES) as file:
            file.write_text(Measured(final, of_points).text(), encoding="utf-8")
    return sums


def _measured(
    stage: Stage, place: Path, materials: Materials, accelerator: Accelerator, into: Path, sums: Sums | None
) -> Figures:
    task = materials.task
    network = materials.load(place / MODEL)
    model = network.model.to(accelerator.device)
    evaluations = {}
    for split in task.evaluated:
        predictions = Predictions.of_split(split, materials.logits(model, split, stage))
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
