"""Judge a claim by several runs of its recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srframework.claims.claim import Check, Claim
from srframework.claims.collapse import collapse_reason
from srframework.report.significance import (
    FAILS,
    HOLDS,
    UNDECIDED,
    compare_spreads,
    decide,
    seeds_for_margin,
    seeds_for_spreads,
)


@dataclass(frozen=True)
class Decision:
    """The result of one check.

    Attributes:
        verdict: Holds, does not hold, or undecided.
        seeds: For an undecided check, an estimate of the number of seeds that decide it; None if no number does.
        reason: Why the check does not hold, whatever the figures are: a model has collapsed. Else empty.
    """

    verdict: str
    seeds: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Judgement:
    """The result of judging a claim by several runs.

    Attributes:
        figures: Figure -> its values, one per run.
        units: Figure -> its unit.
        checks: Check -> its decision.
        controls: Negative control -> its decision; it should be "does not hold".
        verdict: Does not hold if a check does not hold; holds if all checks hold and no control does; else undecided.
    """

    figures: dict[str, list[float]]
    units: dict[str, str]
    checks: dict[str, Decision]
    controls: dict[str, Decision]
    verdict: str


def judge(claim: Claim, runs: Sequence[Sequence[Mapping[str, Any]]], claims: int = 1) -> Judgement:
    """Judge a claim by the reports of runs that differ only in their seed.

    Args:
        claim: The claim.
        runs: The stages of each run's report.
        claims: Number of claims that are judged together; the level of each test is divided by it.

    Raises:
        UsageError: A check names a stage, level or split that the reports do not have.
    """
    figures: dict[str, list[float]] = {}
    units: dict[str, str] = {}
    for check in claim.parsed:
        for figure in check.figures:
            figures[figure.text] = [figure.of(stages) for stages in runs]
            units[figure.text] = figure.unit(runs[0])
    number = len(claim.checks)

    def decided(check: Check, checks: int, claims: int) -> Decision:
        reason = collapse_reason(check, runs)
        return Decision(FAILS, reason=reason) if reason else judge_check(check, figures, checks, claims)

    checks = {check.text: decided(check, number, claims) for check in claim.parsed[:number]}
    controls = {check.text: decided(check, 1, claims) for check in claim.parsed[number:]}
    found = {decision.verdict for decision in checks.values()}
    shown = found == {HOLDS} and all(decision.verdict == FAILS for decision in controls.values())
    verdict = FAILS if FAILS in found else HOLDS if shown else UNDECIDED
    return Judgement(figures, units, checks, controls, verdict)


def judge_check(check: Check, values: Mapping[str, Sequence[float]], checks: int = 1, claims: int = 1) -> Decision:
    """Whether a check holds.

    Args:
        check: The check.
        values: Text of a figure -> its values over the seeds.
        checks: Number of checks of the claim.
        claims: Number of claims that are judged together.
    """
    if check.compares_spreads:
        lesser, greater = (values[figure.text] for figure in check.figures)
        verdict = compare_spreads(lesser, greater, checks, claims)
        more = seeds_for_spreads(lesser, greater, checks, claims) if verdict == UNDECIDED else None
        return Decision(verdict, more)
    texts = [figure.text for figure in check.figures]
    by_seed = [dict(zip(texts, row, strict=True)) for row in zip(*(values[text] for text in texts), strict=True)]
    margins = [check.margin(row) for row in by_seed]
    verdict = decide(margins, check.strict, checks, claims)
    return Decision(verdict, seeds_for_margin(margins, checks, claims) if verdict == UNDECIDED else None)
