"""``new``: a distribution with a new component."""

from __future__ import annotations

from pathlib import Path

import click

from srframework.cli.context import Folder
from srframework.component import KINDS


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)), metavar="KIND")
@click.argument("name")
@click.option("--out", type=Folder(file_okay=False), help="The directory to create. Default: NAME.")
def new(kind: str, name: str, out: Path | None) -> None:
    """Write a plugin to start from.

    It is a Python distribution with one component. KIND is backbone, pruner, debiaser, bias, dataset, evaluator or
    launcher. The component already works; replace its method with your own. The distribution contains the
    registration, the options, tests, an example recipe and a CI workflow.
    """
    from srframework import __version__
    from srframework.scaffold.distribution import run_command, write_distribution

    directory = out or Path(name)
    write_distribution(kind, name, directory, __version__)
    click.echo(str(directory))
    click.echo(f"Next: cd {directory}\n      pip install -e '.[test]'\n      {run_command(kind, name)}", err=True)
