"""The run directory: what a run leaves behind, each file whole or not there.

::

    RUN/
      recipe.toml               the resolved recipe: every option said; runs again as it is
      run.json                  state, versions, plugins, data fingerprints, machine; the key of each stage in the store
      results.json              what `run --json` prints; only of a finished run
      summary.json              its figures and its resolved recipe, for `srframework results`
      run.log                   the lines of its progress, of each attempt; of a single run
      bias.json                 how good the bias model is by itself; only where a loss has one
      stages/NAME/              its files; see :mod:`srframework.run.stage_files`

What comes from the store is linked to it where the file system can, and else copied.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar, cast

import tomli

from srframework.errors import UsageError
from srframework.files import (
    is_temporary,
    link_file,
    read_bytes,
    remove,
    write_json,
    write_text,
)
from srframework.hashing import digest
from srframework.recipe.dotted_keys import differences
from srframework.recipe.model import Recipe, Reference
from srframework.run import state as states
from srframework.run import versions
from srframework.run.directory_lock import LOCK, locked, make_directory, sentences
from srframework.run.results import FIGURES, Measured
from srframework.run.stage_files import LOG, point_in
from srframework.run.state import State, check_format

_Method = TypeVar("_Method", bound=Callable[..., None])


def _writes(method: _Method) -> _Method:
    """A method of a run directory that writes into it; what the file system refuses becomes a sentence."""

    @functools.wraps(method)
    def write(self: RunDirectory, *arguments: Any) -> None:
        with sentences(self.path):
            method(self, *arguments)

    return cast("_Method", write)


class RunDirectory:
    """A run's directory, new or of the same recipe; nothing is written before :meth:`begin`.

    Args:
        path: Must not exist, be empty, or be a run of ``recipe``.
        recipe: What is run.
        note: Told when the results of a finished run are replaced.

    Raises:
        UsageError: It is none of these; says what differs.
    """

    def __init__(self, path: Path, recipe: Recipe, note: Callable[[str], None] = lambda _: None) -> None:
        self.path, self._recipe, self._note = path, recipe, note
        self._check()
        self._is_finished = False
        self._facts: dict[str, Any] = {}
        self._stages: dict[str, dict[str, str]] = {}

    @classmethod
    def default_path(cls, recipe: Recipe, processes: int = 1) -> Path:
        """``runs/<recipe>-<seed>-<hash of the resolved recipe>``, under the current directory: the same for the same
        recipe, so that it goes on there; with ``-<n>-processes`` where there are several, of which each has a batch."""
        several = f"-{processes}-processes" if processes > 1 else ""
        return Path("runs") / f"{slug(recipe.name)}-{recipe.seed}-{digest(recipe.table())[:8]}{several}"

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes from working in it; wait, and say so, where one does.

        Raises:
            UsageError: By then it is of another run.
            RunDirectoryError: It cannot be locked.
        """
        return locked(self.path, self._check, self._note)

    def _check(self) -> None:
        check_vacant(self.path, "recipe.toml", self._recipe.to_toml())

    @_writes
    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write the resolved recipe, and what the run depends on; the caller has locked the directory.

        Raises:
            RunDirectoryError: The directory cannot be written, as all that write into it do.
        """
        make_directory(self.path)
        self._tidy()
        write_text(self.path / "recipe.toml", self._recipe.to_toml())
        recipe = self._recipe
        self._facts = {"recipe": recipe.name, "seed": recipe.seed, **facts, "versions": versions.run_versions(recipe)}
        before = states.read(self.path)
        self._stages = states.stages_of(before)
        self._facts["notes"] = [*facts.get("notes", []), *self._notes_of_stages(before)]
        self._is_finished = before.get("state") == "finished"
        if not self._is_finished:
            self.mark("running")

    def _notes_of_stages(self, before: Mapping[str, Any]) -> list[str]:
        """What an earlier run of the same data noted while it computed its stages, which this one may not."""
        notes = before.get("notes")
        if not isinstance(notes, list) or before.get("data") != self._facts.get("data"):
            return []
        return [note for note in notes if isinstance(note, str) and note not in self._facts.get("notes", [])]

    def _tidy(self) -> None:
        """Remove what a process that was killed had not brought to its name."""
        for left in [path for path in (*self.path.glob(".*"), *self.path.glob("stages/**/.*")) if is_temporary(path)]:
            remove(left)

    @_writes
    def mark(self, state: State, error: str = "") -> None:
        """Say in run.json whether the run is running, finished, failed or interrupted.

        A run that was finished before stays so while each of its stages is what it was.
        """
        if self._is_finished and state != "finished":
            return
        self._is_finished = state == "finished"
        states.write(self.path, state, {**self._facts, "stages": self._stages}, error)

    def at(self, reference: Reference) -> Path:
        """Where the stage, or the point in it, is kept."""
        return stage_place(self.path, reference)

    @_writes
    def refer(self, stage: str, kind: str, key: str) -> None:
        """Say in run.json that the run uses an entry of the store, or waits for it.

        Where it used another, what comes of that one is removed, and the run is no longer finished.
        """
        place, before = self.at(Reference(stage)), self._stages.get(stage, {}).get(kind)
        if before == key:
            return
        if self._is_finished:
            self._note(
                f"run directory {self.path}: stages.{stage} is not what it was when this run was finished (other "
                "versions, data or number of processes); its results are replaced"
            )
        self._is_finished = False
        if kind == "trained" and before is not None:
            remove(place)  # what another version of a plugin made of the same recipe
        self._stages.setdefault(stage, {})[kind] = key
        self.mark("running")

    @_writes
    def write_notes(self, notes: Sequence[str]) -> None:
        """Write into run.json what the user should know of the data."""
        if self._facts.get("notes") != notes:
            self._facts["notes"] = list(notes)
            self.mark("running")

    @_writes
    def follow(self, stage: str, log: Path) -> None:
        """Show the log of a stage while it is computed."""
        log.touch()
        self.link(log, self.at(Reference(stage)) / LOG)

    @_writes
    def link(self, file: Path, place: Path) -> None:
        """Have a file of the store at ``place`` too."""
        place.parent.mkdir(parents=True, exist_ok=True)
        link_file(file, place)

    @_writes
    def write_bias(self, report: Mapping[str, Any]) -> None:
        """Write how good the bias model is by itself."""
        write_json(self.path / "bias.json", report)

    @_writes
    def write_figures(self, stage: str, measured: Measured) -> None:
        """Write the figures of a finished stage, and of the points inside it."""
        write_text(self.at(Reference(stage)) / FIGURES, measured.text())

    @_writes
    def finish(self, report: Mapping[str, Any], id_split: str) -> None:
        """Write results.json and summary.json; the run is finished. ``id_split``: of which split the ID figure is."""
        write_json(self.path / "results.json", report)
        head = {**{key: report[key] for key in ("run", "recipe", "seed")}, "id_split": id_split}
        stages = [_brief(stage) for stage in report["stages"]]
        write_json(self.path / "summary.json", {**head, "stages": stages, "settings": self._recipe.table()})
        self.mark("finished")


def stage_place(run: Path, reference: Reference) -> Path:
    """The directory of a stage, or of a point in it, in a run directory."""
    return point_in(run / "stages" / reference.stage, reference.point)


def _brief(row: Mapping[str, Any]) -> dict[str, Any]:
    """A stage's row, or a level's, less what only its own run is asked for."""
    brief = {key: value for key, value in row.items() if key != "evaluations"}
    return brief | {"levels": [_brief(level) for level in row["levels"]]} if "levels" in row else brief


def slug(name: str) -> str:
    """A recipe's name as part of the name of a directory."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:48] or "recipe"


def check_vacant(path: Path, file: str, expected: str | None = None) -> None:
    """Refuse a directory that holds anything but work on the same.

    Args:
        path: The directory, which need not exist.
        file: The file in it that says on what it is work.
        expected: What that file, a recipe, is to contain; None for whatever it does.

    Raises:
        UsageError: It holds something else; says what differs.
    """
    try:
        if path.exists() and not path.is_dir():
            raise UsageError(f"--out {path}: expected a new or an empty directory, got a file")
        if not path.is_dir() or all(each.name == LOCK or is_temporary(each) for each in path.iterdir()):
            return
        is_there = (path / file).is_file()
    except OSError as error:
        raise UsageError(f"--out {path}: the directory cannot be read: {error.strerror}") from error
    check_format(path)
    if not is_there:
        raise UsageError(f"--out {path}: expected a new or an empty directory, got one that is not empty")
    if expected is None:
        return
    try:
        found = read_bytes(path / file).decode("utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"--out {path}: {path / file} cannot be read: {error.strerror}") from error
    if found != expected:
        try:
            there, here = tomli.loads(found), tomli.loads(expected)
            differing = differences(there, here)
            if type(there.get("schema")) is int and there["schema"] > here["schema"]:
                differing = [f"it was written by a newer srframework (schema {there['schema']})"]
        except (ValueError, TypeError, RecursionError):
            differing = [f"its {file} is no TOML"]
        told = "; ".join(differing[:3]) + (f"; and {len(differing) - 3} more" if len(differing) > 3 else "")
        raise UsageError(
            f"--out {path}: expected a new or an empty directory, or one of the same recipe, got one of another: {told}"
        )
