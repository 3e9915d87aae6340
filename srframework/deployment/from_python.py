"""``srframework.run``: run a recipe from Python, a notebook for example."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from srframework.deployment.loaded_run import LoadedRun, load_run
from srframework.errors import UsageError
from srframework.recipe.sweep import load_cells
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.run.api import run_recipe
from srframework.run.directory import RunDirectory
from srframework.run.options import RunOptions

_STORE = "runs/.store"


def run(
    recipe: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    store: str | os.PathLike[str] | None = None,
    **overrides: Any,
) -> LoadedRun:
    """Run a recipe and return its results; nothing is printed.

    Stages that are in the store are reused, and an interrupted run resumes, as with the command ``run``::

        run = srframework.run("quickstart", seed=2, training={"epochs": 1})
        run = srframework.run("my.toml", **{"stages.srnet.pruner.sparsity": 0.5})

    Args:
        recipe: A path, or the name of a shipped recipe; without a sweep.
        out: The run directory. None: ``runs/<recipe>-<seed>-<hash>``.
        store: The store. None: ``$SRFRAMEWORK_STORE``, or ``runs/.store``.
        overrides: Values by key of the recipe, as with ``--set``; tables may be nested.

    Raises:
        RecipeError: The recipe is not valid; lists all problems.
        UsageError: The recipe has a sweep, or ``out`` has the run of another recipe.
        SRFrameworkError: The run failed.
    """
    texts = [f"{key}={toml(value)}" for key, value in _flat(overrides)]
    cells = load_cells(os.fspath(recipe), Registry(discover()), texts)
    if len(cells) > 1 or cells[0].values:
        raise UsageError(f"{recipe}: expected a recipe without a sweep; fix its keys, or give sweep={{}} to ignore it")
    place = RunDirectory.default_path(cells[0].recipe) if out is None else Path(out)
    run_recipe(cells[0].recipe, Path(store or os.environ.get("SRFRAMEWORK_STORE") or _STORE), RunOptions(place))
    return load_run(place)


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values; a component with its options, and an empty table, are values."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value and "use" not in value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def toml(value: Any) -> str:
    """Return a value as TOML on one line.

    >>> toml({"use": "mask", "sparsity": 0.5})
    '{ use = "mask", sparsity = 0.5 }'

    Raises:
        UsageError: TOML has no such value.
    """
    if isinstance(value, Mapping):
        pairs = ", ".join(
            f"{toml(str(key))} = {toml(each)}" if not str(key).isidentifier() else f"{key} = {toml(each)}"
            for key, each in value.items()
        )
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    try:
        return tomli_w.dumps({"x": os.fspath(value) if isinstance(value, os.PathLike) else value})[4:].strip()
    except TypeError as error:
        raise UsageError(f"expected a value that TOML has, got {type(value).__name__}") from error
