"""``run``: a recipe, from the first stage to the last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from srframework.cli.context import App, json_option, print_json, print_table
from srframework.loading import load
from srframework.recipe import Recipe
from srframework.training_options import TrainingOptions

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
        {"stage": stage.name, "formula": stage.formula(), "length": _length(stage.training)} for stage in recipe.stages
    ]
    if as_json:
        print_json({"recipe": recipe.table(), "plan": plan})
        return
    click.echo("# The plan, in order:")
    for number, row in enumerate(plan, 1):
        click.echo(f"# {number}. {row['stage']}: {row['formula']}, {row['length']}")
    click.echo("\n# The recipe, with every option said:")
    click.echo(recipe.to_toml())


def _length(training: TrainingOptions) -> str:
    count, unit = (training.max_steps, "step") if training.max_steps else (training.epochs, "epoch")
    return f"{count} {unit}{'s' if count != 1 else ''}"
