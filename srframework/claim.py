"""A claim: what a recipe is to confirm or refute, in figures, over several seeds."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, field_validator

from srframework.component import Options
from srframework.errors import UsageError

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"

CONFIDENCE = 0.95
"""Of each side: a margin must be clear of 0 by Student's t at this level."""

_FIGURE = re.compile(r"(id|ood|sparsity)(?:\.([A-Za-z0-9_-]+))?\(([^()\s]+)\)")
_FORM = "figures such as id(full), ood(srnet), ood.hans(srnet), sparsity(imp@0.7), numbers, + - *, and one >= or <="


@dataclass(frozen=True)
class Figure:
    """A figure of a stage: ``id(full)``, ``ood.hans(imp@0.7)``.

    Attributes:
        text: As it is written.
        kind: ``id``, ``ood`` or ``sparsity``.
        split: The OOD split; None for the mean of all.
        stage: The stage.
        level: The sparsity level inside it; None for its end.
    """

    text: str
    kind: str
    split: str | None
    stage: str
    level: float | None

    def of(self, stages: Sequence[Mapping[str, Any]]) -> float:
        """Its value among the stages of a run's report.

        Raises:
            UsageError: There is no such stage, level or split; names those there are.
        """
        named = {stage["name"]: stage for stage in stages}
        found = self._choose(named, self.stage, "a stage")
        if self.level is not None:
            levels = {f"{each['level']:g}": each for each in found.get("levels", [])}
            found = self._choose(levels, f"{self.level:g}", "a level")
        if self.kind != "ood":
            return float(found[self.kind])
        if not found["ood"]:
            raise UsageError(f"{self.text}: expected a data set with OOD splits, got none")
        if self.split is None:
            return statistics.fmean(found["ood"].values())
        return float(self._choose(found["ood"], self.split, "an OOD split"))

    def _choose(self, choices: Mapping[str, Any], name: str, what: str) -> Any:
        if name not in choices:
            raise UsageError(f"{self.text}: expected {what} among {', '.join(choices) or 'none'}; got {name!r}")
        return choices[name]


@dataclass(frozen=True)
class Check:
    """``left >= right``: two sums of figures, times numbers.

    Attributes:
        text: As it is written.
        figures: Those in it, each once.
    """

    text: str
    figures: tuple[Figure, ...]
    _margin: ast.expr

    @classmethod
    def parse(cls, text: str) -> Check:
        """Read a check.

        Raises:
            ValueError: It is none; says what was expected.
        """
        figures: dict[str, Figure] = {}

        def name(found: re.Match[str]) -> str:
            kind, split, stage = found.groups()
            place, at, point = stage.partition("@")
            if split and kind != "ood":
                raise ValueError(f"{found[0]}: a split goes with ood alone")
            if at and not re.fullmatch(r"0?\.\d+", point):
                raise ValueError(f"{found[0]}: a stage, or a sparsity level of one, such as imp@0.7")
            figure = Figure(found[0], kind, split, place, float(point) if at else None)
            figures.setdefault(found[0], figure)
            return f" f{list(figures).index(found[0])} "

        try:
            expression = ast.parse(_FIGURE.sub(name, text).strip(), mode="eval").body
        except SyntaxError:
            raise ValueError(f"{_FORM}; got {text!r}") from None
        if not isinstance(expression, ast.Compare) or len(expression.ops) != 1 or not figures:
            raise ValueError(f"{_FORM}; got {text!r}")
        left, right = expression.left, expression.comparators[0]
        if isinstance(expression.ops[0], ast.LtE):
            left, right = right, left
        elif not isinstance(expression.ops[0], ast.GtE):
            raise ValueError(f"{_FORM}; got {text!r}")
        check = cls(text, tuple(figures.values()), ast.BinOp(left, ast.Sub(), right))
        try:
            check.margin(dict.fromkeys((figure.text for figure in check.figures), 0.5))
        except (LookupError, TypeError):
            raise ValueError(f"{_FORM}; got {text!r}") from None
        return check

    def margin(self, values: Mapping[str, float]) -> float:
        """By how much the greater side exceeds the lesser, given the value of each figure by its text."""
        numbered = {f"f{index}": values[figure.text] for index, figure in enumerate(self.figures)}
        return _evaluate(self._margin, numbered)


def _evaluate(node: ast.expr, values: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_evaluate(node.operand, values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub | ast.Mult):
        left, right = _evaluate(node.left, values), _evaluate(node.right, values)
        if isinstance(node.op, ast.Mult):
            return left * right
        return left + right if isinstance(node.op, ast.Add) else left - right
    raise TypeError(ast.dump(node))


class Claim(Options):
    """The ``[claim]`` table of a recipe."""

    statement: str = Field(min_length=1, description="What is claimed, in a sentence.")
    source: str = Field("", description="Where it is claimed: a section of the paper.")
    checks: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        min_length=1, description=f"What must be so for the claim to hold: {_FORM}."
    )

    @field_validator("checks")
    @classmethod
    def _are_checks(cls, checks: tuple[str, ...]) -> tuple[str, ...]:
        for check in checks:
            Check.parse(check)
        return checks

    @cached_property
    def parsed(self) -> tuple[Check, ...]:
        """The checks."""
        return tuple(Check.parse(check) for check in self.checks)


@dataclass(frozen=True)
class Judgement:
    """What several runs say of a claim.

    Attributes:
        figures: Each figure in it -> its values, one for each run.
        checks: Each check -> holds, does not hold, or undecided.
        verdict: Holds where all checks do; does not hold where one does not; else undecided.
    """

    figures: dict[str, list[float]]
    checks: dict[str, str]
    verdict: str


def judge(claim: Claim, runs: Sequence[Sequence[Mapping[str, Any]]]) -> Judgement:
    """Judge a claim by the reports of runs that differ in their seed alone.

    Args:
        claim: With its checks.
        runs: For each run, the stages of its report.
    """
    figures: dict[str, list[float]] = {}
    for check in claim.parsed:
        for figure in check.figures:
            figures[figure.text] = [figure.of(stages) for stages in runs]
    verdicts = {}
    for check in claim.parsed:
        by_run = [{text: values[run] for text, values in figures.items()} for run in range(len(runs))]
        verdicts[check.text] = decide([check.margin(values) for values in by_run])
    found = set(verdicts.values())
    verdict = FAILS if FAILS in found else UNDECIDED if UNDECIDED in found else HOLDS
    return Judgement(figures, verdicts, verdict)


def decide(margins: Sequence[float]) -> str:
    """Whether a margin is at least 0, by its values over seeds.

    It holds where the mean is clear of 0 by Student's t, does not where it is clear of it on the
    other side, and is undecided in between, and with fewer than two values. Where all values are
    the same there is nothing to doubt.

    >>> decide([0.2, 0.21, 0.19])
    'holds'
    """
    if len(margins) < 2:
        return UNDECIDED
    mean, deviation = statistics.fmean(margins), statistics.stdev(margins)
    half = _t_quantile(len(margins) - 1) * deviation / len(margins) ** 0.5
    if mean >= half:
        return HOLDS
    return FAILS if mean < -half else UNDECIDED


def _t_quantile(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, CONFIDENCE))
