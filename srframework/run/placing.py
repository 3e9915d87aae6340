"""Put the files of a finished stage into a run directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from srframework.recipe.model import Reference
from srframework.run import state as states
from srframework.run.directory import RunDirectory, stage_place
from srframework.run.machine import MACHINE
from srframework.run.paths import MODEL, PACKED, part_of, point_in, point_of
from srframework.run.results import FIGURES
from srframework.store.content import BASE
from srframework.store.manifest import Entry


def place_stage(
    directory: RunDirectory, stage: str, points: Sequence[str], trained: Entry, measured: Entry, full: bool
) -> None:
    """Link the files of a stage into the run directory.

    Args:
        directory: The run directory.
        stage: Name of the stage.
        points: The points inside the stage that belong to the run.
        trained: The entry with the models.
        measured: The entry with the predictions.
        full: Write packed models in full, for plain transformers. False: link their packed files, and the weights to
            which they refer.
    """
    for file, inside in links(points, trained, measured, full):
        directory.link(file, directory.at(Reference(stage)) / inside)
    if full:
        from srframework.run.saved_model import SavedModel  # loads torch

        for point in (None, *points):
            saved = SavedModel(point_in(trained.files, point))
            if saved.is_packed:
                place = directory.at(Reference(stage, point)) / MODEL
                directory.unpack(saved, place, [twin for twin in _twins(trained, point) if twin != place])


def links(points: Sequence[str], trained: Entry, measured: Entry, full: bool) -> Iterator[tuple[Path, Path]]:
    """Yield each file of the store that belongs to the run, and its path in the directory of the stage.

    The arguments are those of :func:`place_stage`.
    """
    for files in (trained.files, measured.files):
        for file in sorted(each for each in files.rglob("*") if each.is_file()):
            inside = file.relative_to(files)
            wanted = point_of(inside) in (None, *points) and inside.name not in (FIGURES, MACHINE)
            if wanted and not (full and part_of(inside) in (PACKED, BASE)):
                yield file, inside


def _twins(trained: Entry, point: str | None) -> Iterator[Path]:
    """Yield where other run directories that use the entry have the model in full."""
    for run in trained.users():
        for stage, kinds in states.stages_of(states.read(run)).items():
            if kinds.get("trained") == trained.key:
                yield stage_place(run, Reference(stage, point)) / MODEL
