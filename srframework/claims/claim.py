"""A claim: checks of figures that a recipe confirms or refutes over several seeds."""

from __future__ import annotations

import ast
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from srframework.component import Options
from srframework.errors import UsageError
from srframework.units import PER_CENT

_FIGURE = re.compile(r"(id|ood|sparsity)(?:\.([A-Za-z0-9_-]+))?\(([^()\s]+)\)")
_SPREADS = re.compile(rf"\s*sd\(({_FIGURE.pattern})\)\s*([<>])\s*sd\(({_FIGURE.pattern})\)\s*")
_NUMBERS = re.compile(r"[-+*<>=().\seE0-9]*")
_FORM = (
    "a comparison of metrics, such as ood(srnet) >= ood(full) + 0.05 or sd(ood(a)) < sd(ood(b)); "
    "metrics: id(STAGE), ood(STAGE), ood.SPLIT(STAGE), sparsity(STAGE); operators: >= > <= < + - *"
)


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

    @classmethod
    def parse(cls, text: str) -> Figure:
        """Read a figure.

        Raises:
            ValueError: The text is not valid; says what was expected.
        """
        found = _FIGURE.fullmatch(text)
        assert found is not None, "the caller has matched the same pattern"
        kind, split, named = found.groups()
        stage, at, point = named.partition("@")
        if split and kind != "ood":
            raise ValueError(f"{text}: only ood takes a split")
        if at and not re.fullmatch(r"0?\.\d+", point):
            raise ValueError(f"{text}: a stage, or a sparsity level of one, such as imp@0.7")
        return cls(text, kind, split, stage, float(point) if at else None)

    @property
    def place(self) -> str:
        """Its stage or level: ``imp@0.7``."""
        return self.stage if self.level is None else f"{self.stage}@{self.level:g}"

    def row(self, stages: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The figures of its stage or level in the report of a run.

        Raises:
            UsageError: There is no such stage or level; lists the existing ones.
        """
        named = {stage["name"]: stage for stage in stages}
        found: Mapping[str, Any] = self._choose(named, self.stage, "a stage")
        if self.level is not None:
            levels = {f"{each['level']:g}": each for each in found.get("levels", [])}
            found = self._choose(levels, f"{self.level:g}", "a level")
        return found

    def of(self, stages: Sequence[Mapping[str, Any]]) -> float:
        """Its value in the report of a run.

        Raises:
            UsageError: There is no such stage, level or split; lists the existing ones.
        """
        found = self.row(stages)
        if self.kind != "ood":
            return float(found[self.kind])
        if not found["ood"]:
            raise UsageError(f"{self.text}: expected a data set with OOD splits, got none")
        if self.split is None:
            return statistics.fmean(found["ood"].values())
        return float(self._choose(found["ood"], self.split, "an OOD split"))

    def unit(self, stages: Sequence[Mapping[str, Any]]) -> str:
        """Its unit in the report of a run that has it."""
        if self.kind == "sparsity":
            return PER_CENT
        return str(next(stage["unit"] for stage in stages if stage["name"] == self.stage))

    def _choose(self, choices: Mapping[str, Any], name: str, what: str) -> Any:
        if name not in choices:
            raise UsageError(f"{self.text}: expected {what} among {', '.join(choices) or 'none'}; got {name!r}")
        return choices[name]


@dataclass(frozen=True)
class Check:
    """``left >= right``, where both sides are sums of figures times numbers; or ``sd(a) < sd(b)`` of two figures.

    Attributes:
        text: As it is written.
        figures: Its distinct figures; for two standard deviations, the one that must be smaller comes first.
        strict: Whether equality is not enough.
    """

    text: str
    figures: tuple[Figure, ...]
    strict: bool
    _margin: ast.expr | None

    @property
    def compares_spreads(self) -> bool:
        """Whether it compares two standard deviations."""
        return self._margin is None

    @classmethod
    def parse(cls, text: str) -> Check:
        """Read a check.

        Raises:
            ValueError: The text is not valid; says what was expected.
        """
        if spreads := _SPREADS.fullmatch(text):
            pair = [Figure.parse(spreads[1]), Figure.parse(spreads[6])]
            return cls(text, tuple(pair if spreads[5] == "<" else pair[::-1]), True, None)
        if not _NUMBERS.fullmatch(_FIGURE.sub("", text)):
            raise ValueError(_FORM)
        figures: dict[str, Figure] = {}

        def name(found: re.Match[str]) -> str:
            figures.setdefault(found[0], Figure.parse(found[0]))
            return f" f{list(figures).index(found[0])} "

        try:
            expression = ast.parse(_FIGURE.sub(name, text).strip(), mode="eval").body
        except (SyntaxError, RecursionError, MemoryError):
            raise ValueError(_FORM) from None
        if not isinstance(expression, ast.Compare) or len(expression.ops) != 1 or not figures:
            raise ValueError(_FORM)
        left, right, sign = expression.left, expression.comparators[0], expression.ops[0]
        if isinstance(sign, ast.LtE | ast.Lt):
            left, right = right, left
        elif not isinstance(sign, ast.GtE | ast.Gt):
            raise ValueError(_FORM)
        strict = isinstance(sign, ast.Lt | ast.Gt)
        check = cls(text, tuple(figures.values()), strict, ast.BinOp(left, ast.Sub(), right))
        try:
            margin = check.margin(dict.fromkeys((figure.text for figure in check.figures), 0.5))
        except (TypeError, RecursionError):
            raise ValueError(_FORM) from None
        if not math.isfinite(margin):
            raise ValueError(_FORM)
        return check

    def asks_for(self, figure: Figure) -> bool:
        """Whether the check requires one of its figures to be high (a higher value raises the margin) or, of two
        standard deviations, to have the smaller one."""
        if self.compares_spreads:
            return figure == self.figures[0]
        others = dict.fromkeys((each.text for each in self.figures), 0.5)
        return self.margin({**others, figure.text: 1.0}) > self.margin({**others, figure.text: 0.0})

    def margin(self, values: Mapping[str, float]) -> float:
        """The difference of the two sides, which must not be negative; ``values``: text of a figure -> its value."""
        assert self._margin is not None, "a check of standard deviations has no margin"
        numbered = {f"f{index}": values[figure.text] for index, figure in enumerate(self.figures)}
        return _evaluate(self._margin, numbered)


def _evaluate(node: ast.expr, values: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
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


def _parsable(text: str) -> str:
    Check.parse(text)
    return text


def _some(checks: tuple[str, ...]) -> tuple[str, ...]:
    if not checks:  # min_length would count only the valid checks
        raise ValueError("at least 1 of them")
    return checks


class Claim(Options):
    """The ``[claim]`` table of a recipe."""

    statement: str = Field(min_length=1, description="The claim, as a sentence.")
    source: str = Field("", description="Source of the claim: a section of the paper.")
    note: str = Field("", description="A remark for readers of the verdict.")
    checks: Annotated[tuple[Annotated[str, AfterValidator(_parsable)], ...], AfterValidator(_some)] = Field(
        strict=False, description=f"Conditions that must all hold for the claim to hold: {_FORM}."
    )
    controls: tuple[Annotated[str, AfterValidator(_parsable)], ...] = Field(
        (),
        strict=False,
        description="Negative controls: conditions of the same form that must not hold, for example that a model with "
        "random weights passes a check. The claim holds only if every control does not hold.",
    )

    @cached_property
    def parsed(self) -> tuple[Check, ...]:
        """The checks, then the controls."""
        return tuple(Check.parse(check) for check in (*self.checks, *self.controls))
