"""The table of a run: stage × (sparsity, ID metric, each OOD metric), from its report (as ``--json`` prints it)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from srframework.contracts import SPARSITY


def results_table(stages: Sequence[Mapping[str, Any]]) -> Table:
    """The stages in the order in which they ran, each with the levels inside it; figures in per cent.

    Beside each figure is its change against the full model, in percentage points: the first stage that is trained and
    not sparse. The last level of a stage has no row where it is the end of the stage.
    """
    splits = {kind: list(dict.fromkeys(name for stage in stages for name in stage[kind])) for kind in ("also", "ood")}
    metric = stages[0]["metric"]
    full = next((stage for stage in stages if stage["op"] == "train" and not round(stage["sparsity"], 3)), None)
    against = f"; in brackets: change against {full['name']}, in points" if full is not None and stages[1:] else ""
    table = Table(caption=f"sparsity: {SPARSITY}{against}", caption_justify="left")
    table.add_column("stage", overflow="fold")
    table.add_column("sparsity %", justify="right")
    heads = ["ID", *splits["also"], *(f"OOD {split}" for split in splits["ood"])]
    for head in heads:
        table.add_column(f"{head} {metric} %", justify="right", overflow="fold")
    for stage in stages:
        levels = stage.get("levels", [])
        if levels and _figures(levels[-1], splits) == _figures(stage, splits):
            levels = levels[:-1]
        for level in levels:
            table.add_row(f"{stage['name']}@{level['level']:g}", *_cells(level, splits, full))
        table.add_row(stage["name"], *_cells(stage, splits, None if stage is full else full), end_section=bool(levels))
    return table


def bias_table(report: Mapping[str, Any]) -> Table:
    """The accuracy of the bias model alone on each split; and its share of examples that it predicts right and is
    confident about, which the debiasing losses give the least weight."""
    least = f"{100 * report['confident_from']:g}"
    caption = f"the bias model alone; right and confident: right, with a probability of {least} % or more"
    rows = {(name, ""): figures for name, figures in report["splits"].items()}
    rows |= {(name, ", labels merged"): figures["merged"] for (name, _), figures in rows.items() if "merged" in figures}
    table = Table(caption=caption, caption_justify="left")
    table.add_column(str(report["use"]), overflow="fold")
    for head in ("accuracy %", "right and confident %"):
        table.add_column(head, justify="right", overflow="fold")
    for (name, merged), figures in sorted(rows.items(), key=lambda row: [*report["splits"]].index(row[0][0])):
        table.add_row(f"{name}{merged}", _percent(figures["accuracy"]), _percent(figures["confidently_right"]))
    return table


def _figures(figures: Mapping[str, Any], splits: Mapping[str, Sequence[str]]) -> list[float | None]:
    values = [figures["sparsity"], figures["id"]]
    return values + [figures[kind].get(split) for kind, names in splits.items() for split in names]


def _cells(
    figures: Mapping[str, Any], splits: Mapping[str, Sequence[str]], full: Mapping[str, Any] | None
) -> list[str]:
    sparsity, *values = _figures(figures, splits)
    before = [None] * len(values) if full is None else _figures(full, splits)[1:]
    return [_percent(sparsity), *map(_changed, values, before)]


def _changed(value: float | None, before: float | None) -> str:
    if value is None or before is None:
        return _percent(value)
    return f"{_percent(value)} ({100 * (value - before):+.1f})"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"
