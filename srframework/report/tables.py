"""One table: stage × (sparsity, ID metric, each OOD metric)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from srframework.runs import Figures, StageResult


def results_table(results: Sequence[StageResult]) -> Table:
    """The stages in the order in which they ran, each with the levels inside it; figures in percent."""
    splits = list(dict.fromkeys(split for result in results for split in result.figures.ood))
    metric = results[0].metric
    table = Table(
        "stage",
        "op",
        "sparsity",
        f"ID {metric}",
        *(f"OOD {split} {metric}" for split in splits),
        caption="in percent; sparsity: zeros among the entries of the encoder's and the classifier's prunable matrices",
        caption_justify="left",
    )
    for column in table.columns[2:]:
        column.justify = "right"
    for result in results:
        for level, figures in result.levels.items():
            table.add_row(f"{result.name}@{level}", result.op, *_cells(figures, splits))
        table.add_row(result.name, result.op, *_cells(result.figures, splits), end_section=True)
    return table


def _cells(figures: Figures, splits: Sequence[str]) -> list[str]:
    values = [figures.sparsity, figures.id, *(figures.ood.get(split) for split in splits)]
    return ["" if value is None else f"{100 * value:.2f}" for value in values]
