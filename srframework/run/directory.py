"""The run directory: the files of a run, written atomically.

::

    RUN/
      recipe.toml               the resolved recipe, with all options; can be run again
      run.json                  state, versions, plugins, data fingerprints, machine; the key of each stage in the store
      results.json              the output of `run --json`; only in a finished run
      summary.json              figures and resolved recipe, for `srframework results`
      run.log                   the progress of each attempt; only of a single run
      bias.json                 accuracy of the bias model; only if a loss or an evaluator needs one
      baselines.json            figures of the majority class and of the bias model
      stages/NAME/              files of a stage; see :mod:`srframework.run.paths`

Files of the store are linked if the file system can do so, and otherwise copied.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
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
from srframework.run.paths import LOG, point_in
from srframework.run.results import BASELINES, FIGURES, Figures, Measured
from srframework.run.state import State, check_format

if TYPE_CHECKING:
    from srframework.run.saved_model import SavedModel  # loads torch, and `results` reads run directories

_Method = TypeVar("_Method", bound=Callable[..., None])


def _writes(method: _Method) -> _Method:
    """Decorate a method that writes into the run directory: errors of the file system become messages."""

    @functools.wraps(method)
    def write(self: RunDirectory, *arguments: Any) -> None:
        with sentences(self.path):
            method(self, *arguments)

    return cast("_Method", write)


class RunDirectory:
    """The directory of one run. Nothing is written before :meth:`begin`.

    Args:
        path: A new or empty directory, or the directory of a run of ``recipe``.
        recipe: The recipe of the run.
        note: Receives a message when the results of a finished run are replaced.

    Raises:
        UsageError: ``path`` is none of these; the message lists the differences.
    """

    def __init__(self, path: Path, recipe: Recipe, note: Callable[[str], None] = lambda _: None) -> None:
        self.path, self._recipe, self._note = path, recipe, note
        self._check()
        self._is_finished = False
        self._facts: dict[str, Any] = {}
        self._stages: dict[str, dict[str, str]] = {}

    @classmethod
    def default_path(cls, recipe: Recipe, processes: int = 1) -> Path:
        """Return ``runs/<recipe>-<seed>-<hash of the resolved recipe>``, relative to the current directory.

        The same recipe gives the same path, so that its run resumes there. Several processes, each with its own
        batch, add ``-<n>-processes``.
        """
        several = f"-{processes}-processes" if processes > 1 else ""
        return Path("runs") / f"{slug(recipe.name)}-{recipe.seed}-{digest(recipe.table())[:8]}{several}"

    def locked(self) -> AbstractContextManager[None]:
        """Lock the directory; report and wait while another process has the lock.

        Raises:
            UsageError: The directory belongs to another run by then.
            RunDirectoryError: The directory cannot be locked.
        """
        return locked(self.path, self._check, self._note)

    def _check(self) -> None:
        check_vacant(self.path, "recipe.toml", self._recipe.to_toml())

    @_writes
    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write the resolved recipe and run.json; the caller has locked the directory.

        Raises:
            RunDirectoryError: The directory cannot be written. All methods that write raise this.
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
        """Return the notes of an earlier run on the same data; stages that are reused do not give them again."""
        notes = before.get("notes")
        if not isinstance(notes, list) or before.get("data") != self._facts.get("data"):
            return []
        return [note for note in notes if isinstance(note, str) and note not in self._facts.get("notes", [])]

    def _tidy(self) -> None:
        """Remove the temporary files of killed processes."""
        for left in [path for path in (*self.path.glob(".*"), *self.path.glob("stages/**/.*")) if is_temporary(path)]:
            remove(left)

    @_writes
    def mark(self, state: State, error: str = "") -> None:
        """Write the state of the run into run.json.

        A finished run stays finished until one of its stages changes.
        """
        if self._is_finished and state != "finished":
            return
        self._is_finished = state == "finished"
        states.write(self.path, state, {**self._facts, "stages": self._stages}, error)

    def at(self, reference: Reference) -> Path:
        """Return the directory of a stage or of a point in it."""
        return stage_place(self.path, reference)

    @_writes
    def refer(self, stage: str, kind: str, key: str) -> None:
        """Write into run.json that the run uses an entry of the store or waits for it.

        If it used another entry before, the files from that one are removed and the run is no longer finished.
        """
        place, before = self.at(Reference(stage)), self._stages.get(stage, {}).get(kind)
        if before == key:
            return
        if self._is_finished:
            self._note(
                f"run directory {self.path}: stages.{stage} has changed since this run was finished (other "
                "versions, data or number of processes); its results are replaced"
            )
        self._is_finished = False
        if kind == "trained" and before is not None:
            remove(place)  # e.g. files of another version of a plugin
        self._stages.setdefault(stage, {})[kind] = key
        self.mark("running")

    @_writes
    def write_notes(self, notes: Sequence[str]) -> None:
        """Write the notes about the data into run.json."""
        if self._facts.get("notes") != notes:
            self._facts["notes"] = list(notes)
            self.mark("running")

    @_writes
    def follow(self, stage: str, log: Path) -> None:
        """Link the log of a stage into the run directory while the stage is computed."""
        log.touch()
        self.link(log, self.at(Reference(stage)) / LOG)

    @_writes
    def link(self, file: Path, place: Path) -> None:
        """Link or copy a file of the store to ``place``."""
        place.parent.mkdir(parents=True, exist_ok=True)
        link_file(file, place)

    @_writes
    def unpack(self, saved: SavedModel, place: Path, twins: Iterable[Path]) -> None:
        """Write a packed model in full to ``place``; see :meth:`srframework.run.saved_model.SavedModel.unpack`."""
        saved.unpack(place, twins)

    @_writes
    def write_bias(self, report: Mapping[str, Any]) -> None:
        """Write bias.json."""
        write_json(self.path / "bias.json", report)

    @_writes
    def write_baselines(self, baselines: Mapping[str, Figures]) -> None:
        """Write the figures of the baselines."""
        write_json(self.path / BASELINES, {name: msgspec.to_builtins(each) for name, each in baselines.items()})

    @_writes
    def write_figures(self, stage: str, measured: Measured) -> None:
        """Write the figures of a finished stage and of its points."""
        write_text(self.at(Reference(stage)) / FIGURES, measured.text())

    @_writes
    def finish(self, report: Mapping[str, Any]) -> None:
        """Write results.json and summary.json and mark the run finished."""
        write_json(self.path / "results.json", report)
        head = {key: report[key] for key in ("run", "recipe", "seed", "id_split", "dev_split")}
        rows = {key: [_brief(each) for each in report[key]] for key in ("stages", "baselines")}
        write_json(self.path / "summary.json", {**head, **rows, "settings": self._recipe.table()})
        self.mark("finished")


def stage_place(run: Path, reference: Reference) -> Path:
    """Return the directory of a stage, or of a point in it, in a run directory."""
    return point_in(run / "stages" / reference.stage, reference.point)


def _brief(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a stage or of a level without its evaluations."""
    brief = {key: value for key, value in row.items() if key != "evaluations"}
    return brief | {"levels": [_brief(level) for level in row["levels"]]} if "levels" in row else brief


def slug(name: str) -> str:
    """Return a recipe's name in a form for directory names."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:48] or "recipe"


def check_vacant(path: Path, file: str, expected: str | None = None) -> None:
    """Refuse a directory with other content.

    Args:
        path: The directory, which need not exist.
        file: The recipe file in it.
        expected: Expected content of that file; None accepts any.

    Raises:
        UsageError: The directory has other content; the message lists the differences.
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
            differing = [f"its {file} is not valid TOML"]
        more = "; ".join(differing[:3]) + (f"; and {len(differing) - 3} more" if len(differing) > 3 else "")
        raise UsageError(f"--out {path}: this directory has a run of another recipe ({more}); choose a new directory")
