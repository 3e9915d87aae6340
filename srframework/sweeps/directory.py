"""The directory of a sweep.

::

    SWEEP/
      sweep.json    the reports of the completed runs, in the order of the cells
      SLUG/         the run of a cell; a slug may contain a slash
      logs/         the progress of each task, if other processes run the tasks
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from srframework.errors import UsageError
from srframework.files import write_json
from srframework.hashing import digest
from srframework.recipe.sweep import Cell
from srframework.run.directory import check_vacant, slug
from srframework.run.directory_lock import locked, sentences
from srframework.run.state import is_finished, make_waiting

LOGS = "logs"


class SweepDirectory:
    """The directory of a sweep: new, empty, or of a sweep of the same cells or of some of them.

    Args:
        path: Path of the directory; :meth:`make` creates it.
        cells: The cells of the sweep.
        beside: Names of further files that the directory may contain.

    Raises:
        UsageError: The directory contains other files or another sweep; names the difference.
    """

    def __init__(self, path: Path, cells: Sequence[Cell], beside: Collection[str] = ()) -> None:
        self.path, self._cells, self._beside = path, cells, beside
        self._check()

    def _check(self) -> None:
        slugs = {cell.slug for cell in self._cells}
        known = {*(slug.partition("/")[0] for slug in slugs), LOGS, "sweep.json", *self._beside}
        depths = {1, *(slug.count("/") + 1 for slug in slugs)}
        try:
            if not self.path.is_dir():
                if self.path.exists():
                    raise UsageError(f"--out {self.path}: expected a directory, got a file")
                return
            found = [each for each in sorted(self.path.iterdir()) if not each.name.startswith(".")]
            others = [each for each in found if each.name not in known]
            recipes = [each for depth in depths for each in self.path.glob("*/" * depth + "recipe.toml")]
            there = sorted(each.parent.relative_to(self.path).as_posix() for each in recipes)
            runs = [name for name in there if name not in slugs and not name.startswith(".")]
        except OSError as error:
            raise UsageError(f"--out {self.path}: the directory cannot be read: {error.strerror}") from error
        if runs:
            more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
            got = f"got one of another sweep; not in this sweep: {runs[0]}{more}"
            raise UsageError(
                f"--out {self.path}: expected a new or an empty directory, or one of the same sweep, {got}"
            )
        if others:
            raise UsageError(f"--out {self.path}: expected a new or an empty directory, got one that is not empty")
        for cell in self._cells:
            check_vacant(self.path / cell.slug, "recipe.toml", cell.recipe.to_toml())

    @classmethod
    def default_path(cls, cells: Sequence[Cell]) -> Path:
        """``runs/<recipe>-<hash of all cells>``, relative to the current directory."""
        every = [[cell.slug, cell.recipe.table()] for cell in cells]
        return Path("runs") / f"{slug(cells[0].recipe.name)}-{digest(every)[:8]}"

    def make(self) -> None:
        """Create the directory, with the resolved recipe of each cell.

        Raises:
            UsageError: It cannot be created, or another process has started other work in it.
        """
        with locked(self.path, self._check, leave=False):
            for cell in self._cells:
                make_waiting(self.path / cell.slug, cell.recipe)

    def finished(self) -> list[int]:
        """The numbers of the cells whose run is finished, counted from 0."""
        return [number for number, cell in enumerate(self._cells) if is_finished(self.path / cell.slug)]

    def write(self, reports: Sequence[Mapping[str, Any]]) -> None:
        """Write sweep.json.

        Raises:
            RunDirectoryError: The file cannot be written.
        """
        with sentences(self.path):
            write_json(self.path / "sweep.json", reports)
