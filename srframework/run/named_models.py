"""The models of a run directory by their names: ``full``, ``imp``, ``imp@0.5``; and ``RUN@STAGE``."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from srframework.errors import UsageError
from srframework.recipe.model import Reference
from srframework.run.paths import MODEL, PACKED
from srframework.store.content import POINTS
from srframework.text import choices_text, nearest, shorten


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


def require_model(run: Path, name: str) -> Reference:
    """Return the stage or point of a run with this name.

    Raises:
        UsageError: The run has no model of it; lists the models.
    """
    known, wanted = models(run), Reference.parse(name)
    if str(wanted) not in known:
        near = choices_text(nearest(str(wanted), known), known)
        raise UsageError(f"{run}: it has no model of {shorten(str(wanted))}{near}")
    return wanted


def split(argument: str) -> tuple[str, str | None]:
    """Split ``DIR@STAGE``; a directory may have an @ in its name."""
    for directory, name in _splits(argument):
        if os.path.isdir(directory):
            return directory, name
    return argument.partition("@")[0], None


def _splits(argument: str) -> Iterator[tuple[str, str | None]]:
    yield argument, None
    for place in range(len(argument) - 1, 0, -1):
        if argument[place] == "@":
            yield argument[:place], argument[place + 1 :]
