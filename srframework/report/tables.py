"""The table of a run: stage × (sparsity, ID metric, each OOD metric), from its report (as ``--json`` prints it)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from srframework.contracts import SPARSITY


def results_table(stages: Sequence[Mapping[str, Any]]) -> Table:
    """The stages in the order in which they ran, each with the levels inside it; figures in percent."""
    splits = {kind: list(dict.fromkeys(name for stage in stages for name in stage[kind])) for kind in ("also", "ood")}
    metric = stages[0]["metric"]
    table = Table(
        "stage",
        "op",
        "sparsity",
        f"ID {metric}",
        *(f"{split} {metric}" for split in splits["also"]),
        *(f"OOD {split} {metric}" for split in splits["ood"]),
        caption=f"in percent; sparsity: {SPARSITY}",
        caption_justify="left",
    )
    for column in table.columns[2:]:
        column.justify = "right"
    for stage in stages:
        for level in stage.get("levels", []):
            table.add_row(f"{stage['name']}@{level['level']:g}", stage["op"], *_cells(level, splits))
        table.add_row(stage["name"], stage["op"], *_cells(stage, splits), end_section=True)
    return table


def bias_line(report: Mapping[str, Any]) -> str:
    """The accuracy of the bias model alone, as a sentence."""
    parts = []
    for name, figures in report["splits"].items():
        merged = f" (labels merged: {_bias_figures(figures['merged'])})" if "merged" in figures else ""
        parts.append(f"{name}: {_bias_figures(figures)}{merged}")
    return (
        f"bias model {report['use']}, in percent, confident from p = {report['confident_from']:g}: {'; '.join(parts)}"
    )


def _bias_figures(figures: Mapping[str, float]) -> str:
    accuracy, right = (100 * figures[name] for name in ("accuracy", "confidently_right"))
    return f"accuracy {accuracy:.1f}, confidently right {right:.1f}"


def _cells(figures: Mapping[str, Any], splits: Mapping[str, Sequence[str]]) -> list[str]:
    values = [figures["sparsity"], figures["id"]]
    values += [figures[kind].get(split) for kind, names in splits.items() for split in names]
    return ["" if value is None else f"{100 * value:.2f}" for value in values]
