"""Checks whose figure comes from a model that predicts one label only; see :mod:`srframework.run.collapse`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from srframework.claims.claim import Check, Figure


def collapse_reason(check: Check, runs: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """Say why a check cannot hold: an OOD figure that it requires to be high, or steady, is that of a model that has
    collapsed in at least one run. Empty if there is no such figure.

    Args:
        check: The check.
        runs: The stages of each run's report.
    """
    found = []
    for figure in check.figures:
        if figure.kind == "ood" and check.asks_for(figure):
            collapsed = sum(_has_collapsed(figure, stages) for stages in runs)
            if collapsed:
                found.append(f"{figure.place} has collapsed in {collapsed} of {len(runs)} runs")
    return "; ".join(dict.fromkeys(found))


def _has_collapsed(figure: Figure, stages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the model has collapsed on a split of the figure, or on the ID data."""
    row = figure.row(stages)
    others = {split for split in row["ood"] if figure.split not in (None, split)}
    return bool(set(row.get("collapsed", ())) - others - row["also"].keys())
