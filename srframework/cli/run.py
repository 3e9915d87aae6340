"""``run``: run all stages of a recipe, or all cells of its sweep one after another."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from srframework.claims.check import TABLES
from srframework.cli import completion
from srframework.cli.context import App, Folder, json_option, print_report, set_option, store_option
from srframework.cli.plan import full_option, print_plan
from srframework.cli.screen import LOADING, resumable, screen, single_run, tracker, verbosity_options
from srframework.cli.sweep import sweep_cells
from srframework.errors import UsageError
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.points import check_early
from srframework.recipe.sweep import load_cells


@click.command()
@click.argument("recipe", shell_complete=completion.recipes)
@set_option
@click.option(
    "--dry-run",
    is_flag=True,
    is_eager=True,
    help="Print the stages, with their steps, and what is cached or missing; run nothing.",
)
@full_option
@click.option(
    "--out",
    type=Folder(),
    help="Run directory: a new or empty directory, or that of a run of the same recipe, to resume it. "
    "Default: runs/<recipe>-<seed>-<hash>.",
)
@click.option(
    "--log-with",
    metavar="TRACKER",
    help="Also log losses and figures to an experiment tracker whose package is installed: tensorboard, wandb, mlflow, "
    "… Only for a single run.",
)
@store_option
@verbosity_options
@json_option
@click.pass_obj
def run(
    app: App,
    recipe: str,
    overrides: tuple[str, ...],
    dry_run: bool,
    full: bool,
    out: Path | None,
    log_with: str | None,
    store: Path,
    quiet: bool,
    verbose: bool,
    as_json: bool,
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
    on = screen(quiet, verbose)
    if (len(cells) > 1 or bool(cells[0].values)) and not dry_run:
        if log_with is not None:
            raise UsageError("--log-with: expected a single run, got the combinations of a sweep")
        sweep_cells(app, cells, store, out, on, as_json=as_json)
        return
    check_early(cell.recipe for cell in cells)
    if dry_run:
        print_plan(cells, store, out, full, as_json)
        return
    with on, resumable():
        on.doing(LOADING)
        from srframework.run.api import processes, run_recipe
        from srframework.run.directory import RunDirectory
        from srframework.run.options import RunOptions

        place = out or RunDirectory.default_path(cells[0].recipe, processes())
        with tracker(cells[0].recipe, log_with) as others, single_run(on, *others) as progress:
            ran = run_recipe(cells[0].recipe, store, RunOptions(place), progress)
    if ran.is_first:
        print_report(ran.report, as_json)
        directory = shlex.quote(str(place))
        on.next_steps(f"srframework results {directory}", f"srframework compare {directory} OTHER_RUN")
