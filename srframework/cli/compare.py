"""``compare``: differences between two experiments and their figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from srframework.cli import completion
from srframework.cli.context import App, json_option, output, print_json, print_table, print_text
from srframework.cli.streams import echo_error
from srframework.text import shorten
from srframework.units import heading as with_unit
from srframework.units import number

if TYPE_CHECKING:
    from srframework.report.comparison import Compared, Difference

resamples_option = click.option(
    "--resamples",
    type=click.IntRange(min=100),
    metavar="N",
    default=10_000,
    show_default=True,
    help="Resamples of the bootstrap.",
)

metric_option = click.option(
    "--metric", metavar="NAME", help="Compare this figure instead of the task's metric; see `results --metric`."
)

_WHERE = "Use only the runs of {} with this setting, recipe or seed; see `results --where`. Repeatable."


@click.command()
@click.argument("a", shell_complete=completion.paths)
@click.argument("b", shell_complete=completion.paths)
@resamples_option
@metric_option
@click.option("--a", "of_a", multiple=True, metavar="KEY=VALUE", help=_WHERE.format("A"))
@click.option("--b", "of_b", multiple=True, metavar="KEY=VALUE", help=_WHERE.format("B"))
@json_option
@click.pass_obj
def compare(
    app: App,
    a: str,
    b: str,
    resamples: int,
    metric: str | None,
    of_a: tuple[str, ...],
    of_b: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare two runs, or two groups of runs.

    A and B are run directories, or directories of runs that differ only in their seed. The runs of a sweep also
    differ in other settings: select some of them with --a and --b. This example compares two sparsities, each over all
    seeds:

    \b
    srframework compare runs/sweep runs/sweep --a sparsity=0.5 --b sparsity=0.7

    Prints the differences between the resolved recipes, versions and data. For every stage and sparsity level that
    both have, it prints the figures, the difference B − A, and the 95 % interval of the difference. The interval comes
    from a paired bootstrap over the examples and, with two or more common seeds, over the seeds. Figures are means
    over the common seeds; if there is no common seed, over all seeds.
    """  # noqa: D301 -- click reads \b
    from srframework.report import comparison
    from srframework.report.chosen_on import chosen_note
    from srframework.report.comparison_side import Side

    left, right = Side.read([a], of_a, "--a", metric), Side.read([b], of_b, "--b", metric)
    for sentence in (*left.warnings, *right.warnings):
        echo_error(f"warning: {sentence}")
    rows = comparison.compare_sides(left, right, resamples, app.registry)
    baselines = comparison.compare_baselines(left, right)
    differences = {
        "recipe": comparison.recipe_differences(left, right),
        "versions": comparison.version_differences(left, right),
        "data": comparison.data_differences(left, right),
    }
    common = [seed for seed in left.runs if seed in right.runs]
    if as_json:
        both = (("a", left), ("b", right))
        sides = {name: [run.record() for run in side.runs.values()] for name, side in both}
        head: dict[str, Any] = {"runs": sides, "common_seeds": common, "resamples": resamples}
        head |= {name: [asdict(each) for each in found] for name, found in differences.items()}
        head["chosen_on"] = {name: {each: split or None for each, split in side.chosen()} for name, side in both}
        figures = {"figures": rows, "baselines": baselines}
        print_json(head | {name: [row.to_json() for row in each] for name, each in figures.items()})
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
    _print_figures(rows, baselines)
    notes = dict.fromkeys(chosen_note(side.chosen()) for side in (left, right))
    for name, note in zip("AB", notes, strict=False):
        print_text(output(), note if len(notes) == 1 else f"{name}: {note}")


def _print_differences(name: str, found: Sequence[Difference]) -> None:
    if not found:
        click.echo(f"{name}: the same")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in (name, "A", "B"):
        table.add_column(heading, overflow="fold")
    for each in found:
        table.add_row(each.key, *("(none)" if value is None else _shown(value) for value in (each.a, each.b)))
    print_table(table)


def _print_figures(rows: Sequence[Compared], baselines: Sequence[Compared]) -> None:
    by_stage: dict[str, list[Compared]] = {}
    for row in rows:
        by_stage.setdefault(row.stage, []).append(row)
    equal = [stage for stage, of_stage in by_stage.items() if all(map(_is_equal, of_stage))]
    ends = {(row.stage, row.kind, row.split): (row.a, row.b, row.interval) for row in rows if row.level is None}
    levels = {(row.stage, row.level) for row in rows if row.level is not None}
    repeated = {
        place
        for place in levels
        if all(
            ends.get((row.stage, row.kind, row.split)) == (row.a, row.b, row.interval)
            for row in rows
            if (row.stage, row.level) == place
        )
    }
    rows = [row for row in rows if row.stage not in equal and (row.stage, row.level) not in repeated]
    click.echo()
    if rows:
        _print_table([*rows, *baselines])
    if equal:
        collapsed = {stage for stage in equal if any(row.collapsed for row in by_stage[stage])}
        names = [f"{stage} (collapsed)" if stage in collapsed else stage for stage in equal]
        click.echo(f"No difference in {', '.join(names)}.")


def _is_equal(row: Compared) -> bool:
    """Whether A and B have the same figure, and no resample would change that."""
    return row.a == row.b and row.note is None and not any(row.interval or ()) and not any(row.seeds_interval or ())


def _print_table(rows: Sequence[Compared]) -> None:
    from srframework.report.tables import COLLAPSED_MARK, COLLAPSED_NOTE

    over_seeds = any(row.seeds_interval is not None for row in rows)
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    metrics = list(dict.fromkeys(map(_metric, rows)))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("stage", with_unit(*metrics[0]) if len(metrics) == 1 else "figure"):
        table.add_column(heading, overflow="fold")
    for heading in ("A", "B", "B − A", "95 %, examples", *(["95 %, seeds"] if over_seeds else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        name = row.stage if row.level is None else f"{row.stage}@{row.level:g}"
        kind = {"id": "ID ", "also": "", "ood": "OOD "}[row.kind]
        marks = [COLLAPSED_MARK if side in row.collapsed else "" for side in "ab"]
        cells = [f"{number(each, row.unit, 2)}{mark}" for each, mark in zip((row.a, row.b), marks, strict=True)]
        cells.append(number(row.difference, row.unit, 2, sign=True))
        cells.append(shown_interval(row.interval, row.unit) if row.note is None else f"({notes.index(row.note) + 1})")
        figure = f"{kind}{row.split}{f' {with_unit(*_metric(row))}' if len(metrics) > 1 else ''}"
        table.add_row(name, figure, *cells, *([shown_interval(row.seeds_interval, row.unit)] * over_seeds))
    print_table(table)
    over = "examples, and over seeds" if over_seeds else "examples"
    console = output()
    print_text(console, f"95 %: interval of the difference, paired bootstrap over {over}.")
    if any(row.collapsed for row in rows):
        print_text(console, f"{COLLAPSED_MARK} collapsed in at least one seed: {COLLAPSED_NOTE}.")
    for place, note in enumerate(notes, 1):
        print_text(console, f"({place}) no interval: {note}")


def _metric(row: Compared) -> tuple[str, str, str | None]:
    return row.metric, row.unit, row.better


def shown_interval(interval: tuple[float, float] | None, unit: str) -> str:
    """``[-1.20, +0.40]``; empty for None."""
    return "" if interval is None else f"[{', '.join(number(each, unit, 2, sign=True) for each in interval)}]"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else shorten(value)
