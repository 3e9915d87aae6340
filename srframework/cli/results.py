"""``results``: a table of the runs."""

from __future__ import annotations

import click

from srframework.cli import completion
from srframework.cli.context import json_option, output, print_json
from srframework.cli.points import Points
from srframework.cli.streams import echo_error
from srframework.errors import UsageError

_MOST_UNFINISHED = 3
"""Unfinished runs that are listed; others are only counted."""


@click.command()
@click.argument("directories", metavar="[DIR]...", nargs=-1, shell_complete=completion.paths)
@click.option(
    "--levels", is_flag=True, help="Also print a row for each sparsity level that a stage keeps, such as imp@0.3."
)
@click.option(
    "--where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only runs with this setting, recipe, seed, stage or level (stage=imp@0.3). KEY=A,B: any of these values; "
    "KEY!=A: all others. KEY may be a heading of the table; training.KEY means every stage. Repeatable.",
)
@click.option(
    "--metric",
    metavar="NAME",
    help="Show this figure of an evaluator, such as worst-group, instead of the task's metric.",
)
@click.option("--sort", metavar="COLUMN", help="Sort by a column, such as ID or OOD; -COLUMN: highest first.")
@click.option(
    "--difference",
    type=Points(0, 100, min_open=True),
    metavar="POINTS",
    help="Estimate how many seeds this difference between two rows needs, in percentage points.  [default: 1]",
)
@click.option("--settings", "all_settings", is_flag=True, help="Show all settings that differ between the runs.")
@click.option("--runs", is_flag=True, help="Show the run directories of each row.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--latex", "as_latex", is_flag=True, help="Print a LaTeX table, for the package booktabs.")
@json_option
def results(
    directories: tuple[str, ...],
    levels: bool,
    where: tuple[str, ...],
    metric: str | None,
    sort: str | None,
    difference: float | None,
    all_settings: bool,
    runs: bool,
    as_csv: bool,
    as_latex: bool,
    as_json: bool,
) -> None:
    """Print a table of the runs under each DIR.

    Default DIR: runs. Each row is a stage with one combination of settings. It shows mean ± standard deviation over
    the seeds. If a setting of a stage differs between runs, only this stage and the stages that build on it have
    separate rows. Several runs of a stage with the same settings and the same seed count as one run. Finished stages
    of unfinished runs have separate rows, marked "unfinished"; --csv, --latex and --json leave them out.

    The table shows the recipe, the settings that --where or --sort name, and those settings that differ between runs
    of one recipe and fit on the screen. --settings, --csv and --latex show all settings that differ. With --json,
    each row has its runs, their resolved recipes and the versions of all plugins.

    Below the table: the split that chose the checkpoints; and, from the spread over the seeds, how many seeds a
    difference between two rows needs, so that its 95 % interval leaves out 0 with a probability of 80 %.
    """
    from srframework.report import formats, seeds_needed
    from srframework.report.any_figure import with_metric
    from srframework.report.columns import columns, ordered, sort_key
    from srframework.report.result_rows import summarise, varying_within_recipes, without_repeated_ends
    from srframework.report.runs import find_runs, unfinished_runs
    from srframework.report.selection import conditions, select_rows, select_runs, wants_levels

    if as_csv + as_latex + as_json > 1 or (runs and as_csv + as_latex + as_json):
        raise UsageError("expected at most one of --json, --csv, --latex, --runs")
    places = directories or ("runs",)
    levels = levels or wants_levels(where)
    found = find_runs(places, levels)
    for sentence in found.damaged:
        echo_error(f"warning: {sentence}")
    _tell_unfinished(found.unfinished)
    every = found.runs if as_csv or as_latex or as_json else [*found.runs, *unfinished_runs(found.unfinished)]
    if not every:
        raise UsageError(f"no finished run under {', '.join(places)}")
    chosen = conditions(where, every)
    selected = select_runs(every, chosen)
    keys, rows = summarise(selected if metric is None else with_metric(selected, metric), levels)
    rows = select_rows(rows, chosen)
    if not rows:
        raise UsageError(f"the runs under {', '.join(places)} have no stages")
    _tell_conflicts([pair for row in rows for pair in row.conflicts])
    table = columns(keys, rows)
    if sort is not None:
        rows = ordered(rows, sort, table)
    points = seeds_needed.POINT if difference is None else difference / 100
    needed = seeds_needed.seeds_needed(rows, points)
    if as_json:
        own = [{"seeds_needed": seeds_needed.as_json(row, needed, points)} for row in rows]
        print_json([formats.as_json(row) | more for row, more in zip(rows, own, strict=True)])
    elif as_csv:
        click.echo(formats.as_csv(rows, table), nl=False)
    elif as_latex:
        click.echo(formats.as_latex(rows, table), nl=False)
    else:
        named = {key for condition in chosen for key in condition.keys} | sort_key(sort, table)
        wanted = None if all_settings else named | varying_within_recipes(every)
        if not wants_levels(where):
            rows = without_repeated_ends(rows)
        notes = [formats.choice(rows), seeds_needed.sentence(rows, needed, points)]
        formats.print_rows(output(), rows, table, wanted, named, runs, [*filter(None, notes)])


def _tell_unfinished(paths: list[str]) -> None:
    from srframework.report.runs import state_of_unfinished

    if paths:
        runs = f"{len(paths)} unfinished run{'s' if len(paths) > 1 else ''}"
        shown = ", ".join(f"{path} ({state_of_unfinished(path)})" for path in paths[:_MOST_UNFINISHED])
        echo_error(f"{runs}: {shown}{', …' if paths[_MOST_UNFINISHED:] else ''}")


def _tell_conflicts(pairs: list[tuple[str, str]]) -> None:
    if pairs:
        first, other = pairs[0]
        click.echo(
            f"warning: the same settings and seed gave other figures {len(pairs)} time{'s' if len(pairs) > 1 else ''}, "
            f"such as in {first} and {other}; the first counts (`srframework compare` says what differs)",
            err=True,
        )
