"""``run``: a recipe, from the first stage to the last; or every cell of its sweep, one after the other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from srframework.cli.context import App, Folder, json_option, print_json, print_table, store_option
from srframework.cli.plan import print_plan
from srframework.errors import UsageError
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.model import Recipe
from srframework.recipe.sweep import Cell, load_cells

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key, stages by name: stages.srnet.pruner.sparsity=0.5. Repeatable.",
)


@click.command()
@click.argument("recipe")
@set_option
@click.option("--dry-run", is_flag=True, help="Print the resolved recipe, its stages, steps and cost; run nothing.")
@click.option(
    "--out",
    type=Folder(),
    help="Run directory: new, empty, or of the same recipe, which goes on. Default: runs/<recipe>-<seed>-<hash>.",
)
@store_option
@json_option
@click.pass_obj
def run(
    app: App, recipe: str, overrides: tuple[str, ...], dry_run: bool, out: Path | None, store: Path, as_json: bool
) -> None:
    """Run RECIPE: a path, or the name of a shipped recipe (see `srframework recipes`).

    The same command goes on where an earlier one was stopped, whatever stopped it; stages that are in the
    store already are taken from there. Under `accelerate launch -m srframework run …` several processes share the work.

    A recipe with a [sweep] runs once for each combination of its values, each in a folder of its
    own, as `srframework sweep` does; an override of a swept key takes it out of the sweep, and 'sweep={}'
    leaves one run.
    """
    # A plan may be made before the data are here.
    cells = load_cells(recipe, app.registry, overrides, files=None if dry_run else FileChecks())
    check_cells(cells)
    if dry_run:
        print_plan(cells, as_json)
    elif len(cells) == 1 and not cells[0].values:
        if (report := run_recipe(cells[0].recipe, out, store)) is not None:
            print_report(report, as_json)
    else:
        from srframework.cli.sweep import run_sweep

        run_sweep(app, cells, out, store, as_json=as_json)


def check_cells(cells: Sequence[Cell]) -> None:
    """Refuse what is said of points inside stages in any cell, as far as that can be told by now; all at once."""
    from srframework.recipe.plan import check_early

    problems: dict[str, None] = {}
    for cell in cells:
        try:
            check_early(cell.recipe)
        except UsageError as error:
            problems[str(error)] = None
    if problems:
        raise UsageError("\n".join(problems))


def run_recipe(recipe: Recipe, out: Path | None, store: Path) -> dict[str, Any] | None:
    """Run one recipe; give its report, which is on disk by then as ``results.json``.

    None in all but the first of several processes that share the work.
    """
    from srframework.run import api as running
    from srframework.run.directory import RunDirectory
    from srframework.run.progress import reporter

    with reporter() as progress:
        place = out or RunDirectory.default_path(recipe, _processes())
        ran = running.run_recipe(recipe, place, store, progress)
    return ran.report if ran.is_first else None


def one_process_only(what: str) -> None:
    """Refuse to do under ``accelerate launch`` what is done in one process.

    Raises:
        UsageError: There are several.
    """
    if (processes := _processes()) != 1:
        raise UsageError(f"{what}: expected one process, got {processes}; `accelerate launch` is for one run at a time")


def _processes() -> int:
    """How many ``accelerate launch`` has started."""
    said = os.environ.get("WORLD_SIZE", "")
    return int(said) if said.isdecimal() else 1


def print_report(report: dict[str, Any], as_json: bool) -> None:
    """Print the report of one run on stdout."""
    if as_json:
        print_json(report)
        return
    from srframework.report.tables import bias_line, results_table

    print_table(results_table(report["stages"]))
    if "bias" in report:
        click.echo(bias_line(report["bias"]))
    click.echo(f"run directory: {report['run']}")
