"""Tables of any figure that the evaluators computed, in place of the task's metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from srframework.contracts import Figure
from srframework.errors import DataError, UsageError
from srframework.files import read_json
from srframework.recipe.model import Reference
from srframework.report.runs import Run
from srframework.run.directory import stage_place
from srframework.run.results import (
    BASELINES,
    FIGURES,
    MODEL,
    Figures,
    Measured,
    StageAndLevels,
    StageFigures,
    of_baseline,
)
from srframework.text import choices_text, nearest, shorten
from srframework.training.chosen import Chosen


def with_metric(runs: Sequence[Run], metric: str) -> list[Run]:
    """Return the runs with the figure ``metric`` in place of the task's metric; without stages that lack it.

    Raises:
        UsageError: No run has the figure; names the nearest one.
        DataError: The figures of a run cannot be read.
    """
    found: list[Run] = []
    known: dict[str, None] = {}
    for run in runs:
        declared = next((each for each in declarations(run) if each.covers(metric)), None)
        stages = []
        for stage in run.stages:
            figures_of = measured(run, stage.name)
            names = [name for figures in (figures_of.final.evaluations or {}).values() for name in figures]
            known |= dict.fromkeys(names)
            if declared is not None and metric in names:
                stages.append(_stage(run, stage, figures_of, replace(declared, name=metric)))
        if stages:
            beside = [
                _baseline(run, each.name, figures, replace(declared, name=metric))
                for each in run.baselines
                if declared is not None and (figures := _of_baseline(run, each.name)) is not None
            ]
            found.append(replace(run, stages=stages, baselines=[each for each in beside if _has_figure(each)]))
    if not found:
        raise UsageError(f"--metric {metric}: no run has the figure {shorten(metric)}{_offer(metric, known)}")
    return found


def declarations(run: Run) -> list[Figure]:
    """Return what run.json says of the figures; the first is the task's metric."""
    try:
        return msgspec.convert(run.fact("figures"), list[Figure])
    except msgspec.ValidationError as error:
        raise DataError(f"{run.path}/run.json: expected the declarations of the figures; {error}") from error


def _offer(metric: str, known: Iterable[str]) -> str:
    names = sorted(known)
    return choices_text(nearest(metric, names), [name for name in names if "/" not in name])


def measured(run: Run, stage: str) -> Measured:
    """Read all figures of a stage and of its points.

    Raises:
        DataError: The file cannot be read.
    """
    place = stage_place(Path(run.path), Reference(stage))
    try:
        return msgspec.convert(msgspec.to_builtins(Measured.read(place)), Measured)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{place / FIGURES}: the figures cannot be read: {type(error).__name__}: {error}") from error


def _of_baseline(run: Run, name: str) -> Figures | None:
    """Return all figures of a baseline; None if they cannot be read."""
    try:
        return msgspec.convert(read_json(Path(run.path) / BASELINES)[name], Figures)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _baseline(run: Run, name: str, figures: Figures, figure: Figure) -> StageFigures:
    return of_baseline(name, _chosen(run, figures, figure), figure)


def _has_figure(figures: Figures) -> bool:
    return figures.id is not None or bool(figures.ood or figures.also)


def _stage(run: Run, stage: StageFigures, found: Measured, figure: Figure) -> StageAndLevels:
    points = {point: _chosen(run, each, figure) for point, each in found.points.items()}
    chosen = Chosen(step=stage.step, steps=stage.steps, candidates=stage.candidates)
    return Measured(_chosen(run, found.final, figure), points).of_stage(stage.name, stage.op, figure, chosen)


def _chosen(run: Run, figures: Figures, figure: Figure) -> Figures:
    """Return one figure in place of the task's metric."""
    values = {split: every[figure.name] for split, every in figures.evaluations.items() if figure.name in every}
    kinds: dict[str, Mapping[str, Any]] = {
        kind: {split: values[split] for split in getattr(figures, kind) if split in values} for kind in ("ood", "also")
    }
    of_model = {MODEL: values[MODEL]} if MODEL in values else {}
    return Figures(
        sparsity=figures.sparsity,
        id=values.get(run.id_split),
        ood=dict(kinds["ood"]),
        also={**kinds["also"], **of_model},
        collapsed=figures.collapsed,
    )
