"""What users rely on, in a form to compare: write it anew with ``python tests/golden/snapshots.py``."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import click
import tomli
from click.testing import CliRunner

import srframework
from srframework.cli import cli, main
from srframework.recipe.model import shipped
from srframework.recipe.sweep import load_cells
from srframework.registry.discovery import discover
from srframework.registry.plugin_code import PluginCode
from srframework.registry.registry import Registry
from srframework.run import identity

HERE = Path(__file__).parent
RECIPE = """
name = "small"
schema = 1
seed = 1
backbone = { use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }
dataset = { use = "synthetic", train_size = 32, dev_size = 24, ood_size = 24 }
training = { max_steps = 2, batch_size = 4 }
[[stages]]
name = "full"
op = "train"
loss.use = "std"
[[stages]]
name = "srnet"
op = "prune"
weights = "full"
pruner = { use = "imp", sparsity = 0.5, levels = "all" }
loss.use = "poe"
"""
FILES = (
    "data/sick/SICK.txt",
    "data/MNLI/train.tsv",
    "data/MNLI/dev_matched.tsv",
    "data/MNLI/hans/heuristics_evaluation_set.txt",
    "data/MNLI/hans/heuristics_train_set.txt",
)
"""What must be there for every recipe to be valid; here each of them has its own name as content."""


def stage_keys() -> dict[str, dict[str, str]]:
    """Recipe and variant -> stage -> a hash of its keys in all cells: before any file is read, and whatever the version
    and the code of the plugins are."""
    found = {}
    registry = Registry(discover())
    with _elsewhere(), mock.patch.object(PluginCode, "digest", return_value="code"):
        for name in FILES:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(name, encoding="utf-8")
        for name, path in shipped().items():
            variants = tomli.loads(path.read_text(encoding="utf-8")).get("variants", {})
            for variant in ("", *variants):
                stages: dict[str, list[str]] = {}
                for cell in load_cells(name, registry, [f'variant="{variant}"'] if variant else []):
                    for stage, key in identity.signatures(cell.recipe).items():
                        stages.setdefault(stage, []).append(key)
                found[f"{name} {variant}".strip()] = {stage: _sha(keys) for stage, keys in stages.items()}
    return found


def exports() -> list[str]:
    """The names that plugins may use."""
    return list(srframework.__all__)


def help_texts() -> dict[str, list[str]]:
    """Command -> the lines of its ``--help``."""
    call = CliRunner().invoke
    pages = {names: call(cli, [*names, "--help"], prog_name="srframework") for names in sorted(_commands(cli))}
    return {" ".join(names): page.output.splitlines() for names, page in pages.items()}


def json_keys() -> dict[str, list[str]]:
    """Command -> the paths of all keys of what it prints with ``--json``."""
    commands = {
        "list": ["list"],
        "plugins": ["plugins"],
        "recipes": ["recipes"],
        "show": ["show", "pruner/mask"],
        "run": ["run", "small.toml", "--out", "one"],
        "run --dry-run": ["run", "small.toml", "--dry-run"],
        "sweep": ["sweep", "small.toml", "--grid", "seed=1,2", "--out", "many"],
        "sweep --dry-run": ["sweep", "small.toml", "--grid", "seed=1,2", "--dry-run"],
        "results": ["results", "one", "many"],
        "compare": ["compare", "one", "many"],
        "plot": ["plot", "one", "many"],
        "paper": ["paper", "fig-2", "one"],
        "paper --list": ["paper", "--list"],
        "paper table-5": ["paper", "table-5", "one"],
        "claims": ["claims", "--list"],
        "export": ["export", "one"],
        "store list": ["store", "list"],
        "store verify": ["store", "verify"],
        "store gc": ["store", "gc", "--older-than", "0d", "--dry-run"],
    }
    with _elsewhere():
        Path("small.toml").write_text(RECIPE, encoding="utf-8")
        return {name: sorted(set(_paths(json.loads(_printed(*args, "--json"))))) for name, args in commands.items()}


@contextlib.contextmanager
def _elsewhere() -> Iterator[None]:
    """Work in an empty directory."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            yield
        finally:
            os.chdir(before)


def _sha(keys: list[str]) -> str:
    return hashlib.sha256("".join(keys).encode()).hexdigest()[:16]


def _commands(group: click.Group) -> Iterator[tuple[str, ...]]:
    yield ()
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((name, *inner) for inner in _commands(command))
        else:
            yield (name,)


def _printed(*args: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["srframework", *args]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise RuntimeError(f"{args}: {err.getvalue()}") from end
    return out.getvalue()


def _paths(value: Any, at: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _paths(each, f"{at}.{key}".removeprefix("."))
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        for each in value:
            yield from _paths(each, f"{at}[]")
    else:
        yield at


SNAPSHOTS: dict[str, Callable[[], Any]] = {
    "stage_keys": stage_keys,
    "exports": exports,
    "help": help_texts,
    "json_keys": json_keys,
}


def path(name: str) -> Path:
    """The file of a snapshot."""
    return HERE / f"{name}.json"


if __name__ == "__main__":
    for name, take in SNAPSHOTS.items():
        path(name).write_text(json.dumps(take(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
