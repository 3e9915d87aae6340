"""``export``: write models of runs in full, for plain transformers."""

from __future__ import annotations

from pathlib import Path

import click

from srframework.cli import completion
from srframework.cli.context import json_option, print_json
from srframework.errors import UsageError


@click.command()
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, shell_complete=completion.paths)
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="STAGE",
    help="Only the model of this stage, or of a point inside it: imp, imp@0.5. Repeatable. Default: all models.",
)
@json_option
def export(directories: tuple[str, ...], stages: tuple[str, ...], as_json: bool) -> None:
    """Write the complete models of a sweep, for use without srframework.

    A run of a sweep does not save a model that is another model with some weights set to zero: it saves the mask, and
    links to the other model. For the runs under each DIR, this command writes each such model into a directory
    `model`, in the format of transformers. It prints the directories of all models; models that are already there
    stay as they are.
    """
    from srframework.report.runs import find_runs
    from srframework.run.export import export_models

    found = find_runs(directories)
    runs = sorted([*(run.path for run in found.runs), *found.unfinished])
    if not runs:
        raise UsageError(f"no run under {', '.join(directories)}")
    rows = []
    for run in runs:
        for each in export_models(Path(run), stages):
            rows.append({"run": run, "stage": each.stage, "model": str(each.path), "new": each.is_new})
            if not as_json:
                click.echo(str(each.path))
    if as_json:
        print_json(rows)
