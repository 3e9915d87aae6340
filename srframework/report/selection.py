"""``--where KEY=VALUE``: choose runs and rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from srframework.errors import UsageError
from srframework.recipe.grid import split
from srframework.recipe.overrides import value_of
from srframework.report.result_rows import RECIPE, Row, comparable, varying
from srframework.report.runs import Run
from srframework.text import did_you_mean, nearest, shorten
from srframework.training.options import TrainingOptions

_OF_RUNS = ("seed", RECIPE)
_STAGE = "stage"
_OF_TRAINING = "training."


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
        keys: Full keys, or ``stage``, ``seed`` or ``recipe``; several for ``training.KEY``, which must hold in every
            stage.
        equal: Whether the value must be one of ``values``, or none of them.
        values: As the user wrote them, at least one.
        text: The option as the user wrote it.
    """

    keys: Sequence[str]
    equal: bool
    values: Sequence[str]
    text: str

    @property
    def of_rows(self) -> bool:
        """Whether the condition is about rows, not runs."""
        return _STAGE in self.keys

    def keeps_run(self, run: Run) -> bool:
        """Whether the run meets the condition; a missing setting is unequal to any value."""
        return self.of_rows or self._meets(self.found(run)) == self.equal

    def keeps_row(self, row: Row) -> bool:
        """Whether the row meets the condition; the name of a stage includes its levels."""
        return not self.of_rows or any(_place(each) in (row.stage, row.name) for each in self.values) == self.equal

    def keeps_stage(self, name: str) -> bool:
        """Whether a stage, with its levels, meets the condition."""
        return not self.of_rows or any(_place(each) == name for each in self.values) == self.equal

    def found(self, run: Run) -> list[Any]:
        """The values of the keys in a run."""
        every = [_of_run(run, key) for key in self.keys]
        return [value for value in every if value is not None]

    def _meets(self, found: Sequence[Any]) -> bool:
        return bool(found) and all(any(_is(value, text) for text in self.values) for value in found)


def wants_levels(texts: Sequence[str]) -> bool:
    """Whether a condition names a level inside a stage: ``stage=imp@0.3``."""
    parts = [text.partition("=") for text in texts]
    return any(key.strip() == _STAGE and "@" in value for key, _, value in parts)


def conditions(texts: Sequence[str], runs: Sequence[Run], option: str = "--where") -> list[Condition]:
    """Parse conditions; keys are resolved against the settings of the runs.

    Args:
        texts: ``KEY=VALUE``, ``KEY=A,B`` for any of these values, or with ``!=``. The last parts of a key are enough
            if only one key ends so, or only one of those that vary among the runs.
        runs: All runs.
        option: The option of these conditions; only ``--where`` may be about stages.

    Raises:
        UsageError: There is no such key, or there are several; lists the nearest, or the candidates.
    """
    settings = list({run.settings: None for run in runs})
    keys = list(dict.fromkeys(key for each in settings for key in each.values))
    others = (_STAGE, *_OF_RUNS) if option == "--where" else _OF_RUNS
    found = []
    for text in texts:
        written = f"{option} {text}"
        before, equals, value = text.partition("=")
        key = before.removesuffix("!").strip()
        words = list(split(value, ","))
        if not equals or not key:
            raise UsageError(f"{written}: expected KEY=VALUE or KEY!=VALUE")
        if words[1:] and not all(words):
            raise UsageError(f'{written}: a value is empty; write "" for an empty string')
        meant = [key] if key in (*keys, *others) else _of_every_stage(key, keys) or _ending(key, keys)
        if not meant:
            raise UsageError(f"{written}: {_unknown(key, keys, others)}")
        if len(meant) > 1 and not key.startswith(_OF_TRAINING):
            vary = [each for each in varying(settings) if each in meant]
            if len(vary) != 1:
                raise UsageError(f"{written}: {key!r} is ambiguous; write one of: {_some(meant)}")
            meant = vary
        found.append(Condition(meant, not before.endswith("!"), list(dict.fromkeys([value.strip(), *words])), written))
    return found


def select_runs(runs: Sequence[Run], chosen: Sequence[Condition]) -> list[Run]:
    """The runs that meet all conditions.

    Raises:
        UsageError: No run meets them; names the first condition that no run meets, and the existing values.
    """
    left = list(runs)
    for condition in chosen:
        kept = [run for run in left if condition.keeps_run(run)]
        if not kept:
            values = dict.fromkeys(str(value) for run in left for value in condition.found(run) or ["none"])
            raise UsageError(f"{condition.text}: no run matches; existing values: {_some(values)}")
        left = kept
    return left


def select_rows(rows: Sequence[Row], chosen: Sequence[Condition]) -> list[Row]:
    """The rows that meet all conditions; raises as :func:`select_runs` does."""
    left = list(rows)
    for condition in chosen:
        kept = [row for row in left if condition.keeps_row(row)]
        if not kept:
            names = dict.fromkeys(row.name for row in left)
            near = next((near for each in condition.values if (near := nearest(each, names)) not in (None, each)), None)
            raise UsageError(f"{condition.text}: no row matches; existing stages: {_some(names)}{did_you_mean(near)}")
        left = kept
    return left


def select_stages(runs: Sequence[Run], chosen: Sequence[Condition]) -> list[Run]:
    """The runs with only the stages that meet all conditions, without runs that have none.

    Raises:
        UsageError: No stage meets them; lists the existing stages.
    """
    left = list(runs)
    for condition in chosen:
        kept = [replace(run, stages=[each for each in run.stages if condition.keeps_stage(each.name)]) for run in left]
        if not any(run.stages for run in kept):
            names = dict.fromkeys(stage.name for run in left for stage in run.stages)
            near = next((near for each in condition.values if (near := nearest(each, names)) not in (None, each)), None)
            raise UsageError(f"{condition.text}: no stage matches; existing stages: {_some(names)}{did_you_mean(near)}")
        left = [run for run in kept if run.stages]
    return left


def _of_every_stage(key: str, keys: Sequence[str]) -> list[str]:
    """``training.KEY`` -> that key of every stage; a resolved recipe has it only there."""
    option = key.removeprefix(_OF_TRAINING)
    if option == key or option not in TrainingOptions.model_fields:
        return []
    return [each for each in keys if each.startswith("stages.") and each.split(".")[2:] == [option]]


def _ending(key: str, keys: Sequence[str]) -> list[str]:
    return [each for each in keys if each.endswith(f".{key}")]


def _unknown(key: str, keys: Sequence[str], others: Sequence[str]) -> str:
    short = {each.rpartition(".")[2]: None for each in keys}
    near = nearest(key, [*keys, *short, *others])
    return f"expected {', '.join(map(repr, others))} or a setting of the runs, got {key!r}{did_you_mean(near)}"


def _of_run(run: Run, key: str) -> Any:
    if key == "seed":
        return run.seed
    return run.settings.recipe if key == RECIPE else run.settings.values.get(key)


def _place(text: str) -> str:
    """A stage or level in the form of a row's name: ``imp@.30`` -> ``imp@0.3``."""
    stage, at, level = text.strip("\"'").partition("@")
    try:
        return f"{stage}@{float(level):g}" if at else stage
    except ValueError:
        return text


def _is(value: Any, text: str) -> bool:
    """Whether a value equals the text of the user: as TOML or a bare word, a component with or without its plugin."""
    written = value_of(text)
    if isinstance(value, str):
        return any(each in (value, value.rpartition("/")[2]) for each in (written, text))
    try:
        return comparable(value) == comparable(written)
    except (TypeError, OverflowError):  # a date, or a number that no setting can have
        return False


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(shorten(each)[1:-1] for each in every[:8]) + (f" and {len(every) - 8} more" if every[8:] else "")
