"""A command: the run of a sweep that is best on one OOD split."""

from __future__ import annotations

import json
from pathlib import Path

import click

from srframework import UsageError, hookimpl


@hookimpl
def srframework_register_commands(cli):
    @cli.command()
    @click.argument("sweep", type=click.Path(path_type=Path))
    @click.option("--split", required=True, help="Name of the OOD split.")
    def best(sweep, split):
        """Print the run of SWEEP whose last stage is best on an OOD split."""
        file = sweep / "sweep.json"
        if not file.is_file():
            raise UsageError(f"{sweep}: expected the directory of a sweep (no sweep.json in it)")
        reports = [each for each in json.loads(file.read_text(encoding="utf-8")) if "stages" in each]
        figures = {each["run"]: each["stages"][-1]["ood"][split] for each in reports}
        run = max(figures, key=figures.get)
        click.echo(f"{run}: {figures[run]:.3f}")
