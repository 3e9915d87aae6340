"""Find and read the finished runs under directories."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import tomli

from srframework.contracts import Figure
from srframework.errors import UsageError
from srframework.files import read_json, read_text
from srframework.report.run_settings import Settings
from srframework.report.summary_files import DEV, read
from srframework.run.paths import CHOSEN
from srframework.run.results import BASELINES, FIGURES, Figures, Measured, StageFigures, of_baseline
from srframework.run.state import read as read_facts
from srframework.run.state import read_state
from srframework.text import shorten
from srframework.training.chosen import Chosen


@dataclass(frozen=True, eq=False)
class Run:
    """A run with at least one finished stage.

    Attributes:
        id_split: The split of the ID figures.
        dev_split: The split whose ID metric chose the checkpoints.
        baselines: The majority class and the bias model, in the form of stages.
    """

    path: str
    seed: int
    settings: Settings
    id_split: str
    stages: Sequence[StageFigures]
    is_finished: bool = True
    baselines: Sequence[StageFigures] = ()
    dev_split: str = DEV

    def record(self) -> dict[str, Any]:
        """Its directory, resolved recipe and versions; reads run.json."""
        versions = self.fact("versions")
        return {"run": self.path, "seed": self.seed, "recipe": f"{self.path}/recipe.toml", "versions": versions}

    def fact(self, name: str) -> Any:
        """Read a value of run.json; None if it is missing or cannot be read."""
        try:
            return read_json(Path(self.path) / "run.json")[name]
        except (OSError, ValueError, KeyError, TypeError):
            return None


@dataclass
class FoundRuns:
    """The runs under some directories.

    Attributes:
        runs: Finished runs, sorted by path.
        unfinished: Directories of the other runs.
        damaged: A sentence for each damaged summary.json and each directory that cannot be read.
    """

    runs: list[Run] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def find_runs(directories: Sequence[str | os.PathLike[str]], levels: bool = False) -> FoundRuns:
    """Read every run at any depth under the directories, each once; skip hidden directories and links.

    Args:
        directories: Where to look; may be the directory of a run itself.
        levels: Whether to read the sparsity levels inside the stages too.

    Raises:
        UsageError: There is no such directory.
    """
    found = FoundRuns()
    known: dict[bytes, Settings | str] = {}
    with _no_collection():
        for part in read(_roots(directories), levels):
            every = [known.get(text) or known.setdefault(text, _settings(text)) for text in part.texts]
            for each in part.runs:
                settings = every[each.text]
                if isinstance(settings, str):
                    found.damaged.append(f"{each.path}/summary.json: {settings}")
                else:
                    of_run = (each.path, each.seed, settings, each.id_split, each.stages)
                    found.runs.append(Run(*of_run, baselines=each.baselines, dev_split=each.dev_split))
            found.unfinished += part.unfinished
            found.damaged += part.damaged
        found.runs.sort(key=lambda run: run.path)
    return FoundRuns(found.runs, sorted(found.unfinished), sorted(found.damaged))


def state_of_unfinished(path: str) -> str:
    """The state of an unfinished run in run.json; ``killed`` if its process no longer exists."""
    return read_state(Path(path)) or "run.json cannot be read"


def unfinished_runs(paths: Iterable[str]) -> list[Run]:
    """The unfinished runs that have finished stages, with these stages; files that cannot be read are left out."""
    return [run for path in paths if (run := _unfinished(Path(path))) is not None]


def _unfinished(path: Path) -> Run | None:
    files = {file.parent.name: file.parent for file in path.glob(f"stages/*/{FIGURES}")}
    facts = read_facts(path)
    split = facts.get("id_split")
    if not files or not isinstance(split, str):
        return None
    try:
        table = tomli.loads(read_text(path / "recipe.toml"))
        settings, seed = Settings.of(table), int(table["seed"])
        metric = msgspec.convert(facts["figures"], list[Figure])[0]
        operations = {stage["name"]: str(stage["op"]) for stage in table["stages"]}
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return None
    stages: list[StageFigures] = []
    beside: list[StageFigures] = []
    with suppress(OSError, ValueError, TypeError, AttributeError):
        measured = msgspec.convert(read_json(path / BASELINES), dict[str, Figures])
        beside = [of_baseline(name, figures, metric) for name, figures in measured.items()]
    for name, operation in operations.items():
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            if name in files:
                content = msgspec.to_builtins(Measured.read(files[name]))
                chosen = msgspec.convert(read_json(files[name] / CHOSEN), Chosen)
                stages.append(msgspec.convert(content, Measured).of_stage(name, operation, metric, chosen))
    dev = str(facts.get("dev_split", DEV))
    return Run(str(path), seed, settings, split, stages, False, beside, dev) if stages else None


def _roots(directories: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The directories, without those inside another one."""
    roots: dict[Path, str] = {}
    for directory in [os.fspath(each) for each in directories]:
        if not os.path.isdir(directory):
            what = "got a file" if os.path.exists(directory) else "there is no such directory"
            raise UsageError(f"{directory}: expected a directory with runs; {what}")
        roots.setdefault(Path(directory).resolve(), directory)
    return [name for path, name in roots.items() if not any(parent in roots for parent in path.parents)]


def _settings(text: bytes) -> Settings | str:
    """The settings, or a sentence that says why they cannot be read."""
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
