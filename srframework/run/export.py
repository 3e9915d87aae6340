"""Write the models of a run in full, for plain transformers, where the run directory has them packed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from srframework.errors import UsageError
from srframework.recipe.model import Reference
from srframework.run.directory import stage_place
from srframework.run.directory_lock import sentences
from srframework.run.paths import MODEL, PACKED
from srframework.run.saved_model import SavedModel
from srframework.store.content import POINTS
from srframework.text import choices_text, nearest, shorten


@dataclass(frozen=True)
class Exported:
    """A model in full in a run directory.

    Attributes:
        run: The run directory.
        stage: Its stage, or the point in it: imp@0.5.
        path: The directory of the model.
        is_new: Whether it was written now.
    """

    run: Path
    stage: str
    path: Path
    is_new: bool


def models(run: Path) -> list[str]:
    """Return the names of the stages and points with a model in a run directory: full, imp, imp@0.5."""
    found = []
    for stage in sorted((run / "stages").glob("*")):
        points = sorted((stage / POINTS).glob("*"), key=lambda point: (_number(point.name), point.name))
        places = [(stage.name, stage), *((f"{stage.name}@{point.name}", point) for point in points)]
        found += [name for name, place in places if (place / MODEL).is_dir() or (place / PACKED).is_dir()]
    return found


def _number(point: str) -> float:
    try:
        return float(point)
    except ValueError:
        return math.inf


def export_models(run: Path, wanted: Sequence[str] = ()) -> Iterator[Exported]:
    """Write models of a run in full, each into ``model/`` beside its packed form.

    Args:
        run: A run directory.
        wanted: Stages, or points in them: imp, imp@0.5; empty for all.

    Raises:
        UsageError: The run has no such model.
        BackboneError: A file of a packed model is missing or damaged.
        RunDirectoryError: The run directory cannot be written.
    """
    known = models(run)
    names = [str(Reference.parse(name)) for name in wanted] or known
    if missing := [name for name in names if name not in known]:
        hint = choices_text(nearest(missing[0], known), known)
        raise UsageError(f"{run}: it has no model of {shorten(missing[0])}{hint}")
    for name in names:
        place = stage_place(run, Reference.parse(name))
        is_new = not (place / MODEL).is_dir()
        saved = SavedModel(place)
        if saved.is_packed:
            with sentences(run):
                saved.unpack(place / MODEL)
        yield Exported(run, name, place / MODEL, is_new)
