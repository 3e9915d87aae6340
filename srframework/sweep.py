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
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from srframework.document import Document, KeyPath, Keys, leaves
from srframework.errors import Problem, RecipeError, shorten
from srframework.file_checks import FileChecks
from srframework.grid import Axis, Refuse, Swept, axis_of
from srframework.loading import check
from srframework.recipe import Recipe, find
from srframework.registry import Registry


@dataclass(frozen=True)
class Cell:
    """One cell of a sweep.

    Attributes:
        values: What is swept -> its value here; empty for a recipe without a sweep.
        label: ``seed=1, sparsity=0.5``, for people; of keys that move together, the first.
        slug: The label as the name of a directory, unlike that of any other cell.
        recipe: The checked recipe.
    """

    values: Mapping[str, Any]
    label: str
    slug: str
    recipe: Recipe


def load_cells(
    recipe: str | Path,
    registry: Registry,
    overrides: Sequence[str] = (),
    flags: Sequence[str] = (),
    files: FileChecks | None = None,
) -> list[Cell]:
    """Read and check a recipe, and every cell of its sweep: the product of its axes, the last varying fastest.

    An override of a swept key takes it out of the sweep; ``sweep={}`` takes out all. Where ``variant`` is
    swept, each variant may have a sweep of its own.

    Args:
        recipe: A path, or the name of a shipped recipe.
        registry: The components that it may use.
        overrides: ``key=value``, of every cell.
        flags: What the command line sweeps besides, or instead of the recipe where both sweep a key:
            ``--grid seed=1,2``, ``--zip training.epochs=1,2 training.batch_size=8,16``.
        files: Look at the files that the recipe names too, at their first rows.

    Raises:
        RecipeError: All problems of all cells at once, each once.
    """
    path = find(str(recipe))
    cells: list[Cell] = []
    problems: dict[str, Problem] = {}
    slugs: set[str] = set()
    try:
        choices = list(_choices(path, overrides, flags))
    except RecipeError as error:  # what is wrong besides the sweep is to be told too
        problems = {str(problem): problem for problem in error.problems}
        choices = [[]]
    for number, chosen in enumerate(choices, 1):
        values, label = {".".join(keys): value for _, keys, value in chosen}, _label(chosen)
        slug = _slug(label) if _slug(label) not in slugs else f"{_slug(label)},run={number}"
        slugs.add(slug)
        try:
            cells.append(Cell(values, label, slug, check(Document(path, overrides, chosen), registry, files)))
        except RecipeError as error:
            # That [sweep] is no table is told above, and again by the check of the recipe.
            told_above = {problem.key for problem in problems.values() if problem.key == "sweep"}
            problems |= {str(problem): problem for problem in error.problems if problem.key not in told_above}
    if problems:
        raise RecipeError(list(problems.values()))
    return cells


def load_every(recipe: str | Path, registry: Registry, overrides: Sequence[str] = ()) -> list[Cell]:
    """The cells of a recipe, and, unless an override chooses one, those of each of its variants; files are looked at.

    Raises:
        RecipeError: As :func:`load_cells` does.
    """
    variants = Document(find(str(recipe)), overrides).data.get("variants", {})
    chosen = any(override.startswith("variant=") for override in overrides)
    tables = variants.items() if isinstance(variants, dict) and not chosen else ()
    names = [json.dumps(name, ensure_ascii=False) for name, table in tables if isinstance(table, dict)]
    cells: list[Cell] = []
    problems: dict[str, Problem] = {}
    files = FileChecks()
    for choice in [[], *([f"variant={name}"] for name in names)]:
        try:
            cells += load_cells(recipe, registry, [*choice, *overrides], files=files)
        except RecipeError as error:
            problems |= {str(problem): problem for problem in error.problems}
    if problems:
        raise RecipeError(list(problems.values()))
    return cells


Choice = tuple[str | KeyPath, Keys, Any]
"""A swept key in one cell: who sweeps it, the key, its value there."""


def _choices(path: Path, overrides: Sequence[str], flags: Sequence[str]) -> Iterator[list[Choice]]:
    """What each cell sets."""
    axes = _axes(Document(path, overrides), overrides, flags)
    of_variants = [axis for axis in axes if _is_of_variants(axis)]
    if not of_variants:
        yield from _product(axes)
        return
    for chosen in _product(of_variants[:1]):
        own = _axes(Document(path, overrides, chosen), overrides, flags)
        rest = [axis for axis in own if not _is_of_variants(axis)]
        yield from ([*chosen, *more] for more in _product(rest))


def _is_of_variants(axis: Axis) -> bool:
    return any(swept.keys == ("variant",) for swept in axis)


def _product(axes: Sequence[Axis]) -> Iterator[list[Choice]]:
    for place in itertools.product(*(range(len(axis[0].values)) for axis in axes)):
        pairs = zip(axes, place, strict=True)
        yield [(swept.origin, swept.keys, swept.values[index]) for axis, index in pairs for swept in axis]


def _axes(document: Document, overrides: Sequence[str], flags: Sequence[str]) -> list[Axis]:
    """The axes of a document's sweep, less what an override fixes or the command line sweeps; then those of
    the command line."""
    problems: list[Problem] = []

    def refuse(origin: str | KeyPath, message: str, keys: Keys = ()) -> None:
        if isinstance(origin, str):
            problems.append(Problem(origin, ".".join(keys), message))
        else:
            problems.append(Problem(document.where(origin), document.label(origin), message))

    fixed = {tuple(override.partition("=")[0].split(".")): override for override in overrides}
    added = [found for flag in flags if (found := axis_of(flag, refuse))]
    for each in itertools.chain(*added):
        if said := next((said for keys, said in fixed.items() if each.keys[: len(keys)] == keys), None):
            refuse(each.origin, f"expected a key that is swept or set, not both; got --set {said} too", each.keys)
    leave = [*fixed, *(each.keys for each in itertools.chain(*added))]
    axes = [*_of_recipe(document, leave, refuse), *added]
    every = [each for axis in axes for each in axis]
    for each in every:
        if [other.keys for other in every].count(each.keys) > 1:
            refuse(each.origin, f"expected keys that are swept once; {'.'.join(each.keys)} is swept twice", each.keys)
        elif each.keys[0] in ("sweep", "variants"):
            refuse(each.origin, "expected a key of the recipe other than sweep and variants", each.keys)
    if problems:
        raise RecipeError(problems)
    return axes


def _of_recipe(document: Document, leave: Sequence[Keys], refuse: Refuse) -> list[Axis]:
    """The axes of a document's sweep, without the keys in ``leave`` and what is inside them."""
    table = document.data.get("sweep", {})

    def swept(table: Mapping[str, Any], path: KeyPath) -> Iterator[Swept]:
        for inner, keys, values in leaves(table):
            if not isinstance(values, list) or not values:
                refuse((*path, *inner), f"expected an array of values, got {shorten(values)}")
            elif not any(keys[: len(each)] == each for each in leave):
                yield Swept((*path, *inner), keys, tuple(values))

    if not isinstance(table, dict):
        refuse(("sweep",), f"expected a table of keys, each with an array of values, got {shorten(table)}")
        table = {}
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
            axes.append(_each_once(axis))
    return axes


def _each_once(axis: Axis) -> Axis:
    """The axis without combinations that repeat: an override may have taken out what told them apart."""
    rows = list(zip(*(each.values for each in axis), strict=True))
    kept = [row for index, row in enumerate(rows) if row not in rows[:index]]
    return tuple(replace(each, values=values) for each, values in zip(axis, zip(*kept, strict=True), strict=True))


def _label(chosen: Sequence[Choice]) -> str:
    """Keys by their last part, where that says which is meant."""
    leading: dict[str | KeyPath, tuple[Keys, Any]] = {}
    for origin, keys, value in chosen:
        group = origin[:3] if origin[1] == "zip" and not isinstance(origin, str) else origin
        leading.setdefault(group, (keys, value))
    last = [keys[-1] for keys, _ in leading.values()]
    names = [keys[-1] if last.count(keys[-1]) == 1 else ".".join(keys) for keys, _ in leading.values()]
    return ", ".join(f"{name}={_word(value)}" for name, (_, value) in zip(names, leading.values(), strict=True))


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9=.@,_+-]+", "-", label.replace(", ", ","))[:120]


def _word(value: Any) -> str:
    return str(value.get("use", "table")) if isinstance(value, dict) else str(value)
