"""``run``: a recipe, from the first stage to the last; or every cell of its sweep, one after the other."""

from __future__ import annotations

from pathlib import Path

import click

from srframework.claims.check import TABLES
from srframework.cli.context import App, Folder, json_option, print_report, set_option, store_option
from srframework.cli.plan import print_plan
from srframework.cli.sweep import sweep_cells
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.plan import check_early
from srframework.recipe.sweep import load_cells


@click.command()
@click.argument("recipe")
@set_option
@click.option(
    "--dry-run", is_flag=True, help="Print the resolved recipe and its stages, with their steps; run nothing."
)
@click.option(
    "--out",
    type=Folder(),
    help="Run directory: new, empty, or of the same recipe, to resume it. Default: runs/<recipe>-<seed>-<hash>.",
)
@store_option
@json_option
@click.pass_obj
def run(
    app: App, recipe: str, overrides: tuple[str, ...], dry_run: bool, out: Path | None, store: Path, as_json: bool
) -> None:
    """Run a recipe.

    RECIPE is a path, or the name of a shipped recipe (see `srframework recipes`).

    Stages that are in the store are reused. Run the same command again to resume an interrupted run. Under
    `accelerate launch -m srframework run …` several processes share the work.

    A recipe with a [sweep] runs once for each combination of its values, each in its own directory, as with
    `srframework sweep`. To fix a swept key, set it with --set; to ignore the sweep, use --set 'sweep={}'.
    """
    # A plan may be made before the data are here.
    files = None if dry_run else FileChecks()
    cells = load_cells(recipe, app.registry, overrides, files=files, tables=TABLES)
    is_sweep = len(cells) > 1 or bool(cells[0].values)
    if is_sweep and not dry_run:
        sweep_cells(app, cells, store, out, as_json=as_json)
        return
    check_early(cell.recipe for cell in cells)
    if dry_run:
        print_plan(cells, as_json)
        return
    from srframework.run.api import processes, run_recipe
    from srframework.run.directory import RunDirectory
    from srframework.run.options import RunOptions
    from srframework.run.progress import reporter

    with reporter() as progress:
        place = out or RunDirectory.default_path(cells[0].recipe, processes())
        ran = run_recipe(cells[0].recipe, store, RunOptions(place), progress)
    if ran.is_first:
        print_report(ran.report, as_json)
