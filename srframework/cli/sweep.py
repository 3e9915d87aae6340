"""``sweep``: run every cell of a sweep, several at a time, computing each stage once."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import click

from srframework.claims.check import TABLES
from srframework.cli import completion
from srframework.cli.context import App, Folder, json_option, print_json, set_option, store_option
from srframework.cli.launching import launched, worker_options
from srframework.cli.plain_screen import Screen
from srframework.cli.plan import full_option, print_plan
from srframework.cli.screen import LOADING, resumable, screen, verbosity_options
from srframework.contracts import Launcher
from srframework.errors import SRFrameworkError, UsageError
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.points import check_early
from srframework.recipe.sweep import Cell, load_cells


@click.command()
@click.argument("recipe", shell_complete=completion.recipes)
@click.option(
    "--grid",
    multiple=True,
    metavar="KEY=A,B",
    shell_complete=completion.settings,
    help="Sweep a key: seed=1,2,3. Values are TOML; a bare word is a string. Repeatable: all combinations run. "
    "These values replace those of the recipe.",
)
@click.option(
    "--zip",
    "zips",
    multiple=True,
    metavar="'KEY=A,B KEY2=C,D'",
    help="Sweep keys that change together. Repeatable.",
)
@set_option
@worker_options
@click.option(
    "--out",
    type=Folder(),
    help="Directory: a new or empty one, or that of the same sweep, to resume it. Default: runs/<recipe>-<hash>.",
)
@store_option
@click.option(
    "--dry-run", is_flag=True, is_eager=True, help="Print the stages that would run, with their steps; run nothing."
)
@full_option
@verbosity_options
@json_option
@click.pass_obj
def sweep(
    app: App,
    recipe: str,
    grid: tuple[str, ...],
    zips: tuple[str, ...],
    overrides: tuple[str, ...],
    jobs: int | None,
    threads: int | None,
    launcher: str | None,
    launcher_options: tuple[str, ...],
    out: Path | None,
    store: Path,
    dry_run: bool,
    full: bool,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Run a recipe with every combination of some values.

    The values are those of [sweep] in RECIPE, --grid and --zip.

    \b
    srframework sweep quickstart --jobs 2 --grid seed=1,2,3 \\
        --grid stages.srnet.pruner.sparsity=0.5,0.7

    A stage that several runs share is computed once and cached in the store. Run the same command again to resume
    an interrupted sweep. If one run fails, the others continue.

    Several processes share the CPUs; each process uses one of the GPUs. On a cluster, --out, --store and the data
    must have the same path on all machines. The logs of the stages are then in OUT/logs.
    """  # noqa: D301 -- click reads \b
    flags = [*(f"--grid {each}" for each in grid), *(f"--zip {each}" for each in zips)]
    registry = app.registry
    place = launched(registry, launcher, launcher_options, jobs, threads)
    cells = load_cells(recipe, registry, overrides, flags, None if dry_run else FileChecks(), TABLES)
    if not cells[0].values:
        expected = "expected --grid, --zip, or a [sweep] in the recipe; to run the recipe once, use `srframework run`"
        raise UsageError(f"{recipe}: {expected}")
    if dry_run:
        check_early(cell.recipe for cell in cells)
        print_plan(cells, store, out, full, as_json)
    else:
        sweep_cells(app, cells, store, out, screen(quiet, verbose), place, as_json)


def sweep_cells(
    app: App,
    cells: Sequence[Cell],
    store: Path,
    out: Path | None,
    on: Screen,
    launcher: AbstractContextManager[Launcher] | None = None,
    as_json: bool = False,
) -> None:
    """Run every cell and print its report.

    Raises:
        UsageError: The launcher or the directory is not what it should be.
        SRFrameworkError: A run failed, after all the others are done.
    """
    with on, resumable():
        on.doing(LOADING)
        from srframework.cli.sweep_display import SweepDisplay, summary
        from srframework.sweeps.directory import SweepDirectory
        from srframework.sweeps.run import Workers, run_sweep

        place = out or SweepDirectory.default_path(cells)
        with resumable(place):
            workers = Workers(launcher, app.plugins, on.reporter)
            result = run_sweep(cells, app.found, store, place, workers, SweepDisplay(on, place, tables=not as_json))
    if as_json:
        print_json(result.reports)
    on.line(summary(result))
    if len(result.failed) < len(cells):
        on.next_steps(f"srframework results {shlex.quote(str(result.path))}")
    if result.failed:
        raise SRFrameworkError(
            f"{len(result.failed)} of {len(cells)} runs failed; {result.path / 'sweep.json'} says why"
        )
