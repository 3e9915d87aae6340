"""``compare``: two experiments, what differs in them and in what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from srframework.cli.context import App, json_option, print_json, print_table
from srframework.text import shorten

if TYPE_CHECKING:
    from srframework.report.comparison import Compared, Difference

_WHERE = "Only the runs of {} with that setting, recipe or seed, as `results --where`. Repeatable."


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--resamples", type=click.IntRange(min=100), default=10_000, show_default=True, help="Resamples of the bootstrap."
)
@click.option("--a", "of_a", multiple=True, metavar="KEY=VALUE", help=_WHERE.format("A"))
@click.option("--b", "of_b", multiple=True, metavar="KEY=VALUE", help=_WHERE.format("B"))
@json_option
@click.pass_obj
def compare(
    app: App, a: str, b: str, resamples: int, of_a: tuple[str, ...], of_b: tuple[str, ...], as_json: bool
) -> None:
    """Compare A with B: run directories, or directories of runs that differ in their seed alone.

    Of other directories --a and --b choose the runs. For example, two cells of a sweep over their seeds:

    `srframework compare runs/sweep runs/sweep --a sparsity=0.5 --b sparsity=0.7`

    Says what differs in the resolved recipes, versions and data; and, of every stage and level that both
    have, the figures, their difference B − A, and its 95 % interval by the paired bootstrap: over
    examples, and, with two or more common seeds, over seeds. Figures are means over the common seeds, or, where there
    is none, over all.
    """
    from srframework.report import comparison
    from srframework.report.comparison_side import Side

    left, right = Side.read(a, of_a, "--a"), Side.read(b, of_b, "--b")
    for sentence in (*left.warnings, *right.warnings):
        click.echo(f"warning: {sentence}", err=True)
    rows = comparison.compare_sides(left, right, resamples, app.registry)
    differences = {
        "recipe": comparison.recipe_differences(left, right),
        "versions": comparison.version_differences(left, right),
        "data": comparison.data_differences(left, right),
    }
    common = [seed for seed in left.runs if seed in right.runs]
    if as_json:
        sides = {name: [run.record() for run in side.runs.values()] for name, side in (("a", left), ("b", right))}
        head: dict[str, Any] = {"runs": sides, "common_seeds": common, "resamples": resamples}
        head |= {name: [asdict(each) for each in found] for name, found in differences.items()}
        print_json({**head, "figures": [row.to_json() for row in rows]})
        return
    for name, side, where in (("A", left, of_a), ("B", right, of_b)):
        seeds = f"seed{'s' if len(side.runs) > 1 else ''} {', '.join(map(str, side.runs))}"
        click.echo(f"{name}: {' '.join([side.path, *where])} ({side.first.settings.recipe}; {seeds})")
    if not common:
        click.echo("No common seed: the means of all runs are compared.")
    elif len(common) < max(len(left.runs), len(right.runs)):
        click.echo(f"Compared over the common seeds: {', '.join(map(str, common))}.")
    for name, found in differences.items():
        _print_differences(name, found)
    _print_figures(rows)


def _print_differences(name: str, found: Sequence[Difference]) -> None:
    if not found:
        click.echo(f"{name}: the same")
        return
    table = Table(name, "A", "B", box=None, header_style="bold", pad_edge=False)
    for each in found:
        table.add_row(each.key, *("(none)" if value is None else _shown(value) for value in (each.a, each.b)))
    print_table(table)


def _print_figures(rows: Sequence[Compared]) -> None:
    over_seeds = any(row.seeds_interval is not None for row in rows)
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    table = Table("stage", "figure", "A", "B", "B − A", "over examples", *(["over seeds"] if over_seeds else []))
    table.caption, table.caption_justify = "in percent and points; intervals: 95 %, paired bootstrap", "left"
    for column in table.columns[2:]:
        column.justify = "right"
    for row in rows:
        name = row.stage if row.level is None else f"{row.stage}@{row.level:g}"
        kind = {"id": "ID ", "also": "", "ood": "OOD "}[row.kind]
        cells = [f"{100 * row.a:.2f}", f"{100 * row.b:.2f}", f"{100 * row.difference:+.2f}"]
        cells.append(_interval(row.interval) if row.note is None else f"({notes.index(row.note) + 1})")
        table.add_row(name, f"{kind}{row.split} {row.metric}", *cells, *([_interval(row.seeds_interval)] * over_seeds))
    print_table(table)
    for number, note in enumerate(notes, 1):
        click.echo(f"({number}) no interval: {note}")


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"[{100 * interval[0]:+.2f}, {100 * interval[1]:+.2f}]"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else shorten(value)
