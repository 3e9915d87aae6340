"""A finished run whose inputs are unchanged: its report, without torch, data or model.

Whether a run is the same depends on the content of the data and of the model, which takes torch to read. But if every
file that they are read from is in the state in which an earlier run of the same recipe found it, the keys are those of
that run, which run.json names.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from srframework.contracts import Figure
from srframework.errors import SRFrameworkError
from srframework.faults import calling
from srframework.files import read_json, read_text
from srframework.hashing import digest
from srframework.recipe.model import Recipe, Reference, Stage
from srframework.run import state as states
from srframework.run import versions
from srframework.run.directory import stage_place
from srframework.run.identity import FORMAT, MEASURED, component, uses
from srframework.run.options import RunOptions
from srframework.run.paths import CHOSEN, MODEL, PACKED, point_in
from srframework.run.placing import links
from srframework.run.reporter import Reporter, RunStart
from srframework.run.results import BASELINES, Measured
from srframework.store.manifest import Entry
from srframework.store.store import Store
from srframework.training.chosen import Chosen

_MOST_FILES = 10_000
"""Limit for the files whose state is compared; with more, the data are read."""

_KINDS = ("trained", "measured")


def inputs_digest(recipe: Recipe) -> str | None:
    """Hash everything that the results of a recipe depend on, files by their state: inode, size and times.

    Returns:
        None if the backbone or the data set does not say what it reads, or reads too many files.

    Raises:
        SRFrameworkError: A file named by an option cannot be read, or a plugin's code was changed.
    """
    read: list[str] = []
    for use in (recipe.backbone, recipe.dataset):
        with calling(use.registered.owner, "input_paths()"):
            paths = use.options.input_paths()
            if paths is None:
                return None
            read += map(str, paths)
    found = list(itertools.islice(_states(read), _MOST_FILES + 1))
    if len(found) > _MOST_FILES:
        return None
    document = {
        "formats": [FORMAT, MEASURED],
        "recipe": recipe.to_toml(),
        "components": [component(use) for use in [*uses(recipe), recipe.dataset]],
        "versions": versions.run_versions(recipe),
        "python": [sys.version, sys.platform],
        "directory": os.getcwd(),
        "files": found,
    }
    return digest(document)


def _states(paths: Iterable[str]) -> Iterator[list[Any]]:
    """Yield the state of each file and directory, and of everything in a directory."""
    for path in paths:
        yield _state(path)
        for folder, folders, names in os.walk(path, followlinks=True):
            folders.sort()
            for name in sorted([*folders, *names]):
                yield _state(os.path.join(folder, name))


def _state(path: str) -> list[Any]:
    try:
        state = os.stat(path)
    except OSError:
        return [path]
    return [path, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]


def unchanged_run(recipe: Recipe, store: Store, options: RunOptions, reporter: Reporter) -> dict[str, Any] | None:
    """Return the report of a finished run, if computing it again would only find all of it in the store.

    Args:
        recipe: Checked.
        store: The store; its entries are read and compared with their checksums.
        options: How the recipe runs.
        reporter: Shown what a run shows that takes every stage from the store.

    Returns:
        None if the run is not finished, its inputs have changed, or a file is missing; then it must run.
    """
    out = options.out
    if out is None or options.stored_only or options.keep:
        return None
    record = states.read(out)
    if record.get("state") != "finished" or record.get("inputs") is None:
        return None
    try:
        if read_text(out / "recipe.toml") != recipe.to_toml() or record["inputs"] != inputs_digest(recipe):
            return None
        report = read_json(out / "results.json")
        entries = {stage.name: _entries(stage, record, store, [out, *options.users]) for stage in recipe.stages}
        if not all(entries.values()) or not _is_whole(recipe, out, record, report, entries, options.full_models):
            return None
        start = _start(recipe, record, out)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, SRFrameworkError):
        return None  # the run says what is wrong, or repairs it
    reporter.run_started(start)
    for number, stage in enumerate(recipe.stages, 1):
        seconds = entries[stage.name]["trained"].seconds
        reporter.stage_reused(stage.name, stage.formula(), number, len(recipe.stages), seconds)
        reporter.stage_finished(stage.name)
    return {**report, "run": str(out)}


def _entries(stage: Stage, record: dict[str, Any], store: Store, users: Sequence[Path]) -> dict[str, Entry]:
    """Return the intact entries of a stage by kind; empty if one is missing or not registered for the runs."""
    keys = states.stages_of(record)[stage.name]
    found = {kind: store.get(keys[kind]) for kind in [*_KINDS, *keys]}
    resolved = {path.resolve() for path in users}
    entries = {kind: entry for kind, entry in found.items() if entry is not None and resolved <= set(entry.users())}
    return entries if len(entries) == len(found) else {}


def _start(recipe: Recipe, record: dict[str, Any], out: Path) -> RunStart:
    machine = record["machine"]
    return RunStart(
        recipe=recipe.name,
        seed=recipe.seed,
        device=machine["device"],
        processes=machine["processes"],
        threads=machine["threads"],
        examples=next(iter(record["data"].values()))["examples"],
        stages=len(recipe.stages),
        pending={},
        directory=out,
        unit=record["figures"][0]["unit"],
    )


def _is_whole(
    recipe: Recipe,
    out: Path,
    record: dict[str, Any],
    report: dict[str, Any],
    entries: dict[str, dict[str, Entry]],
    full: bool,
) -> bool:
    """Whether the run directory has every file of the run, and its results are those in the store."""
    files = ["summary.json", BASELINES, *(["bias.json"] if "bias" in report else [])]
    if record["machine"]["processes"] != 1 or not all((out / name).is_file() for name in files):
        return False
    metric, rows = Figure(**record["figures"][0]), []
    for stage in recipe.stages:
        trained, measured = (entries[stage.name][kind] for kind in _KINDS)
        place = stage_place(out, Reference(stage.name))
        mine = Measured.read(place)
        if mine != Measured.read(measured.files).only(mine.points):
            return False
        chosen = Chosen(**read_json(trained.files / CHOSEN))
        rows.append(mine.of_stage(stage.name, stage.op, metric, chosen).to_json())
        points = [*mine.points]
        linked = links(points, trained, measured, full)
        if not all(os.path.samestat(file.stat(), (place / inside).lstat()) for file, inside in linked):
            return False
        if full and not all(_is_unpacked(point_in(trained.files, p), point_in(place, p)) for p in (None, *points)):
            return False
    return bool(json.loads(json.dumps(rows)) == report["stages"])


def _is_unpacked(stored: Path, place: Path) -> bool:
    """Whether a model that is packed in the store is there in full."""
    if not (stored / PACKED).is_dir():
        return True
    described = read_json(stored / PACKED / "packed.json")["files"]
    return all((place / MODEL / name).stat().st_size == each["bytes"] for name, each in described.items())
