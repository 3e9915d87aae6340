"""``export``: write models of runs in other forms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from srframework.cli import completion
from srframework.cli.context import Folder, json_option, print_json
from srframework.units import number, suffix

FORMS = ("hf", "artifact", "onnx", "semi-structured")


@click.command()
@click.argument("targets", metavar="DIR[@STAGE]...", nargs=-1, required=True, shell_complete=completion.paths)
@click.option(
    "--to",
    "form",
    type=click.Choice(FORMS),
    default="hf",
    show_default=True,
    help="hf: for plain transformers, with a model card; artifact: mask, head and surviving values; onnx: for ONNX "
    "Runtime; semi-structured: pruned further to the pattern 2:4, and evaluated.",
)
@click.option(
    "--out",
    type=Folder(file_okay=False),
    help="A new or empty directory; several models are in RUN/STAGE inside. Default: the directory of the stage.",
)
@click.option("--half", is_flag=True, help="Round the values of an artifact to float16.")
@click.option("--levels", is_flag=True, help="Write the masks of all kept levels of a stage into its artifact.")
@json_option
def export(targets: tuple[str, ...], form: Any, out: Path | None, half: bool, levels: bool, as_json: bool) -> None:
    """Write models of runs in other forms, for use without srframework.

    Of each run under DIR, all models are exported, or that of STAGE: a stage, or a point inside it such as imp@0.5. The
    command prints the directory of each.

    A run of a sweep does not save a model that is another model with some weights set to zero: it saves the mask, and
    links to the other model. By default, this command writes the complete model into a directory `model`, in the format
    of transformers, and a model card, README.md. The card has mean and standard deviation over the seeds of all runs
    under the DIRs that differ only in the seed. Models that are there already stay as they are.
    """
    from srframework.deployment.export import ExportOptions
    from srframework.deployment.export import export as export_models

    rows = []
    for each in export_models(targets, ExportOptions(form, out, half, levels)):
        where = {"run": str(each.stage.run), "stage": str(each.stage.reference)}
        rows.append({**where, "to": each.form, "path": str(each.path), **each.facts})
        if not as_json:
            click.echo(str(each.path))
            for line in _told(each.form, each.facts):
                click.echo(f"  {line}")
    if as_json:
        print_json(rows)


def _told(form: str, facts: Mapping[str, Any]) -> list[str]:
    """What a form reports, in lines."""
    if form == "artifact":
        base = facts["base"]
        weights = "all weights are inside" if base is None else f"needs {base['name']} ({base['sha256'][:12]})"
        return [f"{facts['bytes']:,} bytes; {facts['dense_bytes']:,} for the weights of the dense model; {weights}"]
    if form == "onnx":
        return [f"largest difference of a logit from PyTorch: {facts['difference']:.1e}, in {facts['batches']} batches"]
    if form == "semi-structured":
        lost = f"{facts['removed']:,} entries of {facts['removed'] + facts['kept']:,} that the mask keeps are pruned"
        return [f"{lost}, in {facts['matrices']} matrices", *(_cost(facts, split) for split in facts["splits"])]
    return []


def _cost(facts: Mapping[str, Any], split: str) -> str:
    before, after, unit = facts["splits"][split]["before"], facts["splits"][split]["after"], facts["unit"]
    kind = "ID" if split == facts["id"] else "OOD"
    change = number(after - before, unit, sign=True)
    return f"{kind} {split}: {facts['metric']} {number(before, unit)} → {number(after, unit)}{suffix(unit)} ({change})"
