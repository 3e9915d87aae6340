"""``init``: a recipe to start from."""

from __future__ import annotations

from pathlib import Path

import click

from srframework.cli import completion
from srframework.cli.context import App, Folder


@click.command()
@click.argument("path", type=Folder(), default=Path("recipe.toml"), metavar="[FILE]")
@click.option(
    "--task",
    metavar="DATASET",
    shell_complete=completion.datasets,
    help="The data set, such as nli; see `srframework list dataset`.",
)
@click.option(
    "--from",
    "source",
    default="starter",
    show_default=True,
    metavar="RECIPE",
    shell_complete=completion.shipped_recipes,
    help="The shipped recipe to copy.",
)
@click.pass_obj
def init(app: App, path: Path, task: str | None, source: str) -> None:
    """Write a recipe to start from.

    The recipe is a copy of a shipped recipe, with its comments. It is written into FILE, by default recipe.toml. An
    existing file is never changed.
    """
    from srframework.recipe.starter import required_options, starter_text, write_new

    dataset = app.registry.get("dataset", task) if task is not None else None
    write_new(path, starter_text(source, path.stem, dataset))
    click.echo(str(path))
    if dataset is not None and (missing := required_options(dataset)):
        click.echo(f"Fill in the options of [dataset]: {', '.join(missing)} (srframework show {task})", err=True)
    click.echo(f"Next: srframework validate {path}\n      srframework run {path} --dry-run", err=True)
