"""How many seeds a difference between two rows of the results needs, by the spread over the seeds that they have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from srframework.report.result_rows import Row, Statistic
from srframework.report.significance import FEWEST, seeds_for_difference
from srframework.run.results import BASELINE
from srframework.units import PER_CENT, number

POINT = 0.01
"""The usual difference: one percentage point."""

POWER = 0.8
"""Probability with which the difference is found, if it is there."""


@dataclass(frozen=True)
class SeedsNeeded:
    """The estimate for one metric on one set.

    Attributes:
        kind: ``"id"`` or ``"ood"``.
        sd: Standard deviation over seeds, pooled over the rows.
        fewest, most: Numbers of seeds of these rows.
        seeds: Seeds of each row whose 95 % interval of the difference leaves out 0 with the probability
            :data:`POWER`; the rows are assumed to vary independently. None for more than 1000.
    """

    metric: str
    kind: str
    split: str
    sd: float
    fewest: int
    most: int
    seeds: int | None


def seeds_needed(rows: Sequence[Row], difference: float = POINT) -> list[SeedsNeeded]:
    """Estimate for each metric in percent, on the ID set and on each OOD set.

    Args:
        rows: Rows of stages with two or more seeds count, without the figures of collapsed models.
        difference: Between the means of two rows, as a fraction, above 0.
    """
    spreads: dict[tuple[str, str, str], list[Statistic]] = {}
    for row in rows:
        if row.op == BASELINE or row.metric.unit != PER_CENT or not row.is_finished:
            continue
        places = [("id", row.runs[0].id_split), *(("ood", split) for split in row.splits("ood"))]
        for kind, split in places:
            found = row.statistic(kind, split if kind == "ood" else "")
            if found is not None and found.sd is not None and split not in row.collapsed():
                spreads.setdefault((row.metric.name, kind, split), []).append(found)
    return [_pooled(*place, found, difference) for place, found in spreads.items()]


def as_json(row: Row, needed: Sequence[SeedsNeeded], difference: float) -> dict[str, Any]:
    """The estimates that concern a row, for ``results --json``."""
    own = [each for each in needed if each.metric == row.metric.name]
    of_id = [_entry(each) for each in own if each.kind == "id" and each.split == row.runs[0].id_split]
    of_ood = {each.split: _entry(each) for each in own if each.kind == "ood" and each.split in row.splits("ood")}
    return {"difference": difference, "power": POWER, "id": of_id[0] if of_id else None, "ood": of_ood}


def sentence(rows: Sequence[Row], needed: Sequence[SeedsNeeded], difference: float) -> str:
    """The line under the results table; empty if no figure is in percent."""
    if not any(row.metric.unit == PER_CENT and row.op != BASELINE for row in rows):
        return ""
    if not needed:
        return f"One seed shows no spread; run at least {FEWEST} seeds to learn which differences are more than chance."
    has_one_metric = len({each.metric for each in needed}) == 1
    parts = [
        f"{'ID' if each.kind == 'id' else 'OOD'} {each.split}{'' if has_one_metric else f' {each.metric}'}: "
        f"{f'about {each.seeds} seeds' if each.seeds else 'more than 1000 seeds'} "
        f"(± {number(each.sd, PER_CENT)} over {_range(each)} seeds)"
        for each in needed
    ]
    points = f"{100 * difference:g} point{'s' if difference != POINT else ''}"
    return (
        f"With the spread seen here, a difference of {points} between two rows needs these seeds to be found with a "
        f"probability of {100 * POWER:g} %: {'; '.join(parts)}."
    )


def _pooled(metric: str, kind: str, split: str, found: Sequence[Statistic], difference: float) -> SeedsNeeded:
    counts = [len(each.values) for each in found]
    freedom = sum(counts) - len(counts)
    squares = (each.sd**2 * (count - 1) for each, count in zip(found, counts, strict=True) if each.sd is not None)
    sd = math.sqrt(math.fsum(squares) / freedom)
    seeds = seeds_for_difference(difference, math.sqrt(2) * sd, power=POWER)
    return SeedsNeeded(metric, kind, split, sd, min(counts), max(counts), seeds)


def _entry(needed: SeedsNeeded) -> dict[str, Any]:
    return {"sd": needed.sd, "seeds": needed.seeds}


def _range(needed: SeedsNeeded) -> str:
    return str(needed.most) if needed.fewest == needed.most else f"{needed.fewest} to {needed.most}"
