"""Checks of the sparsity levels of a pruner's phases, and of the user's choice among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from srframework.contracts import Phase
from srframework.masks import Mask
from srframework.pruning import keeps_level, kept_levels_options
from srframework.testing.check import NotApplicable, Subject, require
from srframework.testing.pruner_run import STEPS, nothing, run


def levels_rise(subject: Subject) -> None:
    """The levels of the phases rise; none occurs twice."""
    levels = [phase.level for phase in subject.build().phases(STEPS) if phase.level is not None]
    if len(levels) < 2:
        raise NotApplicable("fewer than two phases have a level")
    require(all(one < two for one, two in pairwise(levels)), f"expected rising levels, got {levels}")


def keeps_the_chosen_levels(subject: Subject) -> None:
    """An option of type KeptLevels decides which levels are kept, and changes nothing else: the key of a result does
    not contain it."""
    names = kept_levels_options(subject.component.options)
    if not names:
        raise NotApplicable("no option of type KeptLevels")
    for name in names:
        phases = subject.build(**{name: "all"}).phases(STEPS)
        for choice in _choices(subject, name, phases):
            found = subject.build(**{name: choice}).phases(STEPS)
            where = f"{name} = {list(choice) if isinstance(choice, tuple) else choice}"
            same = [replace(each, kept=True) for each in found] == [replace(each, kept=True) for each in phases]
            require(same, f"{where} changes the phases, not only whether they are kept")
            for phase in found:
                expected = phase.level is None or phase.kept == keeps_level(choice, phase.level)
                require(expected, f"{where}: the phase with the level {phase.point} has kept = {phase.kept}")
        every, last = ({name: choice} for choice in ("all", "last"))
        require(_mask(subject, every) == _mask(subject, last), f"{name} changes the mask")


def _mask(subject: Subject, options: dict[str, Any]) -> Mask:
    return run(subject, nothing, **options)


def _choices(subject: Subject, name: str, phases: list[Phase]) -> Iterator[Any]:
    """The values of the option to try: ``"all"``, ``"last"``, and each level alone that the options accept."""
    levels = [(phase.level,) for phase in phases if phase.level is not None]
    yield from ("all", "last", *(each for each in levels if subject.accepts(**{name: each})))


CHECKS = [levels_rise, keeps_the_chosen_levels]
