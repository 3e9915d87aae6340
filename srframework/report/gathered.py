"""Finished runs, found under directories and read."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from srframework.errors import UsageError
from srframework.files import read_json
from srframework.report.reading import read
from srframework.report.settings import Settings
from srframework.run.results import FIGURES, Figures, Measured, StageFigures
from srframework.run.state import read_state
from srframework.text import shorten


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run; ``id_split``: of which split the ID figures are."""

    path: str
    seed: int
    settings: Settings
    id_split: str
    stages: Sequence[StageFigures]

    def record(self) -> dict[str, Any]:
        """Where it is, its resolved recipe, the exact versions of everything; those are read now."""
        try:
            versions = read_json(Path(self.path) / "run.json")["versions"]
        except (OSError, ValueError, KeyError, TypeError):
            versions = None
        return {"run": self.path, "seed": self.seed, "recipe": f"{self.path}/recipe.toml", "versions": versions}


@dataclass
class Gathered:
    """Everything that was found.

    Attributes:
        runs: The finished ones, by path.
        unfinished: Directories of the others.
        damaged: A sentence for each summary.json that cannot be used, and each directory that cannot be read.
    """

    runs: list[Run] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def gather(directories: Sequence[str | os.PathLike[str]], levels: bool = False) -> Gathered:
    """Read every run at any depth under the directories, hidden ones and links left out; each run once.

    Args:
        directories: Where to look; a run's own directory will do.
        levels: Whether to read the sparsity levels inside the stages too.

    Raises:
        UsageError: There is no such directory.
    """
    gathered = Gathered()
    known: dict[bytes, Settings | str] = {}
    with _no_collection():
        for part in read(_roots(directories), levels):
            every = [known.get(text) or known.setdefault(text, _settings(text)) for text in part.texts]
            for each in part.runs:
                settings = every[each.text]
                if isinstance(settings, str):
                    gathered.damaged.append(f"{each.path}/summary.json: {settings}")
                else:
                    gathered.runs.append(Run(each.path, each.seed, settings, each.id_split, each.stages))
            gathered.unfinished += part.unfinished
            gathered.damaged += part.damaged
        gathered.runs.sort(key=lambda run: run.path)
    return Gathered(gathered.runs, sorted(gathered.unfinished), sorted(gathered.damaged))


def state(path: str) -> str:
    """What run.json says of an unfinished run; ``killed`` where it was running, and its process is gone."""
    return read_state(Path(path)) or "run.json cannot be read"


def finished_stages(path: str) -> dict[str, Figures]:
    """Stage -> figures of its end, of the stages of an unfinished run that are done, the earliest first."""
    found = []
    for file in Path(path).glob(f"stages/*/{FIGURES}"):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # nothing in it need be right
            final = msgspec.convert(msgspec.to_builtins(Measured.read(file.parent).final), Figures)
            found.append((file.stat().st_mtime_ns, file.parent.name, final))
    return {name: figures for _, name, figures in sorted(found, key=lambda each: each[:2])}


def _roots(directories: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The directories, less those inside another of them."""
    roots: dict[Path, str] = {}
    for directory in [os.fspath(each) for each in directories]:
        if not os.path.isdir(directory):
            what = "a file" if os.path.exists(directory) else "no such directory"
            raise UsageError(f"{directory}: expected a directory with runs, got {what}")
        roots.setdefault(Path(directory).resolve(), directory)
    return [name for path, name in roots.items() if not any(parent in roots for parent in path.parents)]


def _settings(text: bytes) -> Settings | str:
    """The settings, or a sentence where they are none."""
    try:
        table = msgspec.json.decode(text)
        if (schema := table.get("schema", 1)) != 1:
            return f"expected `settings` of schema 1, got {shorten(schema)}; a newer srframework wrote it"
        _check_depth(table)
        return Settings.of(table)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        return f"expected `settings` to be a resolved recipe; {type(error).__name__}: {shorten(str(error))}"


def _check_depth(value: Any, left: int = 50) -> None:
    if not left:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _check_depth(each, left - 1)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Nothing that is read holds a cycle, and to look for one takes longer than the reading."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
