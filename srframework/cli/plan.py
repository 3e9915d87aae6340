"""``run --dry-run``: what a recipe would do, and what it would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from srframework.cli.context import print_json
from srframework.recipe.cost import RATE, StageCost, estimate
from srframework.recipe.sweep import Cell


def print_plan(cells: Sequence[Cell], as_json: bool) -> None:
    """Print the plan of every cell, like ones once, and the resolved recipe of the first."""
    costs = [estimate(cell.recipe) for cell in cells]
    if as_json:
        print_json(_document(cells, costs))
        return
    first = cells[0].recipe
    plans: dict[tuple[StageCost, ...], list[Cell]] = {}
    for cell, cost in zip(cells, costs, strict=True):
        plans.setdefault(tuple(cost), []).append(cell)
    for plan, like in plans.items():
        label = f" of {like[0].label}" if like[0].values else ""
        more = f", and of {len(like) - 1} more alike" if len(like) > 1 else ""
        click.echo(f"# The plan{label}{more}, in order:")
        for number, row in enumerate(plan, 1):
            click.echo(f"# {number}. {row.stage}: {row.formula}, {_extent(row)}")
        click.echo(f"# In all {_total(plan)}.\n#")
    if len(cells) > 1:
        every = [row for cost in costs for row in cost]
        click.echo(f"# {len(cells)} runs, {_total(every)} together.\n#")
    note = ", of the first run" if len(cells) > 1 else ""
    click.echo(f"# Hours are those of a device that does {RATE / 1e12:g} TFLOP/s; an estimate, at max_length tokens.")
    click.echo(f"\n# The recipe{note}, with every option said:")
    click.echo(first.to_toml())


def _document(cells: Sequence[Cell], costs: Sequence[Sequence[StageCost]]) -> dict[str, Any]:
    plans = [[asdict(row) | {"hours": row.hours} for row in cost] for cost in costs]
    if len(cells) == 1 and not cells[0].values:
        return {"recipe": cells[0].recipe.table(), "plan": plans[0]}
    pairs = zip(cells, plans, strict=True)
    return {"runs": [{"values": c.values, "recipe": c.recipe.table(), "plan": plan} for c, plan in pairs]}


def _extent(row: StageCost) -> str:
    steps = "an unknown number of steps" if row.steps is None else f"{row.steps:,} step{'s' if row.steps != 1 else ''}"
    extent = (
        steps if row.length.replace(" ", "") == steps.replace(",", "").replace(" ", "") else f"{row.length}: {steps}"
    )
    return extent if row.operations is None else f"{extent}, {_flops(row.operations)}"


def _total(rows: Sequence[StageCost]) -> str:
    if any(row.operations is None for row in rows):
        return "an unknown cost: the sizes of the data or of the model are not known before they are read"
    return _flops(sum(row.operations for row in rows if row.operations is not None))


def _flops(operations: float) -> str:
    return f"{_short(operations / 1e15)} PFLOP, {_short(operations / RATE / 3600)} h"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
