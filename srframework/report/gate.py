"""Robust acceptance: whether a sparse stage keeps the ID figure of a baseline and gains enough on OOD sets.

The drop on ID and the gain on each OOD set have two 95 % intervals: over seeds (Student's t), and over examples (the
paired bootstrap of ``compare``). A check passes if both intervals are on the good side of its bar, fails if both are on
the other side, and is not decided otherwise. All checks must pass; so a stage whose true drop or gain misses a bar
passes with a probability of at most 2.5 %.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from srframework.errors import UsageError
from srframework.registry.registry import Registry
from srframework.report.comparison import Compared, compare_places
from srframework.report.comparison_side import Side
from srframework.report.result_rows import Row, summarise
from srframework.report.series import is_full
from srframework.report.significance import FEWEST, ROUNDING, interval_over_seeds, seeds_for_difference
from srframework.report.tables import COLLAPSED_NOTE
from srframework.run.results import BASELINE
from srframework.text import choices_text, listed, nearest, shorten
from srframework.units import PER_CENT

PASS, FAIL, UNDECIDED = "pass", "fail", "not decided"

Interval = tuple[float, float]


@dataclass(frozen=True)
class GateCheck:
    """One bar: the drop on the ID set, or the gain on an OOD set.

    Attributes:
        kind: ``"id"``: the change is a drop, at most ``bar``; ``"ood"``: it is a gain, at least ``bar``.
        baseline, stage: The figures: means over the seeds.
        change: The mean drop or gain; below 0 if the figure changes in the other direction.
        by_seed: The drop or gain of each seed.
        seeds_interval: 95 % interval of the change over seeds; None for one seed.
        examples_interval: The same over examples; None if it cannot be computed.
        examples: Number of examples; None without that interval.
        verdict: ``"pass"``, ``"fail"`` or ``"not decided"``.
        reasons: Sentences: why it does not pass, and what would decide it.
        seeds_needed: Estimate of the number of seeds that decide it; None if it is decided, or if none does.
        examples_needed: The same for examples.
    """

    kind: str
    split: str
    metric: str
    unit: str
    better: str | None
    baseline: float
    stage: float
    change: float
    bar: float
    by_seed: Sequence[float]
    seeds_interval: Interval | None
    examples_interval: Interval | None
    examples: int | None
    verdict: str
    reasons: Sequence[str]
    seeds_needed: int | None = None
    examples_needed: int | None = None


@dataclass(frozen=True)
class Gate:
    """The checks of a stage against a baseline; both are named as in ``results``: ``imp@0.5``.

    Attributes:
        chosen: Both names, each with the split that chose its checkpoint; empty for the last step.
        verdict: Fail if a check fails, pass if all pass, else not decided.
    """

    baseline: str
    stage: str
    seeds: Sequence[int]
    chosen: Sequence[tuple[str, str]]
    checks: Sequence[GateCheck]

    @property
    def verdict(self) -> str:
        verdicts = {check.verdict for check in self.checks}
        return FAIL if FAIL in verdicts else UNDECIDED if UNDECIDED in verdicts else PASS

    def to_json(self) -> dict[str, Any]:
        """The object that ``gate --json`` prints; figures in their unit."""
        head: dict[str, Any] = {
            "verdict": self.verdict,
            "baseline": self.baseline,
            "stage": self.stage,
            "seeds": list(self.seeds),
        }
        head["chosen_on"] = {name: split or None for name, split in self.chosen}
        return head | {"checks": [asdict(check) for check in self.checks]}


@dataclass(frozen=True)
class Bars:
    """The bars in percentage points: the largest drop on ID, the least gain on each OOD set."""

    id_drop: float
    ood_gain: float


def judge_gate(
    side: Side,
    bars: Bars,
    names: tuple[str | None, str | None],
    ood: Sequence[str],
    resamples: int,
    registry: Registry,
) -> Gate:
    """Judge a stage of some runs against a baseline stage of the same runs.

    Args:
        side: The runs, one per seed.
        bars: The bars.
        names: The baseline and the stage; None for the only full model, and for the only sparse stage.
        ood: The OOD sets, all of them must reach the bar; empty for the only one.
        resamples: Number of bootstrap resamples.
        registry: The components; the evaluators compute the metric of resampled examples.

    Raises:
        UsageError: A stage or an OOD set does not exist or must be chosen, or the figure is not in percent.
    """
    baseline, stage = _stages(side, *names)
    if stage.metric.unit != PER_CENT or stage.metric.better is None:
        raise UsageError(
            f"{stage.metric.name}: a gate needs a figure in percent that should be high or low, because its bars are "
            "percentage points; choose one with --metric"
        )
    splits = _ood(baseline, stage, ood)
    places = [(row.stage, row.level) for row in (baseline, stage)]
    compared = compare_places(side, places[0], places[1], resamples, registry)
    found = [row for row in compared if row.kind == "id" or (row.kind == "ood" and row.split in splits)]
    if not any(row.kind == "id" for row in found):
        raise UsageError(f"{stage.metric.name}: a gate needs a figure on the ID set; choose one with --metric")
    chosen = [(row.name, ", ".join(row.chosen_on)) for row in (baseline, stage)]
    return Gate(baseline.name, stage.name, stage.seeds, chosen, [_check(row, bars, baseline, stage) for row in found])


def _stages(side: Side, baseline: str | None, stage: str | None) -> tuple[Row, Row]:
    """The rows of the baseline and of the stage."""
    _, every = summarise([*side.runs.values()], levels=True)
    rows = {row.name: row for row in every if row.op != BASELINE and len(row.figures) == len(side.runs)}
    full = {name for name, row in rows.items() if is_full(row)}
    ends = [name for name, row in rows.items() if row.level is None]
    of_baseline = _stage("--baseline", baseline, rows, [name for name in ends if name in full], "full model")
    of_stage = _stage("--stage", stage, rows, [name for name in ends if _is_sparse(rows[name])], "sparse stage")
    if of_baseline is of_stage:
        raise UsageError(f"--stage {of_stage.name}: expected another stage than the baseline")
    return of_baseline, of_stage


def _is_sparse(row: Row) -> bool:
    sparsity = row.statistic("sparsity")
    return sparsity is not None and round(sparsity.mean, 3) > 0


def _stage(option: str, name: str | None, rows: Mapping[str, Row], usual: Sequence[str], what: str) -> Row:
    """The row that the user names, or the only usual one."""
    if name is None and len(usual) == 1:
        return rows[usual[0]]
    if name is None:
        found = f"{len(usual)} stages are a {what}" if usual else f"no stage is a {what}"
        raise UsageError(f"{found} in every run; choose one with {option}: {listed(usual or rows)}")
    if name not in rows:
        offer = choices_text(nearest(name, rows), rows)
        raise UsageError(f"{option} {name}: not every run has the stage {shorten(name)}{offer}")
    return rows[name]


def _ood(baseline: Row, stage: Row, names: Sequence[str]) -> list[str]:
    """The OOD sets that the user names, or the only one."""
    known = [split for split in stage.splits("ood") if split in baseline.splits("ood")]
    for name in names:
        if name not in known:
            raise UsageError(
                f"--ood {name}: no OOD set is named {shorten(name)}{choices_text(nearest(name, known), known)}"
            )
    if not known:
        raise UsageError("these runs have no OOD set with this figure; a gate needs one")
    if not names and len(known) > 1:
        raise UsageError(f"these runs have {len(known)} OOD sets; choose with --ood NAME: {listed(known)}")
    return list(dict.fromkeys(names)) or known


def _check(row: Compared, bars: Bars, baseline: Row, stage: Row) -> GateCheck:
    is_id = row.kind == "id"
    sign = (1 if row.better == "higher" else -1) * (-1 if is_id else 1)
    bar = (bars.id_drop if is_id else bars.ood_gain) / 100
    by_seed = [sign * (_value(stage, seed, row) - _value(baseline, seed, row)) for seed in stage.seeds]
    over_seeds = interval_over_seeds(by_seed) if len(by_seed) > 1 else None
    over_examples = None
    if row.interval is not None:
        low, high = sorted(sign * end for end in row.interval)
        over_examples = (low, high)
    good = -1 if is_id else 1  # a drop must stay below its bar
    verdicts = [_verdict(interval, bar, good) for interval in (over_seeds, over_examples)]
    check = GateCheck(
        kind=row.kind,
        split=row.split,
        metric=row.metric,
        unit=row.unit,
        better=row.better,
        baseline=row.a,
        stage=row.b,
        change=sign * row.difference,
        bar=bar,
        by_seed=by_seed,
        seeds_interval=over_seeds,
        examples_interval=over_examples,
        examples=row.examples,
        verdict=verdicts[0] if verdicts[0] == verdicts[1] else UNDECIDED,
        reasons=(),
    )
    collapsed = [f"{each.name} has collapsed on {row.split}: {COLLAPSED_NOTE}" for each in (baseline, stage)]
    if "b" in row.collapsed:
        return replace(check, verdict=FAIL, reasons=[collapsed[1]])
    if "a" in row.collapsed:
        return replace(check, verdict=UNDECIDED, reasons=[f"the baseline {collapsed[0]}"])
    if len(by_seed) < FEWEST:
        count = f"{len(by_seed)} seed{'s are' if len(by_seed) > 1 else ' is'}"
        few = f"{count} too few: a gate needs at least {FEWEST}"
        return replace(check, verdict=UNDECIDED, reasons=[few], seeds_needed=_seeds(by_seed, bar))
    return _with_needs(check, verdicts, row.note) if check.verdict == UNDECIDED else check


def _with_needs(check: GateCheck, verdicts: Sequence[str], note: str | None) -> GateCheck:
    """An undecided check with what would decide it; ``verdicts``: over seeds, and over examples."""
    seeds = examples = None
    reasons = []
    if verdicts[0] == UNDECIDED:
        seeds = _seeds(check.by_seed, check.bar)
        reasons.append(_needed(seeds, "seeds"))
    if check.examples_interval is None:
        reasons.append(f"there is no interval over examples: {note}")
    elif verdicts[1] == UNDECIDED:
        examples = _examples(check)
        reasons.append(_needed(examples, "examples"))
    return replace(check, reasons=reasons, seeds_needed=seeds, examples_needed=examples)


def _value(row: Row, seed: int, compared: Compared) -> float:
    figures = row.figures[seed]
    value = figures.id if compared.kind == "id" else figures.ood[compared.split]
    assert value is not None, "it has been compared"
    return value


def _verdict(interval: Interval | None, bar: float, good: int) -> str:
    """Whether an interval is on the good side of the bar (``good``: 1 above, -1 below), on the other, or on both."""
    if interval is None:
        return UNDECIDED
    least, most = sorted(good * (end - bar) for end in interval)
    return PASS if least >= -ROUNDING else FAIL if most < -ROUNDING else UNDECIDED


def _seeds(by_seed: Sequence[float], bar: float) -> int | None:
    if len(by_seed) < 2:
        return FEWEST
    mean, deviation = statistics.fmean(by_seed), statistics.stdev(by_seed)
    return seeds_for_difference(mean - bar, deviation, more_than=len(by_seed))


def _examples(check: GateCheck) -> int | None:
    """Estimate the number of examples whose interval leaves out the bar: its width falls with their square root."""
    assert check.examples_interval is not None, "the caller has checked this"
    low, high = check.examples_interval
    margin, half = abs(check.change - check.bar), (high - low) / 2
    return math.ceil((check.examples or 0) * (half / margin) ** 2) if margin > ROUNDING else None


def _needed(count: int | None, what: str) -> str:
    if count is None:
        return f"no usual number of {what} would decide it: the change is about equal to the bar"
    return f"about {count:,} {what} would decide it, if mean and spread stay as they are"
