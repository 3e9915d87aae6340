"""``results``: every finished run, tabulated."""

from __future__ import annotations

import click

from srframework.cli.context import json_option, print_json, print_table
from srframework.errors import UsageError


@click.command()
@click.argument("directories", metavar="[DIR]...", nargs=-1)
@click.option("--levels", is_flag=True, help="A row for each sparsity level inside a stage too: imp@0.3.")
@click.option(
    "--where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only runs with that setting, recipe or seed, or that stage or level (imp@0.3); KEY=A,B for any of them, != "
    "for all others. A heading of the table will do for a KEY; training.KEY means every stage. Repeatable.",
)
@click.option("--sort", metavar="COLUMN", help="Sort by a column, such as ID or OOD; -COLUMN for the highest first.")
@click.option("--runs", is_flag=True, help="Show the run directories of each row.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, figures as shares.")
@click.option("--latex", "as_latex", is_flag=True, help="Print a LaTeX table, for the package booktabs.")
@json_option
def results(
    directories: tuple[str, ...],
    levels: bool,
    where: tuple[str, ...],
    sort: str | None,
    runs: bool,
    as_csv: bool,
    as_latex: bool,
    as_json: bool,
) -> None:
    """Print a table of the runs under each DIR (default: runs).

    One row for each stage and each combination of what varies among the runs, the seed excepted:
    mean ± standard deviation over the seeds. A setting of one stage divides only the rows of
    the stages that build on it; runs that share a stage's settings and seed count as one.
    With --json, every row names its runs, their resolved recipes and the versions of all plugins.
    """
    from srframework.report import formats
    from srframework.report.columns import columns, ordered
    from srframework.report.gathered import gather
    from srframework.report.selection import conditions, select_rows, select_runs, wants_levels
    from srframework.report.summary import summarise

    if as_csv + as_latex + as_json > 1 or (runs and as_csv + as_latex + as_json):
        raise UsageError("expected at most one of --json, --csv, --latex, --runs")
    places = directories or ("runs",)
    levels = levels or wants_levels(where)
    found = gather(places, levels)
    for sentence in found.damaged:
        click.echo(f"warning: {sentence}", err=True)
    _tell_unfinished(found.unfinished)
    if not found.runs:
        raise UsageError(f"no finished run under {', '.join(places)}")
    chosen = conditions(where, found.runs)
    keys, rows = summarise(select_runs(found.runs, chosen), levels)
    rows = select_rows(rows, chosen)
    if not rows:
        raise UsageError(f"the runs under {', '.join(places)} have no stages")
    _tell_conflicts([pair for row in rows for pair in row.conflicts])
    table = columns(keys, rows)
    if sort is not None:
        rows = ordered(rows, sort, table)
    if as_json:
        print_json([formats.as_json(row) for row in rows])
    elif as_csv:
        click.echo(formats.as_csv(rows, table), nl=False)
    elif as_latex:
        click.echo(formats.as_latex(rows, table), nl=False)
    else:
        print_table(formats.text_table(rows, table, runs))


def _tell_unfinished(paths: list[str]) -> None:
    from srframework.report.gathered import state

    if paths:
        shown = ", ".join(f"{path} ({state(path)})" for path in paths[:3])
        click.echo(f"{len(paths)} unfinished: {shown}{', …' if paths[3:] else ''}", err=True)


def _tell_conflicts(pairs: list[tuple[str, str]]) -> None:
    if pairs:
        first, other = pairs[0]
        click.echo(
            f"warning: the same settings and seed gave other figures {len(pairs)} time{'s' if len(pairs) > 1 else ''}, "
            f"such as in {first} and {other}; the first counts (`srframework compare` says what differs)",
            err=True,
        )
