"""Measure a saved model: figures of the evaluators, and predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from srframework import masks
from srframework.contracts import Predictions, ReferencedStage
from srframework.masks import Mask
from srframework.recipe.model import Stage
from srframework.run import predictions_file as files
from srframework.run.collapse import has_collapsed
from srframework.run.machine import record
from srframework.run.paths import MASK, point_in, predictions_file
from srframework.run.resources import Materials
from srframework.run.results import FIGURES, Figures, Measured
from srframework.run.results import MODEL as OF_MODEL
from srframework.store.drafts import Sums, emptied

NOTHING: Mapping[str | None, Mapping[str, np.ndarray]] = {}


def measure(
    stage: Stage,
    trained: Path,
    points: Iterable[str],
    materials: Materials,
    accelerator: Accelerator,
    into: Path,
    stages: Mapping[str, ReferencedStage],
    logits: Mapping[str | None, Mapping[str, np.ndarray]] = NOTHING,
) -> Sums | None:
    """Measure a trained stage and these points inside it; return the checksums, or None if not the first process.

    ``stages``: the stages that options of evaluators refer to, by the text of the option.
    ``logits``: Those that are already known, of the stage's end (None) and of points, by split.
    """
    sums = emptied(into) if accelerator.is_main_process else None
    if sums is not None:
        record(into, sums, str(accelerator.device))

    def measured(point: str | None) -> Figures:
        known = logits.get(point, {})
        found, predictions = _measured(stage, point_in(trained, point), materials, accelerator, stages, known)
        if sums is not None:
            for each in predictions:
                with sums.file(predictions_file(point_in(into, point), each.split)) as file:
                    files.save(each, file)
        return found

    final = measured(None)
    of_points = {point: measured(point) for point in points}
    if sums is not None:
        with sums.file(into / FIGURES) as file:
            file.write_text(Measured(final, of_points).text(), encoding="utf-8")
    return sums


def _measured(
    stage: Stage,
    place: Path,
    materials: Materials,
    accelerator: Accelerator,
    stages: Mapping[str, ReferencedStage],
    logits: Mapping[str, np.ndarray],
) -> tuple[Figures, list[Predictions]]:
    task = materials.task
    network = materials.load(place)
    model = network.model.to(accelerator.device)
    predictions = {
        split.name: materials.predictions_of(split, logits[split.name])
        if split.name in logits
        else materials.predictions(model, split, stage)
        for split in task.evaluated
    }
    evaluations = {name: materials.evaluators.figures(each) for name, each in predictions.items()}
    mask = Mask.load(place / MASK) if (place / MASK).exists() else None
    if measured := materials.measures(network, mask, predictions, dict(evaluations), stages):
        evaluations[OF_MODEL] = measured
    found = Figures(
        sparsity=masks.sparsity(network.counted()),
        id=materials.figure(evaluations[materials.reported.name]),
        ood={split.name: materials.figure(evaluations[split.name]) for split in task.ood},
        also={split.name: materials.figure(evaluations[split.name]) for split in task.also},
        evaluations=evaluations,
        collapsed=[name for name, each in predictions.items() if has_collapsed(each)],
    )
    return found, [*predictions.values()]
