"""``--dry-run``: what a recipe or a sweep would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from srframework.cli.context import print_json
from srframework.recipe.plan import StageLength, lengths
from srframework.recipe.sweep import Cell


def print_plan(cells: Sequence[Cell], as_json: bool) -> None:
    """Print the stages of all cells, those that several have once, and the resolved recipe of the first."""
    plans = [lengths(cell.recipe) for cell in cells]
    if as_json:
        print_json(_document(cells, plans))
        return
    is_sweep = bool(cells[0].values)
    distinct = _distinct(cells, plans)
    if is_sweep:
        runs = f"{len(cells)} run{'s' if len(cells) > 1 else ''}"
        click.echo(f"# {runs}, {len(distinct)} distinct stages instead of {sum(map(len, plans))}:")
    else:
        click.echo("# The plan, in order:")
    for number, (row, count) in enumerate(Counter(distinct).items(), 1):
        click.echo(f"# {number}. {row.stage}: {row.formula}, {_extent(row)}{f', {count} times' if count > 1 else ''}")
    known = [row.steps for row in distinct if row.steps is not None]
    click.echo(f"# In all {_steps(sum(known) if len(known) == len(distinct) else None)}.")
    click.echo(f"\n# The recipe{', of the first run' if is_sweep else ''}, with every option:")
    click.echo(cells[0].recipe.to_toml())


def _distinct(cells: Sequence[Cell], plans: Sequence[Sequence[StageLength]]) -> list[StageLength]:
    """Each stage that is computed, in order; one that several cells have is computed once."""
    if len(cells) == 1:
        return [*plans[0]]
    from srframework.run.identity import signatures

    found: dict[str, StageLength] = {}
    for cell, plan in zip(cells, plans, strict=True):
        signs = signatures(cell.recipe)
        for row in plan:
            found.setdefault(signs[row.stage], row)
    return [*found.values()]


def _document(cells: Sequence[Cell], plans: Sequence[Sequence[StageLength]]) -> dict[str, Any]:
    rows = [[asdict(row) for row in plan] for plan in plans]
    if len(cells) == 1 and not cells[0].values:
        return {"recipe": cells[0].recipe.table(), "plan": rows[0]}
    pairs = zip(cells, rows, strict=True)
    return {"runs": [{"values": c.values, "recipe": c.recipe.table(), "plan": plan} for c, plan in pairs]}


def _extent(row: StageLength) -> str:
    steps = _steps(row.steps)
    return steps if row.length == steps.replace(",", "") else f"{row.length}: {steps}"


def _steps(count: int | None) -> str:
    return "an unknown number of steps" if count is None else f"{count:,} step{'s' if count != 1 else ''}"
