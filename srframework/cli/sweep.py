"""``sweep``: every cell of a recipe's sweep, several at a time, each stage once."""

from __future__ import annotations

import contextlib
import shlex
import sys
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
from srframework.recipe.model import Use
from srframework.recipe.sweep import Cell, load_cells
from srframework.run.identity import signatures
from srframework.sweeps import scheduler as schedule
from srframework.sweeps.launchers import chosen, started
from srframework.sweeps.launchers.serial import SerialLauncher


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
    "--jobs", type=click.IntRange(min=1), help="Jobs at a time. Default: 1; a launcher may choose another number."
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads of each job. Default: $OMP_NUM_THREADS, or the CPUs divided by the jobs.",
)
@click.option(
    "--launcher",
    metavar="NAME",
    help="Where jobs run; `srframework list launchers` shows the choices. Default: serial, or local with --jobs 2 or "
    "more.",
)
@click.option(
    "--launcher-option",
    "launcher_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set an option of the launcher; `srframework show launcher/NAME` shows them. Repeatable.",
)
@click.option(
    "--out",
    type=Folder(),
    help="Directory: new, empty, or of the same sweep, which goes on. Default: runs/<recipe>-<hash>.",
)
@store_option
@click.option("--dry-run", is_flag=True, help="Print what would run, and what it would cost; run nothing.")
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
    as_json: bool,
) -> None:
    """Run every combination of what is swept: RECIPE's [sweep], --grid and --zip.

    Each stage is computed once, however many runs have it, and is kept in the store. The same command
    goes on where an earlier one was stopped, whatever stopped it; a run that fails stops no other.

    For example: `srframework sweep quickstart --grid seed=1,2,3 --grid stages.srnet.pruner.sparsity=0.5,0.7 --jobs 2`.

    Several processes share the CPUs; of several GPUs each process has one. On a cluster, --out, --store
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
    place = chosen(app.registry, launcher, launcher_options, jobs)
    check_cells(cells)
    if not dry_run:
        run_sweep(app, cells, out, store, jobs, threads, place, as_json)
        return
    if not as_json:
        every = [sign for cell in cells for sign in signatures(cell.recipe).values()]
        click.echo(f"# {len(cells)} runs, {len(set(every))} distinct stages instead of {len(every)}.")
    print_plan(cells, as_json)


def run_sweep(
    app: App,
    cells: Sequence[Cell],
    out: Path | None,
    store: Path,
    jobs: int | None = None,
    threads: int | None = None,
    launcher: Use | None = None,
    as_json: bool = False,
) -> None:
    """Run every cell; print the report of each.

    Args:
        app: The invocation.
        cells: Of a sweep, all of them checked.
        out: The directory of the sweep; None for that which the cells determine.
        store: Where stages are kept.
        jobs: How many at a time; None leaves it to the launcher.
        threads: Of each job; None leaves it to the launcher.
        launcher: Where the jobs run; None: in this process.
        as_json: Whether to print JSON.

    Raises:
        UsageError: The launcher or the directory is not what it should be.
        SRFrameworkError: A run failed, after all the others are done.
    """
    from srframework.sweeps.directory import SweepDirectory
    from srframework.sweeps.jobs import Tasks

    one_process_only("sweep")
    begin, tables = time.monotonic(), None if as_json else sys.stdout
    directory = SweepDirectory(out or SweepDirectory.default_path(cells), cells)
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(started(launcher or chosen(app.registry, None), jobs, threads))
        alone = place.in_process
        directory.make()
        failures = tuple(app.registry.failures())
        tasks = Tasks(cells, directory.path, store, tuple(app.blocked), logs=not alone, failures=failures)
        telling = Telling(cells, directory, tasks, alone, tables)
        finished = directory.finished()
        schedule.run([tasks.stored(number) for number in finished], SerialLauncher(), telling.of_finished(finished))
        rest = [number for number in range(len(cells)) if number not in telling.reports]
        schedule.run(tasks.all(rest, every_stage=not alone), place, telling.of_rest(rest))
    reports = [telling.reports[number] for number in range(len(cells))]
    if as_json:
        print_json(reports)
    click.echo(telling.summary(time.monotonic() - begin), err=True)
    if any("error" not in report for report in reports):
        click.echo(f"`srframework results {shlex.quote(str(directory.path))}` tabulates them", err=True)
    if failed := [report for report in reports if "error" in report]:
        raise SRFrameworkError(f"{len(failed)} of {len(reports)} runs failed; {directory.path / 'sweep.json'} says why")
