"""Judge a claim by several runs of its recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srframework.claims.claim import Check, Claim
from srframework.claims.collapse import collapse_reason
from srframework.claims.significance import FAILS, HOLDS, UNDECIDED, compare_spreads, decide


@dataclass(frozen=True)
class Judgement:
    """The result of judging a claim by several runs.

    Attributes:
        figures: Figure -> its values, one per run.
        units: Figure -> its unit.
        checks: Check -> holds, does not hold, or undecided.
        reasons: Check -> why it does not hold, whatever the figures are: a model has collapsed.
        verdict: Holds if all checks hold; does not hold if one does not; else undecided.
    """

    figures: dict[str, list[float]]
    units: dict[str, str]
    checks: dict[str, str]
    reasons: dict[str, str]
    verdict: str


def judge(claim: Claim, runs: Sequence[Sequence[Mapping[str, Any]]]) -> Judgement:
    """Judge a claim by the reports of runs that differ only in their seed.

    Args:
        claim: The claim.
        runs: The stages of each run's report.

    Raises:
        UsageError: A check names a stage, level or split that the reports do not have.
    """
    figures: dict[str, list[float]] = {}
    units: dict[str, str] = {}
    for check in claim.parsed:
        for figure in check.figures:
            figures[figure.text] = [figure.of(stages) for stages in runs]
            units[figure.text] = figure.unit(runs[0])
    reasons = {check.text: reason for check in claim.parsed if (reason := collapse_reason(check, runs))}
    checks = {check.text: judge_check(check, figures, len(claim.parsed)) for check in claim.parsed}
    checks |= dict.fromkeys(reasons, FAILS)
    found = set(checks.values())
    verdict = FAILS if FAILS in found else UNDECIDED if UNDECIDED in found else HOLDS
    return Judgement(figures, units, checks, reasons, verdict)


def judge_check(check: Check, values: Mapping[str, Sequence[float]], checks: int = 1) -> str:
    """Whether a check holds.

    Args:
        check: The check.
        values: Text of a figure -> its values over the seeds.
        checks: Number of checks of the claim.
    """
    if check.compares_spreads:
        lesser, greater = (values[figure.text] for figure in check.figures)
        return compare_spreads(lesser, greater, checks)
    texts = [figure.text for figure in check.figures]
    by_seed = [dict(zip(texts, row, strict=True)) for row in zip(*(values[text] for text in texts), strict=True)]
    return decide([check.margin(row) for row in by_seed], check.strict, checks)
