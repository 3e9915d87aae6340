"""``data``: check the data of a recipe, and convert predictions of bias models."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from srframework.cli import completion
from srframework.cli.context import App, Folder, json_option, print_json, set_option
from srframework.errors import UsageError
from srframework.inputs.bias_table import convert
from srframework.inputs.data_check import ALL_TASKS, CheckedData, check_data
from srframework.text import one_line

_MARKS = {"ok": "ok      ", "problem": "PROBLEM ", "warning": "warning ", "unknown": "unknown "}


@click.group("data")
def data_group() -> None:
    """Check the data of a recipe; convert bias probabilities."""


@data_group.command("check")
@click.argument("recipe", default=ALL_TASKS, shell_complete=completion.recipes)
@set_option
@click.option("--strict", is_flag=True, help="Exit with 1 after warnings too.")
@json_option
@click.pass_context
def check(context: click.Context, recipe: str, overrides: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Check all rows of the data of a recipe.

    RECIPE is a path, or the name of a shipped recipe. Default: paper/full-models, which has all data sets of the
    paper. The command checks the data sets of all variants and sweeps: are the files there, is every row valid, do the
    numbers of rows and the shares of the labels agree with the published ones, are labels swapped. Exit code 1: there
    is a problem.
    """
    app: App = context.obj
    checked = check_data(recipe, app.registry, overrides)
    if as_json:
        print_json([asdict(each) for each in checked])
    else:
        for each in checked:
            _print(each)
    bad = ("problem", "warning") if strict else ("problem",)
    if any(each.count(state) for each in checked for state in bad):
        context.exit(1)


def _print(checked: CheckedData) -> None:
    counts = {state: checked.count(state) for state in _MARKS if checked.count(state)}
    click.echo(f"{checked.name}: {', '.join(_counted(count, state) for state, count in counts.items())}")
    for each in checked.findings:
        where = f"{each.split}: " if each.split else ""
        click.echo(f"  {_MARKS[each.state]}{where}{each.check}: {one_line(each.message)}")


def _counted(count: int, state: str) -> str:
    return f"{count} {state}{'s' if count > 1 and state in ('problem', 'warning') else ''}"


@data_group.command("convert-bias")
@click.argument("source", metavar="IN.pkl", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT.json", type=Folder())
def convert_bias(source: Path, target: Path) -> None:
    """Convert pickled bias probabilities to JSON, for bias-file.

    IN.pkl is a pickled dictionary from example ids to rows of numbers: lists, tuples or NumPy arrays. Nothing in it is
    executed: the command reads plain data only, and refuses everything else. OUT.json must not exist.
    """
    if target.suffix != ".json":
        raise UsageError(f"expected a name that ends in .json, got {one_line(str(target), 200)}")
    rows, columns, is_log = convert(source, target)
    kind = "log-probabilities" if is_log else "probabilities"
    click.echo(
        f"{target}: {rows:,} row{'s' if rows > 1 else ''} of {columns} {kind}; set bias.log = {str(is_log).lower()}"
    )
