"""``run``: a recipe, from the first stage to the last; or every cell of its sweep, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from srframework.cli.context import App, json_option, print_json, print_table
from srframework.cli.plan import print_plan
from srframework.errors import SRFrameworkError
from srframework.recipe import Recipe
from srframework.sweep import Cell, load_cells

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
    type=click.Path(path_type=Path),
    help="Run directory, new or empty. Default: runs/<recipe>-<seed>-<time>.",
)
@json_option
@click.pass_obj
def run(app: App, recipe: str, overrides: tuple[str, ...], dry_run: bool, out: Path | None, as_json: bool) -> None:
    """Run RECIPE: a path, or the name of a shipped recipe (see `srframework recipes`).

    A recipe with a [sweep] runs once for each combination of its values, each in a folder of its
    own; an override of a swept key takes it out of the sweep, and 'sweep={}' leaves one run.
    """
    cells = load_cells(recipe, app.registry, overrides)
    _check_early(cells)
    if dry_run:
        print_plan(cells, as_json)
    elif len(cells) == 1 and not cells[0].values:
        report = run_recipe(cells[0].recipe, out)
        _print(report, as_json)
    else:
        _run_sweep(cells, out, as_json)


def _check_early(cells: Sequence[Cell]) -> None:
    """Refuse what is said of points inside stages in any cell, as far as that can be told by now."""
    from srframework.points import check_early

    for cell in cells:
        check_early(cell.recipe)


def run_recipe(recipe: Recipe, out: Path | None) -> dict[str, Any]:
    """Run one recipe; give its report, which is on disk by then as ``results.json``."""
    import datasets
    import transformers

    from srframework.files import write_json
    from srframework.pipeline import Pipeline
    from srframework.report.progress import reporter
    from srframework.runs import RunDirectory

    transformers.utils.logging.set_verbosity_error()  # the progress display is ours
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    directory = RunDirectory(out or RunDirectory.default_path(recipe))
    with reporter() as progress:
        pipeline = Pipeline(recipe, directory, progress)
        results = pipeline.run()
    report = {"run": str(directory.path), "recipe": recipe.name, "seed": recipe.seed}
    report |= {"stages": [result.to_json() for result in results]}
    if pipeline.bias_report is not None:
        report["bias"] = pipeline.bias_report
    write_json(directory.path / "results.json", report)
    return report


def _run_sweep(cells: Sequence[Cell], out: Path | None, as_json: bool) -> None:
    """One run after the other; one that fails does not stop the rest."""
    from srframework.files import write_json
    from srframework.runs import RunDirectory

    directory = RunDirectory(out or RunDirectory.default_path(cells[0].recipe, seed=False))
    directory.make()
    place = directory.path
    reports: list[dict[str, Any]] = []
    for number, cell in enumerate(cells, 1):
        click.echo(f"run {number} of {len(cells)}: {cell.label}", err=True)
        report: dict[str, Any] = {"values": cell.values}
        try:
            report |= run_recipe(cell.recipe, place / cell.slug)
        except SRFrameworkError as error:
            click.echo(f"error: {cell.label}: {error}", err=True)
            report |= {"run": str(place / cell.slug), "error": str(error)}
        else:
            if not as_json:
                click.echo(cell.label)
                _print(report, as_json)
        reports.append(report)
        write_json(place / "sweep.json", reports)
    if as_json:
        print_json(reports)
    if failed := [report for report in reports if "error" in report]:
        raise SRFrameworkError(f"{len(failed)} of {len(reports)} runs failed; {place / 'sweep.json'} says why")


def _print(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    from srframework.report.tables import bias_line, results_table

    print_table(results_table(report["stages"]))
    if "bias" in report:
        click.echo(bias_line(report["bias"]))
    click.echo(f"run directory: {report['run']}")
