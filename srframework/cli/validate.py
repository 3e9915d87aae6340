"""``validate``: check recipes."""

from __future__ import annotations

from typing import Any

import click

from srframework.claims.check import TABLES
from srframework.cli import completion
from srframework.cli.context import App, json_option, print_json, set_option
from srframework.cli.streams import echo_error
from srframework.errors import PluginError, RecipeError, lines_of
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.sweep import load_all_variants
from srframework.run.crash import sentence
from srframework.text import one_line


@click.command()
@click.argument("recipes", metavar="RECIPE...", nargs=-1, required=True, shell_complete=completion.recipes)
@set_option
@json_option
@click.pass_context
def validate(context: click.Context, recipes: tuple[str, ...], overrides: tuple[str, ...], as_json: bool) -> None:
    """Check recipes without running them.

    RECIPE is a path, or the name of a shipped recipe. Its [variants] (named changes of the recipe) and all combinations
    of its [sweep] are checked too. If a recipe has many problems, only the first ones are printed; --json prints all.
    """
    app: App = context.obj
    report: list[dict[str, Any]] = []
    code = 0
    for name in recipes:
        problems: list[str] = []
        lines: list[str] = []
        try:
            load_all_variants(name, app.registry, overrides, TABLES, FileChecks())
        except RecipeError as error:
            problems, code = [str(problem) for problem in error.problems], max(code, error.exit_code)
            lines = list(lines_of(error.problems))
        except PluginError as error:
            lines = problems = [f"{one_line(name, 400)}: {sentence(error)}"]
            code = error.exit_code
        report.append({"recipe": name, "valid": not problems, "problems": problems})
        for line in lines:
            echo_error(line)
        if not as_json:
            count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}" if problems else "valid"
            click.echo(f"{one_line(name, 400)}: {count}")
    if as_json:
        print_json(report)
    if code:
        context.exit(code)
