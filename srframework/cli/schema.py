"""``schema``: the JSON Schema of recipes."""

from __future__ import annotations

import click

from srframework.cli.context import App, print_json


@click.command()
@click.pass_obj
def schema(app: App) -> None:
    """Print the JSON Schema of recipes, with the installed components.

    Editors with TOML support use it for completion and checks: `srframework schema > recipe.schema.json`, and
    `#:schema ./recipe.schema.json` as the first line of a recipe (taplo, Even Better TOML).
    """
    from srframework.recipe.json_schema import recipe_schema

    print_json(recipe_schema(app.registry))
