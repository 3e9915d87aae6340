"""The directory of a sweep.

::

    SWEEP/
      sweep.json    the report of each run that is done, in the order of the cells
      SLUG/         the run of a cell; a slug may contain a slash
      logs/         the progress of each task, where several processes work
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
    """A directory that is new, empty, or of the same cells; it may be of fewer, when cells were added since.

    Args:
        path: Where it is; made by :meth:`make`.
        cells: Of the sweep.
        beside: Names of further files that it may have.

    Raises:
        UsageError: It holds something else; says what differs.
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
            more = f", and {len(runs) - 1} more" if len(runs) > 1 else ""
            got = f"got one of another, with the run {runs[0]}{more}, which this one has not"
            raise UsageError(
                f"--out {self.path}: expected a new or an empty directory, or one of the same sweep, {got}"
            )
        if others:
            raise UsageError(f"--out {self.path}: expected a new or an empty directory, got one that is not empty")
        for cell in self._cells:
            check_vacant(self.path / cell.slug, "recipe.toml", cell.recipe.to_toml())

    @classmethod
    def default_path(cls, cells: Sequence[Cell]) -> Path:
        """``runs/<recipe>-<hash of all cells>``, under the current directory: the same for the same sweep."""
        every = [[cell.slug, cell.recipe.table()] for cell in cells]
        return Path("runs") / f"{slug(cells[0].recipe.name)}-{digest(every)[:8]}"

    def make(self) -> None:
        """Make it, with the resolved recipe of each cell.

        Raises:
            UsageError: It cannot be made, or is by now of other work, that another process began.
        """
        with locked(self.path, self._check, leave=False):
            for cell in self._cells:
                make_waiting(self.path / cell.slug, cell.recipe)

    def finished(self) -> list[int]:
        """The cells, counted from 0, whose run is finished."""
        return [number for number, cell in enumerate(self._cells) if is_finished(self.path / cell.slug)]

    def write(self, reports: Sequence[Mapping[str, Any]]) -> None:
        """Write sweep.json.

        Raises:
            RunDirectoryError: It cannot be written.
        """
        with sentences(self.path):
            write_json(self.path / "sweep.json", reports)
