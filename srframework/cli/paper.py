"""``paper``: the figures and tables of the paper, from runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from srframework.cli import completion
from srframework.cli.context import Folder, json_option, print_json, print_rows, print_table
from srframework.cli.plot import selected_runs, show, warn, where_option, width_option
from srframework.cli.streams import echo_error
from srframework.errors import UsageError
from srframework.units import PER_CENT, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from srframework.report.figure_data import FigureData
    from srframework.report.figure_table import Definition
    from srframework.report.paper import Beside

_NOTHING = "not run"


@click.command()
@click.argument("name", required=False, shell_complete=completion.figures)
@click.argument("directories", metavar="[DIR]...", nargs=-1, shell_complete=completion.paths)
@click.option("--list", "listing", is_flag=True, help="List the figures and tables, and the recipes of each.")
@click.option(
    "--out",
    type=Folder(),
    metavar="FILE",
    help="The file of a figure; its extension chooses the format: .png, .svg or .pdf. Default: NAME.png.",
)
@width_option
@where_option
@json_option
def paper(
    name: str | None,
    directories: tuple[str, ...],
    listing: bool,
    out: Path | None,
    width: float,
    where: tuple[str, ...],
    as_json: bool,
) -> None:
    """Draw a figure or print a table of the paper, from runs.

    NAME is fig-2 ... fig-11, table-5 or table-6. Default DIR: runs. The runs may be of several recipes: the [figure]
    table of a recipe says which stage is which line. All lines and sets of the paper are there; those without results
    are marked "not run".

    Numbers that the paper prints stand beside ours, with the difference and the number of seeds n. --json prints the
    numbers of a figure without drawing it.
    """
    from srframework.report import paper as report
    from srframework.report.drawing import check_target

    if listing:
        _print_list(as_json)
        return
    if name is None:
        raise UsageError("expected the name of a figure or table, such as fig-2 (see `srframework paper --list`)")
    of = report.definition(name)
    if of.is_table and out is not None:
        raise UsageError(f"--out {out}: {name} is a table; only figures are drawn")
    target = out or Path(f"{name}.png")
    if not of.is_table and not as_json:
        check_target(target)
    runs = selected_runs(directories, where)
    data, rows = report.figure(of, runs), report.table(of, runs)
    _tell_missing(of, data)
    if of.is_table:
        warn(data)
        if as_json:
            print_json({"title": of.title, "notes": list(data.notes), "rows": [row.to_json() for row in rows]})
        else:
            _print_beside(rows)
        return
    show(data, target, width, as_json, {"beside": [row.to_json() for row in rows]})
    if rows and not as_json:
        _print_beside(rows)


def _print_list(as_json: bool) -> None:
    from srframework.report.figure_table import definitions
    from srframework.report.paper import recipes_of

    rows = [{"name": each.name, "title": each.title, "recipes": recipes_of(each)} for each in definitions().values()]
    if as_json:
        print_json(rows)
    else:
        shown = [{**row, "recipes": ", ".join(row["recipes"]) or "none"} for row in rows]
        print_rows(shown, False, ("name", "title", "recipes"))


def _tell_missing(of: Definition, data: FigureData) -> None:
    """Name the lines that no run has, and the recipes that have them."""
    from srframework.report.paper import recipes_of

    there = {line.label for panel in data.panels for line in panel.lines if line.points}
    missing = [label for label, _ in of.labels if label not in there]
    if missing:
        recipes = recipes_of(of)
        where = f"; recipes with lines of {of.name}: {', '.join(recipes)}" if recipes else ""
        echo_error(f"{of.name}: not run: {'; '.join(missing)}{where}")


def _print_beside(rows: Sequence[Beside]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    with_x = any(row.x is not None for row in rows)
    for heading in ("line", *(["x"] if with_x else []), "set"):
        table.add_column(heading, overflow="fold")
    for heading in ("paper %", "ours %", "difference", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    before = None
    for row in rows:
        published = row.paper.text if row.paper is not None and row.paper.mean is None else None
        paper = published or (_spread(row.paper.mean, row.paper.sd) if row.paper is not None else "")
        ours = _NOTHING if row.ours is None else _spread(row.ours.mean, row.ours.sd)
        difference = "" if row.difference is None else number(row.difference, PER_CENT, 2, sign=True)
        x = [] if not with_x else [f"{row.x:g}"]
        n = 0 if row.ours is None else len(row.ours.values)
        table.add_row("" if row.line == before else row.line, *x, row.set, paper, ours, difference, str(n))
        before = row.line
    print_table(table)
    click.echo("Mean ± standard deviation over n seeds; the paper has 4.")


def _spread(mean: float | None, sd: float | None) -> str:
    spread = "" if sd is None else f" ± {number(sd, PER_CENT, 2)}"
    return "" if mean is None else f"{number(mean, PER_CENT, 2)}{spread}"
