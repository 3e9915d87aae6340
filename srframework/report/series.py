"""Rows of the results -> series: one method over x. Settings that x does not determine make another series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from srframework.report.result_rows import RECIPE, Row, comparable, summarise
from srframework.report.runs import Run

_NOT_OF_STAGES = ("evaluators", "bias")
_DIGITS = 3

XOf = Callable[[Row], float | None]
"""The x of a row; None if it has none."""


@dataclass(frozen=True)
class Series:
    """One stage under one combination of settings.

    Attributes:
        stage: The stage.
        settings: The settings that distinguish it from the other series of the stage, by key.
        along: Keys of other settings than x that differ between its points.
        is_full: Whether it is a model that is trained and not sparse.
        rows: With their x, in ascending order.
        name: The name that a recipe or the user gives it; may be empty.
    """

    stage: str
    settings: Mapping[str, Any]
    along: Sequence[str]
    is_full: bool
    rows: Sequence[tuple[float, Row]]
    name: str = ""

    @property
    def label(self) -> str:
        """Its name, or the stage with the distinguishing settings in brackets."""
        if self.name:
            return self.name
        settings = [f"{_short(key, self.stage)}={_text(value)}" for key, value in self.settings.items()]
        return f"{self.stage} ({', '.join(settings)})" if settings else self.stage


def by_dataset(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs by the name of their data set, without its plugin."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(dataset_of(run), []).append(run)
    return found


def dataset_of(run: Run) -> str:
    """The name of the data set of a run, without its plugin."""
    return str(run.settings.values.get("dataset.use", "")).rpartition("/")[2]


def all_series(runs: Sequence[Run], x_of: XOf, levels: bool = True) -> list[Series]:
    """The series of some runs on one data set, in the order of their stages.

    Runs of several recipes count together if they have the same settings. A setting that x determines (each x has one
    value of it) does not divide a series: the sparsity itself, or, within one recipe, more epochs at a higher sparsity.

    Args:
        runs: The runs.
        x_of: The x of a row.
        levels: Whether the levels inside a stage are points too.
    """
    _, rows = summarise([replace(run, baselines=()) for run in runs], levels)  # those are rows of tables only
    stages: dict[str, list[Row]] = {}
    for row in _merged(rows):
        stages.setdefault(row.stage, []).append(row)
    return [series for stage, of_stage in stages.items() for series in _of_stage(stage, of_stage, x_of)]


def is_full(row: Row) -> bool:
    """Whether a row is a full model: trained, and not sparse."""
    sparsity = row.statistic("sparsity")
    return row.op == "train" and sparsity is not None and not round(sparsity.mean, _DIGITS)


def sparsity_of(row: Row) -> float | None:
    """The mean measured sparsity of a row, as a fraction."""
    sparsity = row.statistic("sparsity")
    return None if sparsity is None else sparsity.mean


def _merged(rows: Iterable[Row]) -> list[Row]:
    """The rows without the name of the recipe, its evaluators, and a bias model that the stage cannot need.

    A recipe has a bias model only if one of its stages needs it: a row without one shows that its stage needs none.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        values = {key: value for key, value in row.values.items() if not _is_apart(key)}
        groups.setdefault((row.name, row.metric, *_items(values)), []).append(row)
    found: list[Row] = []
    for each in groups.values():
        biased = [{key: value for key, value in row.values.items() if key.startswith("bias.")} for row in each]
        needs_none = not all(biased)
        of_bias: dict[tuple[Any, ...], Row] = {}
        for row, bias in zip(each, biased, strict=True):
            values = {key: value for key, value in row.values.items() if not _is_apart(key)}
            values |= {} if needs_none else bias
            fresh = Row(row.name, row.stage, row.level, row.op, row.metric, values, conflicts=[*row.conflicts])
            merged = of_bias.setdefault(_items({} if needs_none else bias), fresh)
            if merged is not fresh:
                merged.conflicts += row.conflicts
            firsts = {run.seed: run for run in reversed(row.runs)}
            for seed, figures in row.figures.items():
                merged.add(firsts[seed], figures)
        found += of_bias.values()
    return found


def _is_apart(key: str) -> bool:
    return key == RECIPE or key.partition(".")[0] in _NOT_OF_STAGES


def _items(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((key, comparable(value)) for key, value in values.items())


def _of_stage(stage: str, rows: Sequence[Row], x_of: XOf) -> list[Series]:
    placed = [(x, row) for row in rows if (x := x_of(row)) is not None]
    full = [pair for pair in placed if is_full(pair[1])]
    found = []
    for of_kind, kind in ((full, True), ([pair for pair in placed if pair not in full], False)):
        keys = list(dict.fromkeys(key for _, row in of_kind for key in row.values))
        along = [] if kind else [key for key in keys if _depends(key, of_kind)]
        groups: dict[tuple[Any, ...], list[tuple[float, Row]]] = {}
        for x, row in of_kind:
            own = {key: value for key, value in row.values.items() if key not in along}
            groups.setdefault((row.metric, *_items(own)), []).append((x, row))
        for group in groups.values():
            values = group[0][1].values
            differ = [key for key in keys if key not in along and _differs(key, of_kind)]
            settings = {key: values[key] for key in differ if key in values}
            points = sorted(_without_repeats(group), key=lambda pair: pair[0])
            changing = [
                key for key in along if _differs(key, points) and not (_is_x(key, points) or _is_sparsity(key, points))
            ]
            found.append(Series(stage, settings, changing, kind, points))
    return found


def _depends(key: str, placed: Sequence[tuple[float, Row]]) -> bool:
    """Whether x determines the setting, which varies with x in the runs of one recipe, or is a sparsity."""
    values: dict[float, set[str]] = {}
    of_recipe: dict[str, set[str]] = {}
    for x, row in placed:
        value = comparable(row.values.get(key))
        values.setdefault(round(x, _DIGITS), set()).add(value)
        for run in row.runs:
            of_recipe.setdefault(run.settings.recipe, set()).add(value)
    if not key.endswith(".sparsity") and not any(len(each) > 1 for each in of_recipe.values()):
        return False
    return len(values) > 1 and all(len(each) == 1 for each in values.values())


def _is_x(key: str, placed: Sequence[tuple[float, Row]]) -> bool:
    """Whether the setting is x itself, as ``stages.mask.epochs`` is for ``--x epochs``."""
    return all(row.values.get(key) == x for x, row in placed)


def _is_sparsity(key: str, placed: Sequence[tuple[float, Row]]) -> bool:
    """Whether the setting is a sparsity, or a mask at levels of one stage: ``imp-rw@0.2``, ``imp-rw@0.5``."""
    masks = {str(row.values.get(key)).partition("@")[0] for _, row in placed}
    return key.endswith(".sparsity") or (key.endswith(".mask") and len(masks) == 1)


def _differs(key: str, placed: Sequence[tuple[float, Row]]) -> bool:
    return len({comparable(row.values.get(key)) for _, row in placed}) > 1


def _without_repeats(placed: Sequence[tuple[float, Row]]) -> list[tuple[float, Row]]:
    """Without the levels at the same x as the end of their stage: usually they are that end."""
    ends = {round(x, _DIGITS) for x, row in placed if row.level is None}
    return [(x, row) for x, row in placed if row.level is None or round(x, _DIGITS) not in ends]


def _short(key: str, stage: str) -> str:
    return key.removeprefix(f"stages.{stage}.").removesuffix(".use")


def _text(value: Any) -> str:
    return value.rpartition("/")[2] if isinstance(value, str) else f"{value}"
