"""A grid -> recipes: one for each cell of a recipe's ``[sweep]``.

::

    [sweep]
    seed = [1, 2, 3]                                # an axis; the grid is the product of the axes
    [[sweep.zip]]                                   # keys that move together: one axis
    "stages.mask.pruner.sparsity" = [0.5, 0.9]
    "stages.mask.epochs" = [3, 7]
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srframework.document import Document, KeyPath, Keys, leaves
from srframework.errors import Problem, RecipeError, shorten
from srframework.loading import check
from srframework.recipe import Recipe, find
from srframework.registry import Registry


@dataclass(frozen=True)
class Swept:
    """One key that is swept.

    Attributes:
        origin: Where the recipe says so: a key path under ``sweep``.
        keys: The key whose value varies.
        values: Its values.
    """

    origin: KeyPath
    keys: Keys
    values: tuple[Any, ...]


Axis = tuple[Swept, ...]
"""Keys that move together; mostly one."""


@dataclass(frozen=True)
class Cell:
    """One cell of a sweep.

    Attributes:
        values: What is swept -> its value here; empty for a recipe without a sweep.
        label: ``seed=1, sparsity=0.5``, for people; of keys that move together, the first.
        recipe: The checked recipe.
    """

    values: Mapping[str, Any]
    label: str
    recipe: Recipe

    @property
    def slug(self) -> str:
        """The label as the name of a directory."""
        return re.sub(r"[^A-Za-z0-9=.@_-]+", "-", self.label.replace(", ", ","))[:120]


def load_cells(recipe: str | Path, registry: Registry, overrides: Sequence[str] = ()) -> list[Cell]:
    """Read and check a recipe, and every cell of its sweep: the product of its axes, the last varying fastest.

    An override of a swept key takes it out of the sweep; ``sweep={}`` takes out all. Where ``variant`` is
    swept, each variant may have a sweep of its own.

    Raises:
        RecipeError: All problems of all cells at once, each once.
    """
    path = find(str(recipe))
    cells: list[Cell] = []
    problems: dict[str, Problem] = {}
    for chosen in _choices(path, overrides):
        try:
            values = {".".join(keys): value for _, keys, value in chosen}
            cells.append(Cell(values, _label(chosen), check(Document(path, overrides, chosen), registry)))
        except RecipeError as error:
            problems |= {str(problem): problem for problem in error.problems}
    if problems:
        raise RecipeError(list(problems.values()))
    return cells


Choice = tuple[KeyPath, Keys, Any]
"""A swept key in one cell: where it is swept, the key, its value there."""


def _choices(path: Path, overrides: Sequence[str]) -> Iterator[list[Choice]]:
    """What each cell sets."""
    axes = _axes(Document(path, overrides), overrides)
    variants = [axis[0] for axis in axes if axis[0].keys == ("variant",)]
    if not variants:
        yield from _product(axes)
        return
    for name in variants[0].values:
        variant: Choice = (variants[0].origin, variants[0].keys, name)
        own = _axes(Document(path, overrides, [variant]), overrides)
        yield from ([variant, *rest] for rest in _product([axis for axis in own if axis[0].keys != ("variant",)]))


def _product(axes: Sequence[Axis]) -> Iterator[list[Choice]]:
    for place in itertools.product(*(range(len(axis[0].values)) for axis in axes)):
        pairs = zip(axes, place, strict=True)
        yield [(swept.origin, swept.keys, swept.values[index]) for axis, index in pairs for swept in axis]


def _axes(document: Document, overrides: Sequence[str]) -> list[Axis]:
    """The axes of a document's sweep, less what an override fixes."""
    table = document.data.get("sweep", {})
    problems: list[Problem] = []

    def refuse(path: KeyPath, message: str) -> None:
        problems.append(Problem(document.where(path), document.label(path), message))

    def swept(table: Mapping[str, Any], path: KeyPath) -> Iterator[Swept]:
        for inner, keys, values in leaves(table):
            if not isinstance(values, list) or not values:
                refuse((*path, *inner), f"expected an array of values, got {shorten(values)}")
            elif not any(keys[: len(each)] == each for each in fixed):
                yield Swept((*path, *inner), keys, tuple(values))

    if not isinstance(table, dict):
        refuse(("sweep",), f"expected a table of keys, each with an array of values, got {shorten(table)}")
        table = {}
    fixed = [tuple(override.partition("=")[0].split(".")) for override in overrides]
    groups = table.get("zip", [])
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        refuse(("sweep", "zip"), f"expected [[sweep.zip]] tables of keys that move together, got {shorten(groups)}")
        groups = []
    axes: list[Axis] = []
    for each in swept({key: value for key, value in table.items() if key != "zip"}, ("sweep",)):
        if any(each.values.count(value) > 1 for value in each.values):
            refuse(each.origin, f"expected values that differ, got {shorten(list(each.values))}")
        axes = [axis for axis in axes if axis[0].keys != each.keys] + [(each,)]
    for index, group in enumerate(groups):
        axis = tuple(swept(group, ("sweep", "zip", index)))
        if len({len(each.values) for each in axis}) > 1:
            lengths = ", ".join(f"{'.'.join(each.keys)}: {len(each.values)}" for each in axis)
            refuse(("sweep", "zip", index), f"expected arrays of one length, got {lengths}")
        elif axis:
            axes.append(axis)
    if problems:
        raise RecipeError(problems)
    return axes


def _label(chosen: Sequence[Choice]) -> str:
    """Keys by their last part, where that says which is meant."""
    leading: dict[KeyPath, tuple[Keys, Any]] = {}
    for origin, keys, value in chosen:
        group = origin[:3] if origin[1] == "zip" else origin
        leading.setdefault(group, (keys, value))
    last = [keys[-1] for keys, _ in leading.values()]
    names = [keys[-1] if last.count(keys[-1]) == 1 else ".".join(keys) for keys, _ in leading.values()]
    return ", ".join(f"{name}={_word(value)}" for name, (_, value) in zip(names, leading.values(), strict=True))


def _word(value: Any) -> str:
    return str(value.get("use", "table")) if isinstance(value, dict) else str(value)
