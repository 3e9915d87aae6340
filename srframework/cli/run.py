"""``run``: a recipe, from the first stage to the last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from srframework.cli.context import App, json_option, print_json, print_table
from srframework.loading import load
from srframework.recipe import Recipe

if TYPE_CHECKING:
    from srframework.runs import StageResult


@click.command()
@click.argument("recipe")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key, stages by name: stages.srnet.pruner.sparsity=0.5. Repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Print the resolved recipe and the plan of stages; run nothing.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Run directory, new or empty. Default: runs/<recipe>-<seed>-<time>.",
)
@json_option
@click.pass_obj
def run(app: App, recipe: str, overrides: tuple[str, ...], dry_run: bool, out: Path | None, as_json: bool) -> None:
    """Run RECIPE: a path, or the name of a shipped recipe (see `srframework recipes`)."""
    loaded = load(recipe, app.registry, overrides)
    if dry_run:
        _print_plan(loaded, as_json)
        return
    directory, results = _run(loaded, out)
    report = {
        "run": str(directory),
        "recipe": loaded.name,
        "seed": loaded.seed,
        "stages": [result.to_json() for result in results],
    }
    from srframework.files import write_json

    write_json(directory / "results.json", report)
    if as_json:
        print_json(report)
    else:
        from srframework.report.tables import results_table

        print_table(results_table(results))
        click.echo(f"run directory: {directory}")


def _run(recipe: Recipe, out: Path | None) -> tuple[Path, list[StageResult]]:
    import datasets
    import transformers

    from srframework.pipeline import Pipeline
    from srframework.report.progress import reporter
    from srframework.runs import RunDirectory

    transformers.utils.logging.set_verbosity_error()  # the progress display is ours
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    directory = RunDirectory(out or RunDirectory.default_path(recipe))
    with reporter() as progress:
        return directory.path, Pipeline(recipe, directory, progress).run()


def _print_plan(recipe: Recipe, as_json: bool) -> None:
    plan = [
        {
            "stage": stage.name,
            "formula": stage.formula(),
            "length": f"{stage.training.max_steps} steps"
            if stage.training.max_steps
            else f"{stage.training.epochs} epochs",
            "starts from": ", ".join(f"{key} of {reference}" for key, reference in stage.references()) or "θ_pt",
        }
        for stage in recipe.stages
    ]
    if as_json:
        resolved: dict[str, Any] = {"recipe": recipe.table(), "plan": plan}
        print_json(resolved)
        return
    click.echo(recipe.to_toml())
    table = Table(*plan[0], box=None, header_style="bold", pad_edge=False)
    for row in plan:
        table.add_row(*row.values())
    print_table(table)
