"""``validate``: is a recipe right?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from srframework.cli.context import App, json_option, print_json
from srframework.errors import Problem, RecipeError, lines_of, one_line
from srframework.sweep import load_every


@click.command()
@click.argument("recipes", metavar="RECIPE...", nargs=-1, required=True)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key; repeatable.")
@json_option
@click.pass_context
def validate(context: click.Context, recipes: tuple[str, ...], overrides: tuple[str, ...], as_json: bool) -> None:
    """Check recipes, their variants and every cell of their sweeps too: paths, or names of shipped ones.

    All problems are found, and the first of them printed; --json has them all. Nothing runs.
    """
    app: App = context.obj
    report: list[dict[str, Any]] = []
    for name in recipes:
        problems: Sequence[Problem] = ()
        try:
            load_every(name, app.registry, overrides)
        except RecipeError as error:
            problems = error.problems
        report.append({"recipe": name, "valid": not problems, "problems": [str(problem) for problem in problems]})
        for line in lines_of(problems):
            click.echo(line, err=True)
        if not as_json:
            count = f"{len(problems)} problem(s)" if problems else "valid"
            click.echo(f"{one_line(name, 400)}: {count}")
    if as_json:
        print_json(report)
    if not all(entry["valid"] for entry in report):
        context.exit(2)
