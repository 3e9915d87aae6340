"""``sweep``: every cell of a recipe's sweep, several at a time, each stage once."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import click

from srframework.cli.context import App, Folder, json_option, print_json, store_option
from srframework.cli.plan import print_plan
from srframework.cli.run import check_cells, one_process_only, set_option
from srframework.cli.sweep_telling import Telling
from srframework.errors import SRFrameworkError, UsageError
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.sweep import Cell, load_cells
from srframework.sweeps import scheduler as schedule
from srframework.sweeps.launchers import threads_of_each
from srframework.sweeps.launchers.serial import Here

LAUNCHERS = ("local", "ray")


@click.command()
@click.argument("recipe")
@click.option(
    "--grid",
    multiple=True,
    metavar="KEY=A,B",
    help="Sweep a key: seed=1,2,3. Values as in TOML; a bare word is a string. Repeatable: the sweep is the product. "
    "Of a key that the recipe sweeps too, these values count.",
)
@click.option(
    "--zip",
    "zips",
    multiple=True,
    metavar="'KEY=A,B KEY2=C,D'",
    help="Sweep keys that move together. Repeatable.",
)
@set_option
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Processes at a time. Default: 1; with ray, what there is room for."
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads of each process. Default: $OMP_NUM_THREADS, or the CPUs divided by the processes.",
)
@click.option(
    "--launcher",
    type=click.Choice(LAUNCHERS),
    default="local",
    show_default=True,
    help="Where processes run: on this machine, or on a Ray cluster (pip install 'srframework[ray]').",
)
@click.option(
    "--address", help="The Ray cluster. Default: $RAY_ADDRESS, or one of this machine alone, for as long as it takes."
)
@click.option(
    "--out",
    type=Folder(),
    help="Directory: new, empty, or of the same sweep, which goes on. Default: runs/<recipe>-<hash>.",
)
@store_option
@click.option(
    "--dry-run", is_flag=True, help="Print the stages that would be computed, with their steps; compute nothing."
)
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
    launcher: str,
    address: str | None,
    out: Path | None,
    store: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run every combination of what is swept: RECIPE's [sweep], --grid and --zip.

    Each stage is computed once, however many runs have it, and is kept in the store. The same command
    goes on where an earlier one was stopped, whatever stopped it; a run that fails stops no other.

    For example: `srframework sweep quickstart --grid seed=1,2,3 --grid stages.srnet.pruner.sparsity=0.5,0.7 --jobs 2`.

    Several processes share the CPUs; of several GPUs each process has one. On a Ray cluster, --out, --store
    and the data must be on a file system that all machines see under the same path. The progress of
    each stage is then in OUT/logs.
    """
    flags = [*(f"--grid {each}" for each in grid), *(f"--zip {each}" for each in zips)]
    cells = load_cells(recipe, app.registry, overrides, flags, None if dry_run else FileChecks())
    if not cells[0].values:
        expected = (
            "expected something to sweep: --grid, --zip, or a [sweep] in the recipe; `srframework run` runs it once"
        )
        raise UsageError(f"{recipe}: {expected}")
    if address is not None and launcher != "ray":
        raise UsageError(f"--address {address}: expected --launcher ray too, which it is for")
    check_cells(cells)
    if not dry_run:
        run_sweep(app, cells, out, store, jobs, threads, launcher, address, as_json)
        return
    print_plan(cells, as_json)


def run_sweep(
    app: App,
    cells: Sequence[Cell],
    out: Path | None,
    store: Path,
    jobs: int | None = None,
    threads: int | None = None,
    launcher: str = "local",
    address: str | None = None,
    as_json: bool = False,
) -> None:
    """Run every cell; print the report of each.

    Args:
        app: The invocation.
        cells: Of a sweep, all of them checked.
        out: The directory of the sweep; None for that which the cells determine.
        store: Where stages are kept.
        jobs: How many processes at a time; None for 1, or, on Ray, for what there is room for.
        threads: Of each process; None for what suits.
        launcher: Of :data:`LAUNCHERS`.
        address: Of the Ray cluster.
        as_json: Whether to print JSON.

    Raises:
        UsageError: Ray or the directory is not what it should be.
        SRFrameworkError: A run failed, after all the others are done.
    """
    from srframework.sweeps.directory import SweepDirectory
    from srframework.sweeps.jobs import Tasks

    one_process_only("sweep")
    started = time.monotonic()
    alone = launcher == "local" and jobs in (None, 1)
    directory = SweepDirectory(out or SweepDirectory.default_path(cells), cells)
    place = _launcher(launcher, jobs, threads, address)
    try:
        directory.make()
        failures = tuple(app.registry.failures())
        tasks = Tasks(cells, directory.path, store, tuple(app.blocked), logs=not alone, failures=failures)
        telling = Telling(cells, directory, tasks, alone, tables=launcher == "local" and not as_json)
        finished = directory.finished()
        schedule.run([tasks.stored(number) for number in finished], Here(threads), telling.of_finished(finished))
        rest = [number for number in range(len(cells)) if number not in telling.reports]
        schedule.run(tasks.all(rest, every_stage=not alone), place, telling.of_rest(rest))
    finally:
        place.close()
    reports = [telling.reports[number] for number in range(len(cells))]
    if as_json:
        print_json(reports)
    else:
        telling.print_tables()
    click.echo(telling.summary(time.monotonic() - started), err=True)
    if any("error" not in report for report in reports):
        click.echo(f"`srframework results {shlex.quote(str(directory.path))}` tabulates them", err=True)
    if failed := [report for report in reports if "error" in report]:
        raise SRFrameworkError(f"{len(failed)} of {len(reports)} runs failed; {directory.path / 'sweep.json'} says why")


def _launcher(name: str, jobs: int | None, threads: int | None, address: str | None) -> schedule.Launcher:
    if name == "ray":
        from srframework.sweeps.launchers.ray import OnRay

        return OnRay(address, jobs, threads or (threads_of_each(jobs) if jobs else 1))
    if jobs in (None, 1):
        return Here(threads)
    from srframework.sweeps.launchers.local import Local

    return Local(jobs, threads or threads_of_each(jobs))
