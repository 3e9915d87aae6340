"""``--where KEY=VALUE``: which runs and rows are meant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from srframework.errors import UsageError, nearest, shorten
from srframework.report.gathered import Run
from srframework.report.summary import RECIPE, Row, comparable

_OF_RUNS = ("seed", RECIPE)


@dataclass(frozen=True)
class Condition:
    """One condition: ``key`` in full, ``stage``, ``seed`` or ``recipe``; ``equal``: whether it is to be the value."""

    key: str
    equal: bool
    value: str
    text: str

    def keeps_run(self, run: Run) -> bool:
        """Whether the run is one of those meant; a setting that it does not have is unequal to anything."""
        return (_is(_of_run(run, self.key), self.value) == self.equal) if self.key != "stage" else True

    def keeps_row(self, row: Row) -> bool:
        """Whether the row is; a stage's name means its levels too."""
        return ((self.value in (row.stage, row.name)) == self.equal) if self.key == "stage" else True


def conditions(texts: Sequence[str], runs: Sequence[Run]) -> list[Condition]:
    """What the user wrote, understood by what the runs have.

    Raises:
        UsageError: No such key, or more than one; names the nearest, or all that are meant.
    """
    keys = list(dict.fromkeys(key for settings in {run.settings: None for run in runs} for key in settings.values))
    return [_condition(text, keys) for text in texts]


def select_runs(runs: Sequence[Run], chosen: Sequence[Condition]) -> list[Run]:
    """The runs that fulfil all conditions.

    Raises:
        UsageError: None is left; says which condition left none, and which values there are.
    """
    left = list(runs)
    for condition in chosen:
        kept = [run for run in left if condition.keeps_run(run)]
        if not kept:
            values = dict.fromkeys(_shown(_of_run(run, condition.key)) for run in left)
            raise UsageError(f"--where {condition.text}: no run is left; there is {_some(values)}")
        left = kept
    return left


def select_rows(rows: Sequence[Row], chosen: Sequence[Condition]) -> list[Row]:
    """The rows that fulfil all conditions; raises likewise."""
    left = list(rows)
    for condition in chosen:
        kept = [row for row in left if condition.keeps_row(row)]
        if not kept:
            names = dict.fromkeys(row.name for row in left)
            near = nearest(condition.value, names)
            hint = f"; did you mean {near!r}?" if near and near != condition.value else ""
            raise UsageError(f"--where {condition.text}: no row is left; there is {_some(names)}{hint}")
        left = kept
    return left


def _condition(text: str, keys: Sequence[str]) -> Condition:
    before, equals, value = text.partition("=")
    key = before.removesuffix("!").strip()
    if not equals or not key:
        raise UsageError(f"--where {text}: expected KEY=VALUE or KEY!=VALUE")
    return Condition(_full(key, keys, text), not before.endswith("!"), value.strip(), text)


def _full(key: str, keys: Sequence[str], text: str) -> str:
    if key in (*keys, *_OF_RUNS, "stage"):
        return key
    meant = [each for each in keys if each.endswith(f".{key}")]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise UsageError(f"--where {text}: {key!r} may mean {_some(meant)}; write one of them")
    short = {each.rpartition(".")[2]: None for each in keys}
    near = nearest(key, [*keys, *short, *_OF_RUNS, "stage"])
    hint = f"; did you mean {near!r}?" if near else ""
    raise UsageError(f"--where {text}: expected 'stage', 'seed', 'recipe' or a setting of the runs, got {key!r}{hint}")


def _of_run(run: Run, key: str) -> Any:
    if key == "seed":
        return run.seed
    return run.settings.recipe if key == RECIPE else run.settings.values.get(key)


def _is(value: Any, text: str) -> bool:
    """Whether a value is what the user wrote: in TOML or bare, a component with or without its plugin's name."""
    if value is None:
        return False
    if isinstance(value, str):
        return text.strip("\"'") in (value, value.rpartition("/")[2])
    try:
        return comparable(value) == comparable(json.loads(text))
    except ValueError:
        return False


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(shorten(each)[1:-1] for each in every[:8]) + (f" and {len(every) - 8} more" if every[8:] else "")
