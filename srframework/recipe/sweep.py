"""Expand the ``[sweep]`` of a recipe into one checked recipe for each cell.

::

    [sweep]
    seed = [1, 2, 3]                                # an axis; the grid is the product of the axes
    [[sweep.zip]]                                   # keys that change together: one axis
    "stages.mask.pruner.sparsity" = [0.5, 0.9]
    "stages.mask.epochs" = [3, 7]
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from srframework.errors import Problem, RecipeError
from srframework.recipe.check import TableCheck, check_recipe
from srframework.recipe.document import Document, Source
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.grid import Axis, Choice, Refuse, Swept, axis_of, distinct, dotted, label_of, lengths, slug_of
from srframework.recipe.model import Recipe
from srframework.recipe.overrides import Keys, keys_of, leaves
from srframework.recipe.statements import KeyPath
from srframework.registry.registry import Registry
from srframework.text import count_text, one_line, shorten


@dataclass(frozen=True)
class Cell:
    """One cell of a sweep.

    Attributes:
        values: Value of each swept key in this cell; empty for a recipe without a sweep.
        label: ``seed=1, sparsity=0.5``, for display; shows only the first of keys that change together.
        slug: The label as a directory name; unique in the sweep.
        recipe: The checked recipe.
    """

    values: Mapping[str, Any]
    label: str
    slug: str
    recipe: Recipe


MAX_RUNS = 10_000
"""Maximum number of runs in a sweep."""

MAX_CHECKED = 10 * MAX_RUNS
"""Maximum number of runs of all variants that are checked at once."""


def load_cells(
    recipe: str | Path | Source,
    registry: Registry,
    overrides: Sequence[str] = (),
    flags: Sequence[str] = (),
    files: FileChecks | None = None,
    tables: Mapping[str, TableCheck] | None = None,
) -> list[Cell]:
    """Read and check a recipe and every cell of its sweep: the product of its axes; the last axis varies fastest.

    An override of a swept key removes that key from the sweep; ``sweep={}`` removes all keys. If ``variant`` is
    swept, each variant may define its own sweep.

    Args:
        recipe: A path, the name of a shipped recipe, or a source.
        registry: The components that it may use.
        overrides: ``key=value``, for every cell.
        flags: Axes of the command line; they replace the recipe's axis of the same key:
            ``--grid seed=1,2``, ``--zip training.epochs=1,2 training.batch_size=8,16``.
        files: If given, the first rows of the files that the recipe names are checked too.
        tables: Checks of further tables, as for :func:`srframework.recipe.check.check_recipe`.

    Raises:
        RecipeError: All problems of all cells at once, each once; or the sweep has more than :data:`MAX_RUNS` cells.
    """
    source = recipe if isinstance(recipe, Source) else Source(recipe)
    cells: list[Cell] = []
    problems: dict[str, Problem] = {}
    try:
        choices: Iterable[list[Choice]] = _sweep(source, overrides, flags).choices()
    except RecipeError as error:  # report the problems outside the sweep too
        problems = {str(problem): problem for problem in error.problems}
        choices = [[]]
    # The check of the recipe would report again that [sweep] is not a table.
    of_sweep = {problem.key for problem in problems.values() if problem.key == "sweep"}
    slugs: set[str] = set()
    for number, chosen in enumerate(choices, 1):
        label = label_of(chosen)
        slug = slug_of(label, number, slugs)
        values = {".".join(keys): value for _, keys, value in chosen}
        try:
            document = Document(source, overrides, chosen)
            cells.append(Cell(values, label, slug, check_recipe(document, registry, files, tables)))
        except RecipeError as error:
            problems |= {str(problem): problem for problem in error.problems if problem.key not in of_sweep}
    if problems:
        raise RecipeError(list(problems.values()))
    return cells


def load_all_variants(
    recipe: str | Path,
    registry: Registry,
    overrides: Sequence[str] = (),
    tables: Mapping[str, TableCheck] | None = None,
    files: FileChecks | None = None,
) -> list[Cell]:
    """Load the cells of a recipe and, unless an override chooses a variant, of each of its variants.

    The arguments and the errors are those of :func:`load_cells`.
    """
    source = Source(recipe)
    variants = Document(source, overrides).data.get("variants", {})
    chosen = any(keys_of(override.partition("=")[0]) == ("variant",) for override in overrides)
    every = variants.items() if isinstance(variants, dict) and not chosen else ()
    names = [json.dumps(name, ensure_ascii=False) for name, table in every if isinstance(table, dict)]
    choices = [[*choice, *overrides] for choice in ([], *([f"variant={name}"] for name in names))]
    if (count := sum(_count(source, choice) for choice in choices)) > MAX_CHECKED:
        message = f"expected at most {MAX_CHECKED:,} runs of all variants, got {count_text(count)}"
        hint = "validate one variant at a time, with --set variant=NAME"
        raise RecipeError([Problem(str(source.path), "variants", f"{message}; {hint}")])
    cells: list[Cell] = []
    problems: dict[str, Problem] = {}
    for choice in choices:
        try:
            cells += load_cells(source, registry, choice, files=files, tables=tables)
        except RecipeError as error:
            problems |= {str(problem): problem for problem in error.problems}
    if problems:
        raise RecipeError(list(problems.values()))
    return cells


def _count(source: Source, overrides: Sequence[str]) -> int:
    """The number of cells that :func:`load_cells` checks; 1 if the sweep is invalid."""
    try:
        return _sweep(source, overrides).count
    except RecipeError:
        return 1


@dataclass(frozen=True)
class _Part:
    """The product of some axes, with the choices that all its cells share."""

    chosen: Sequence[Choice]
    axes: Sequence[Axis]

    @property
    def count(self) -> int:
        return math.prod(len(axis[0].values) for axis in self.axes)


@dataclass(frozen=True)
class _Sweep:
    """A sweep: one part, or one part for each variant."""

    parts: Sequence[_Part]

    @property
    def count(self) -> int:
        return sum(part.count for part in self.parts)

    def choices(self) -> Iterator[list[Choice]]:
        """Yield the choices of each cell."""
        for part in self.parts:
            yield from ([*part.chosen, *more] for more in _product(part.axes))


def _sweep(source: Source, overrides: Sequence[str], flags: Sequence[str] = ()) -> _Sweep:
    """Parse the sweep; check the number of cells before any cell is built."""
    document = Document(source, overrides)
    axes = _axes(document, overrides, flags)
    of_variants = [axis for axis in axes if _is_of_variants(axis)]
    if not of_variants:
        sweep = _Sweep([_Part([], axes)])
    else:
        _refuse_many(document, _Part([], of_variants[:1]).count, of_variants[:1])
        parts = []
        for chosen in _product(of_variants[:1]):
            own = _axes(Document(source, overrides, chosen), overrides, flags)
            parts.append(_Part(chosen, [axis for axis in own if not _is_of_variants(axis)]))
        sweep = _Sweep(parts)
    _refuse_many(document, sweep.count, axes)
    return sweep


def _refuse_many(document: Document, count: int, axes: Sequence[Axis]) -> None:
    if count > MAX_RUNS:
        longest = sorted(axes, key=lambda axis: -len(axis[0].values))[:5]
        of_axes = ", ".join(f"{len(axis[0].values):,} of {dotted(axis[0].keys)}" for axis in longest)
        message = f"expected at most {MAX_RUNS:,} runs in a sweep, got {count_text(count)} (values: {of_axes}"
        message += ", …)" if len(axes) > len(longest) else ")"
        origin = longest[0][0].origin
        where = origin if isinstance(origin, str) else document.where(origin)
        raise RecipeError([Problem(where, "sweep", f"{message}; sweep fewer values, or use several sweeps")])


def _is_of_variants(axis: Axis) -> bool:
    return any(swept.keys == ("variant",) for swept in axis)


def _product(axes: Sequence[Axis]) -> Iterator[list[Choice]]:
    for place in itertools.product(*(range(len(axis[0].values)) for axis in axes)):
        pairs = zip(axes, place, strict=True)
        yield [(swept.origin, swept.keys, swept.values[index]) for axis, index in pairs for swept in axis]


def _axes(document: Document, overrides: Sequence[str], flags: Sequence[str]) -> list[Axis]:
    """The axes of a document's sweep, without keys that an override or the command line sets, then the
    axes of the command line."""
    problems: list[Problem] = []

    def refuse(origin: str | KeyPath, message: str, keys: Keys = ()) -> None:
        if isinstance(origin, str):
            problems.append(Problem(origin, dotted(keys), message))
        else:
            problems.append(Problem(document.where(origin), document.label(origin), message))

    fixed = {keys_of(override.partition("=")[0]): override for override in overrides}
    added = [found for flag in flags if (found := axis_of(flag, refuse))]
    of_flags = [each for axis in added for each in axis]
    for each in of_flags:
        if around := _around(each.keys, fixed):
            override = one_line(f"--set {fixed[around]}", 120)
            refuse(each.origin, f"expected a key that is swept or set, not both; {override} sets it", each.keys)
    leave = {*fixed, *(each.keys for each in of_flags)}
    axes = [*_of_recipe(document, leave, refuse), *added]
    every = [each for axis in axes for each in axis]
    times = Counter(each.keys for each in every)
    for each in every:
        if times[each.keys] > 1:
            refuse(each.origin, f"a key can be swept only once; {dotted(each.keys)} is swept twice", each.keys)
        elif each.keys[0] in ("sweep", "variants"):
            refuse(each.origin, "expected a key of the recipe other than sweep and variants", each.keys)
    if problems:
        raise RecipeError(problems)
    return axes


def _around(keys: Keys, among: Collection[Keys]) -> Keys | None:
    """The outermost of the tables around the key, or the key itself, that is in ``among``."""
    return next((keys[:end] for end in range(1, len(keys) + 1) if keys[:end] in among), None)


def _of_recipe(document: Document, leave: Collection[Keys], refuse: Refuse) -> list[Axis]:
    """The axes of a document's sweep, without the keys in ``leave`` and the keys inside those."""
    table = document.data.get("sweep", {})

    def swept(table: Mapping[str, Any], path: KeyPath) -> Iterator[Swept]:
        for inner, keys, values in leaves(table):
            if not isinstance(values, list) or not values:
                refuse((*path, *inner), f"must be an array with at least one value, not {shorten(values)}")
            elif not all(keys):
                refuse((*path, *inner), "expected a key with a name before and after each dot")
            elif _around(keys, leave) is None:
                yield Swept((*path, *inner), keys, tuple(values))

    if not isinstance(table, dict):
        refuse(("sweep",), f"expected a table of keys, each with an array of values, got {shorten(table)}")
        table = {}
    groups = table.get("zip", [])
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        refuse(("sweep", "zip"), f"expected [[sweep.zip]] tables of keys that change together, got {shorten(groups)}")
        groups = []
    alone: dict[Keys, Axis] = {}
    for each in swept({key: value for key, value in table.items() if key != "zip"}, ("sweep",)):
        if len(distinct(each.values)) < len(each.values):
            refuse(each.origin, f"expected distinct values, got {shorten(each.values)}")
        alone.pop(each.keys, None)
        alone[each.keys] = (each,)
    axes = list(alone.values())
    for index, group in enumerate(groups):
        axis = tuple(swept(group, ("sweep", "zip", index)))
        if len({len(each.values) for each in axis}) > 1:
            refuse(("sweep", "zip", index), f"expected arrays of the same length, got {lengths(axis)}")
        elif axis:
            axes.append(_each_once(axis))
    return axes


def _each_once(axis: Axis) -> Axis:
    """The axis without duplicate combinations; an override may have removed the key that distinguished them."""
    rows = distinct(zip(*(each.values for each in axis), strict=True))
    return tuple(replace(each, values=values) for each, values in zip(axis, zip(*rows, strict=True), strict=True))
