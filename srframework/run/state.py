"""run.json: the state of a run, and what it depends on. All that is written into it is written here."""

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
"""Of run directories; run.json has ``"format"`` where it is another."""

State = Literal["waiting", "running", "finished", "failed", "interrupted"]

_OF_FINISHED = ("results.json", "summary.json")
"""The files that only a finished run has."""


def write(path: Path, state: State, record: Mapping[str, Any], error: str = "") -> None:
    """Write run.json; what only a finished run has goes where the run is not.

    Args:
        path: The run directory.
        state: Of the run.
        record: What else is in the file.
        error: Why it failed.
    """
    kept = {key: value for key, value in record.items() if key not in ("state", "error")}
    write_json(path / NAME, {"state": state, **({"error": error} if error else {}), **kept})
    if state != "finished":
        for name in _OF_FINISHED:
            (path / name).unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
    """What is in run.json; empty where it cannot be read."""
    try:
        record = read_json(path / NAME)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def check_format(path: Path) -> None:
    """Refuse a run directory of another format.

    Raises:
        UsageError: It is of a later one, or its run.json says none that there is.
    """
    written = read(path).get("format", FORMAT)
    if type(written) is not int or written != FORMAT:
        by = "a newer srframework" if type(written) is int and written > FORMAT else "no srframework that is known here"
        raise UsageError(
            f"--out {path}: expected a run directory of format {FORMAT}, got one that was written by {by} "
            f"(format {shorten(written)})"
        )


def mark_failed(path: Path, error: str) -> None:
    """Say in run.json that a run failed, unless it was finished before.

    Raises:
        RunDirectoryError: The directory cannot be written.
    """
    make_directory(path)
    if is_finished(path):
        return
    with sentences(path):
        write(path, "failed", read(path), error)


def make_waiting(path: Path, recipe: Recipe) -> None:
    """Make the directory of a run that is to come, so that what is computed for it stays; one that was begun is left.

    Raises:
        UsageError: It cannot be made.
        RunDirectoryError: It cannot be written.
    """
    make_directory(path)
    with sentences(path):
        if not (path / "recipe.toml").exists():
            write_text(path / "recipe.toml", recipe.to_toml())
        if not os.path.lexists(path / NAME):
            write(path, "waiting", {})


def is_finished(path: Path) -> bool:
    """Whether a run directory is there, and finished."""
    return read(path).get("state") == "finished"


def read_state(path: Path) -> str | None:
    """What run.json says of a run; ``"killed"`` where it says that it goes on, and no process works in the directory.

    None where it cannot be read.
    """
    state = read(path).get("state")
    if state == "running" and not is_locked(path):
        return "killed"
    return state if isinstance(state, str) else None


def stages_of(state: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Of run.json, stage -> kind -> key in the store; what is no such thing is left out."""
    stages = state.get("stages")
    return {
        stage: {kind: key for kind, key in kinds.items() if isinstance(key, str)}
        for stage, kinds in (stages.items() if isinstance(stages, dict) else ())
        if isinstance(kinds, dict)
    }
