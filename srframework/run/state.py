"""run.json: the state of a run and its inputs. Only this module writes the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from srframework.errors import UsageError
from srframework.files import read_json, write_json, write_text
from srframework.recipe.model import Recipe
from srframework.run.directory_lock import is_locked, make_directory, sentences
from srframework.text import shorten

NAME = "run.json"

FORMAT = 1
"""Format of run directories. run.json names the format only if it is not this one."""

State = Literal["waiting", "running", "finished", "failed", "interrupted"]

_OF_FINISHED = ("results.json", "summary.json")
"""The files that only a finished run has."""


def write(path: Path, state: State, record: Mapping[str, Any], error: str = "") -> None:
    """Write run.json; remove the files of a finished run if the run is not finished.

    Args:
        path: The run directory.
        state: State of the run.
        record: All other content of the file.
        error: Reason of a failure.
    """
    kept = {key: value for key, value in record.items() if key not in ("state", "error")}
    write_json(path / NAME, {"state": state, **({"error": error} if error else {}), **kept})
    if state != "finished":
        for name in _OF_FINISHED:
            (path / name).unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
    """Read run.json; return an empty table if it cannot be read."""
    try:
        record = read_json(path / NAME)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def check_format(path: Path) -> None:
    """Refuse a run directory of another format.

    Raises:
        UsageError: The format is newer or unknown.
    """
    written = read(path).get("format", FORMAT)
    if type(written) is not int or written != FORMAT:
        by = "a newer srframework" if type(written) is int and written > FORMAT else "an unknown version of srframework"
        raise UsageError(
            f"--out {path}: expected a run directory of format {FORMAT}, got one that was written by {by} "
            f"(format {shorten(written)})"
        )


def mark_failed(path: Path, error: str) -> None:
    """Write into run.json that a run failed, unless it is finished.

    Raises:
        RunDirectoryError: The directory cannot be written.
    """
    make_directory(path)
    if is_finished(path):
        return
    with sentences(path):
        write(path, "failed", read(path), error)


def make_waiting(path: Path, recipe: Recipe) -> None:
    """Create the directory of a future run, so that garbage collection keeps its results.

    The directory of a run that has begun stays as it is.

    Raises:
        UsageError: The directory cannot be created.
        RunDirectoryError: The directory cannot be written.
    """
    make_directory(path)
    with sentences(path):
        if not (path / "recipe.toml").exists():
            write_text(path / "recipe.toml", recipe.to_toml())
        if not os.path.lexists(path / NAME):
            write(path, "waiting", {})


def is_finished(path: Path) -> bool:
    """Whether a run directory exists and its run is finished."""
    return read(path).get("state") == "finished"


def read_state(path: Path) -> str | None:
    """Return the state of a run from run.json; ``"killed"`` if it is ``"running"`` and no process has the lock.

    None if run.json cannot be read.
    """
    state = read(path).get("state")
    if state == "running" and not is_locked(path):
        return "killed"
    return state if isinstance(state, str) else None


def stages_of(state: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return stage -> kind -> key in the store, from run.json; invalid items are left out."""
    stages = state.get("stages")
    return {
        stage: {kind: key for kind, key in kinds.items() if isinstance(key, str)}
        for stage, kinds in (stages.items() if isinstance(stages, dict) else ())
        if isinstance(kinds, dict)
    }
