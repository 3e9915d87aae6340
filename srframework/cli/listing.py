"""``list``, ``plugins``, ``recipes``: what there is."""

from __future__ import annotations

import re

import click
import tomli

from srframework.cli.context import App, component_row, json_option, print_rows
from srframework.component import KINDS
from srframework.recipe.model import shipped

_PLURALS = {f"{title.replace(' ', '-')}s": kind for kind, title in KINDS.items()}


@click.command("list")
@click.argument("kind", type=click.Choice([*KINDS, *_PLURALS]), metavar="[KIND]", required=False)
@json_option
@click.pass_obj
def list_components(app: App, kind: str | None, as_json: bool) -> None:
    """List the components: all, or those of one KIND.

    KIND is backbone, pruner, debiaser, bias, dataset, evaluator or launcher.
    """
    components = app.registry.of_kind(_PLURALS.get(kind, kind)) if kind else list(app.registry)
    print_rows([component_row(each) for each in components], as_json, ("kind", "name", "summary", "dist", "version"))


@click.command("plugins")
@json_option
@click.pass_obj
def list_plugins(app: App, as_json: bool) -> None:
    """List the plugins: where each comes from, and what became of it."""
    rows = [
        {
            "plugin": plugin.name,
            "dist": plugin.dist,
            "version": plugin.version,
            "entry point": plugin.value,
            "state": plugin.state,
            "components": len(plugin.components),
            "failure": plugin.failure,
        }
        for plugin in app.registry.plugins
    ]
    print_rows(rows, as_json, ("plugin", "dist", "version", "entry point", "state", "components", "failure"))


@click.command("recipes")
@json_option
def list_recipes(as_json: bool) -> None:
    """List the recipes that come with srframework; `run` takes them by name."""
    rows = []
    for name, path in shipped().items():
        text = path.read_text(encoding="utf-8")
        comment = re.match(r"#\s*(.*)", text)
        summary = comment[1] if comment else tomli.loads(text).get("name", "")
        rows.append({"recipe": name, "summary": summary, "path": str(path)})
    print_rows(rows, as_json, ("recipe", "summary"))
