"""Options and schedules that pruners share; without torch. :mod:`srframework.scores` has the arithmetic."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from srframework.component import Counts, Options

Scope = Literal["local", "global"]
"""Whether each matrix has the sparsity (``"local"``), or all matrices together have it (``"global"``)."""

_KEPT_LEVELS = "kept levels"


def _levels(value: Any) -> Any:
    if value in ("all", "last"):
        return value
    if isinstance(value, list | tuple) and value and all(type(each) is float and 0 < each < 1 for each in value):
        return tuple(sorted(set(value)))
    raise ValueError('"all", "last", or an array of sparsity levels in (0, 1), such as [0.2, 0.5]')


KeptLevels = Annotated[Literal["all", "last"] | tuple[float, ...], BeforeValidator(_levels), Counts(_KEPT_LEVELS)]
"""Type of an option with which the user chooses the sparsity levels that a stage keeps and measures: ``"all"``,
``"last"`` (only the last one, which is the end of the stage), or some of them, in ascending order.

For a pruner that reaches several levels: :func:`keeps_level` gives ``kept`` of each :class:`srframework.Phase`. The
value is not part of the key of a result, so it must have no other effect."""


def keeps_level(levels: KeptLevels, level: float) -> bool:
    """Whether the user chose to keep a level inside the stage; with ``"last"``, only the end of the stage is kept.

    >>> [keeps_level(levels, 0.2) for levels in ("all", "last", (0.2, 0.5), (0.5,))]
    [True, False, True, False]
    """
    return levels == "all" or (levels != "last" and f"{level:g}" in [f"{each:g}" for each in levels])


def kept_levels_options(options: type[Options]) -> list[str]:
    """Return the names of the options of type :data:`KeptLevels`."""
    return [
        name
        for name, field in options.model_fields.items()
        if any(isinstance(mark, Counts) and mark.as_ == _KEPT_LEVELS for mark in field.metadata)
    ]


def require_reached(levels: KeptLevels, reached: Iterable[float]) -> None:
    """Check that each level that the user chose is one that the pruner reaches.

    Raises:
        ValueError: It is not; lists the levels that are reached.
    """
    names = [f"{each:g}" for each in reached]
    for level in levels if isinstance(levels, tuple) else ():
        if f"{level:g}" not in names:
            raise ValueError(f"levels among {', '.join(names)} (got {level:g})")


_N_OF_M = re.compile(r"([1-9]\d?):([1-9]\d?)")
_NEIGHBOURS = re.compile(r"1x([1-9]\d{0,3})")


@dataclass(frozen=True)
class Pattern:
    """The structure of the pruned entries.

    Attributes:
        text: As the user writes it: ``"2:4"``, ``"1x4"``, ``"row"``.
        group: M or K: the number of neighbours in a row that belong together, at least 2. None: a complete row.
        kept: N of the M neighbours are kept; None: the group is kept or pruned as a unit.
    """

    text: str
    group: int | None
    kept: int | None = None

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Parse a pattern.

        Raises:
            ValueError: The text is no pattern.
        """
        if found := _N_OF_M.fullmatch(text):
            kept, group = map(int, found.groups())
            if kept < group:
                return cls(text, group, kept)
        if (found := _NEIGHBOURS.fullmatch(text)) and int(found[1]) > 1:
            return cls(text, int(found[1]))
        if text == "row":
            return cls(text, None)
        raise ValueError('"N:M" with N < M ("2:4"), "1xK" with K of 2 or more ("1x4"), or "row"')

    @property
    def sparsity(self) -> float | None:
        """The only sparsity that the pattern can have, in (0, 1); None for any."""
        return None if self.kept is None or self.group is None else 1 - self.kept / self.group


class PruneOptions(Options):
    """Options that the built-in pruners share: the parts to prune, the scope of the sparsity, and the pattern."""

    classifier: bool = Field(
        True, json_schema_extra={"source": "§3.1"}, description="Prune the matrices of the classifier too."
    )
    pooler: bool = Field(
        False,
        json_schema_extra={"source": "released code"},
        description="Prune the matrix of the pooler too, as in the authors' code.",
    )
    scope: Scope = Field(
        "local",
        json_schema_extra={"source": "App. A.1.1"},
        description="Each matrix has the sparsity (local), or all matrices together have it (global).",
    )
    pattern: str | None = Field(
        None,
        description='Structure of the pruned entries. "N:M": of each M neighbours in a row, N are kept ("2:4"). '
        '"1xK": K neighbours in a row are kept or pruned together ("1x4"). "row": complete rows are kept or pruned. '
        "Unset: single entries.",
    )

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, pattern: str | None) -> str | None:
        return None if pattern is None else Pattern.parse(pattern).text

    @model_validator(mode="after")
    def _pattern_fits(self) -> Any:
        pattern = self.parsed_pattern()
        if pattern is None or (pattern.sparsity is None and pattern.group is not None):
            return self
        if self.scope == "global":
            raise ValueError(f'scope = "local" with pattern = "{pattern.text}", got "global"')
        if pattern.group is None and self.classifier:
            raise ValueError(
                'classifier = false with pattern = "row", got true: each row of the last matrix belongs to a label'
            )
        if (only := pattern.sparsity) is not None:
            for key in ("sparsity", "step"):
                if abs((value := getattr(self, key, only)) - only) > 1e-9:
                    raise ValueError(f'{key} = {only:g} with pattern = "{pattern.text}", got {value:g}')
        return self

    def parts(self) -> frozenset[str]:
        """Return the names of the parts to prune."""
        chosen = {"encoder": True, "classifier": self.classifier, "pooler": self.pooler}
        return frozenset(part for part, pruned in chosen.items() if pruned)

    def parsed_pattern(self) -> Pattern | None:
        """Return the pattern; None for single entries."""
        return None if self.pattern is None else Pattern.parse(self.pattern)


def cubic_sparsity(initial: float, final: float, step: float, total_steps: float) -> float:
    """Return the sparsity of the gradual schedule: s(t) = s + (s_0 − s)·(1 − t/T)³.

    Args:
        initial: s_0, the sparsity at step 0, in [0, ``final``].
        final: s, the sparsity from step T on, in [0, 1).
        step: t, optimizer steps since the schedule began; at least 0.
        total_steps: T, optimizer steps of the schedule; at least 0. With 0 the result is ``final``.

    Returns:
        A fraction in [``initial``, ``final``] that never decreases with ``step``.

    Raises:
        ValueError: Not 0 ≤ ``initial`` ≤ ``final`` < 1, or ``step`` is below 0; shows the values.

    Source: section 5.2, after Zhu & Gupta 2017 (arXiv 1710.01878), section 3.

    >>> [cubic_sparsity(0.0, 0.8, step, 4) for step in (0, 2, 4, 9)]
    [0.0, 0.7000000000000001, 0.8, 0.8]
    """
    if not 0 <= initial <= final < 1:
        raise ValueError(f"expected 0 <= initial <= final < 1, got initial {initial} and final {final}")
    if step < 0:
        raise ValueError(f"expected a step of at least 0, got {step}")
    if step >= total_steps:
        return final
    if step == 0:
        return initial
    return min(max(initial, final + (initial - final) * (1 - step / total_steps) ** 3), final)
