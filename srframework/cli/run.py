"""``run``: run all stages of a recipe, or all cells of its sweep one after another."""

from __future__ import annotations

import shlex
from dataclasses import replace
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
from srframework.recipe.selection import chosen, up_to
from srframework.recipe.sweep import Cell, load_cells


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
@click.option("--until", metavar="STAGE", help="Run the stages up to this one, in the order in which they run.")
@click.option(
    "--stages", metavar="STAGE,...", help="Run only these stages and the stages that they depend on, such as a,b."
)
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
    until: str | None,
    stages: str | None,
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

    With --until or --stages the run has only these stages, and a directory of its own; a later run of the complete
    recipe reuses their results.

    A recipe with a [sweep] runs once for each combination of its values, each in its own directory, as with
    `srframework sweep`. To fix a swept key, set it with --set; to ignore the sweep, use --set 'sweep={}'.
    """
    # A plan may be made before the data are here.
    files = None if dry_run else FileChecks()
    cells = _some_stages(load_cells(recipe, app.registry, overrides, files=files, tables=TABLES), until, stages)
    on = screen(quiet, verbose)
    if (len(cells) > 1 or bool(cells[0].values)) and not dry_run:
        if log_with is not None:
            raise UsageError("--log-with: expected a single run, got the combinations of a sweep")
        sweep_cells(app, cells, store, out, on, as_json=as_json)
        return
    if dry_run:
        check_early(cell.recipe for cell in cells)
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


def _some_stages(cells: list[Cell], until: str | None, stages: str | None) -> list[Cell]:
    """The cells with the stages that ``--until`` or ``--stages`` choose."""
    if until is None and stages is None:
        return cells
    if until is not None and stages is not None:
        raise UsageError("expected --until or --stages, got both")
    names = [name.strip() for name in (stages or "").split(",")]
    recipes = (up_to(cell.recipe, until) if until is not None else chosen(cell.recipe, names) for cell in cells)
    return [replace(cell, recipe=recipe) for cell, recipe in zip(cells, recipes, strict=True)]
