"""``--where KEY=VALUE``: which runs and rows are meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
        keys: In full, or ``stage``, ``seed`` or ``recipe``; several for ``training.KEY``, which is to be so in every
            stage.
        equal: Whether it is to be one of the values.
        values: As the user wrote them, at least one.
        text: The option and all that the user wrote.
    """

    keys: Sequence[str]
    equal: bool
    values: Sequence[str]
    text: str

    @property
    def of_rows(self) -> bool:
        """Whether it is about rows, and not about runs."""
        return _STAGE in self.keys

    def keeps_run(self, run: Run) -> bool:
        """Whether the run is one of those meant; a setting that it does not have is unequal to anything."""
        return self.of_rows or self._meets(self.found(run)) == self.equal

    def keeps_row(self, row: Row) -> bool:
        """Whether the row is; a stage's name means its levels too."""
        return not self.of_rows or any(_place(each) in (row.stage, row.name) for each in self.values) == self.equal

    def found(self, run: Run) -> list[Any]:
        """The values that a run has."""
        every = [_of_run(run, key) for key in self.keys]
        return [value for value in every if value is not None]

    def _meets(self, found: Sequence[Any]) -> bool:
        return bool(found) and all(any(_is(value, text) for text in self.values) for value in found)


def wants_levels(texts: Sequence[str]) -> bool:
    """Whether a level inside a stage is asked for: ``stage=imp@0.3``."""
    parts = [text.partition("=") for text in texts]
    return any(key.strip() == _STAGE and "@" in value for key, _, value in parts)


def conditions(texts: Sequence[str], runs: Sequence[Run], option: str = "--where") -> list[Condition]:
    """What the user wrote, understood by what the runs have.

    Args:
        texts: ``KEY=VALUE``, ``KEY=A,B`` for any of these values, or with ``!=``. Of a key its end will do, where only
            one key has that end, or only one that varies among the runs, as in the headings of a table.
        runs: All that there are.
        option: That the user wrote them with; only ``--where`` is about stages too.

    Raises:
        UsageError: No such key, or more than one; names the nearest, or all that are meant.
    """
    settings = list({run.settings: None for run in runs})
    keys = list(dict.fromkeys(key for each in settings for key in each.values))
    others = (_STAGE, *_OF_RUNS) if option == "--where" else _OF_RUNS
    found = []
    for text in texts:
        said = f"{option} {text}"
        before, equals, value = text.partition("=")
        key = before.removesuffix("!").strip()
        words = list(split(value, ","))
        if not equals or not key:
            raise UsageError(f"{said}: expected KEY=VALUE or KEY!=VALUE")
        if words[1:] and not all(words):
            raise UsageError(f'{said}: expected values with a comma between, got an empty one; "" is an empty text')
        meant = [key] if key in (*keys, *others) else _of_every_stage(key, keys) or _ending(key, keys)
        if not meant:
            raise UsageError(f"{said}: {_unknown(key, keys, others)}")
        if len(meant) > 1 and not key.startswith(_OF_TRAINING):
            vary = [each for each in varying(settings) if each in meant]
            if len(vary) != 1:
                raise UsageError(f"{said}: {key!r} may mean {_some(meant)}; write one of them")
            meant = vary
        found.append(Condition(meant, not before.endswith("!"), list(dict.fromkeys([value.strip(), *words])), said))
    return found


def select_runs(runs: Sequence[Run], chosen: Sequence[Condition]) -> list[Run]:
    """The runs that fulfil all conditions.

    Raises:
        UsageError: None is left; says which condition left none, and which values there are.
    """
    left = list(runs)
    for condition in chosen:
        kept = [run for run in left if condition.keeps_run(run)]
        if not kept:
            values = dict.fromkeys(str(value) for run in left for value in condition.found(run) or ["none"])
            raise UsageError(f"{condition.text}: no run is left; there is {_some(values)}")
        left = kept
    return left


def select_rows(rows: Sequence[Row], chosen: Sequence[Condition]) -> list[Row]:
    """The rows that fulfil all conditions; raises likewise."""
    left = list(rows)
    for condition in chosen:
        kept = [row for row in left if condition.keeps_row(row)]
        if not kept:
            names = dict.fromkeys(row.name for row in left)
            near = next((near for each in condition.values if (near := nearest(each, names)) not in (None, each)), None)
            raise UsageError(f"{condition.text}: no row is left; there is {_some(names)}{did_you_mean(near)}")
        left = kept
    return left


def _of_every_stage(key: str, keys: Sequence[str]) -> list[str]:
    """``training.KEY`` -> that key of every stage, which is where a resolved recipe has it."""
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
    """A stage or a level as a row has its name: ``imp@.30`` -> ``imp@0.3``."""
    stage, at, level = text.strip("\"'").partition("@")
    try:
        return f"{stage}@{float(level):g}" if at else stage
    except ValueError:
        return text


def _is(value: Any, text: str) -> bool:
    """Whether a value is what the user wrote: in TOML or bare, a component with or without its plugin's name."""
    written = value_of(text)
    if isinstance(value, str):
        return any(each in (value, value.rpartition("/")[2]) for each in (written, text))
    try:
        return comparable(value) == comparable(written)
    except (TypeError, OverflowError):  # a date, or a number that no setting could have
        return False


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(shorten(each)[1:-1] for each in every[:8]) + (f" and {len(every) - 8} more" if every[8:] else "")
