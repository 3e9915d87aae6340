"""``list``, ``plugins``, ``recipes``: the components, the plugins and the shipped recipes."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

import click
import tomli
from rich.text import Text

from srframework.cli import completion
from srframework.cli.context import (
    PAPER,
    App,
    component_row,
    json_option,
    output,
    print_described,
    print_json,
    print_text,
)
from srframework.component import KINDS
from srframework.recipe.model import shipped
from srframework.text import choices_text, nearest, shorten

_PLURALS = {f"{title.replace(' ', '-')}s": kind for kind, title in KINDS.items()}
_FIRST_RECIPE = "quickstart"


class _Kind(click.Choice[str]):
    """The kinds; also in the plural, which messages leave out."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The kind, in the singular."""
        kind = _PLURALS.get(value, value)
        if kind not in KINDS:
            self.fail(f"no kind is named {shorten(value)}{choices_text(nearest(value, KINDS), KINDS)}", param, ctx)
        return kind


@click.command("list")
@click.argument("kind", type=_Kind([*KINDS]), metavar="[KIND]", required=False)
@click.option("-v", "--verbose", is_flag=True, help="Show the distribution, version and source of each component too.")
@json_option
@click.pass_obj
def list_components(app: App, kind: str | None, verbose: bool, as_json: bool) -> None:
    """List the components: all, or those of one KIND.

    KIND is backbone, pruner, debiaser, bias, dataset, evaluator or launcher. `srframework show NAME` prints the
    options of one component.
    """
    components = app.registry.of_kind(kind) if kind else list(app.registry)
    rows = [component_row(each) for each in components]
    if as_json:
        print_json(rows)
        return
    console = output()
    for number, (group, members) in enumerate(itertools.groupby(rows, key=lambda row: str(row["kind"]))):
        print_text(console, Text(f"{chr(10) if number else ''}{group}", "bold"))
        described = []
        for row in members:
            origin = f" [{row['dist']} {row['version']}; source: {row['source']}]" if verbose else ""
            described.append((row["name"], f"{row['summary']}{origin}"))
        print_described(console, described)
    if verbose:
        print_text(console, f"\n§ and App. without a name: sections of {PAPER}.")


@click.command("plugins")
@click.option(
    "--disable",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.plugins,
    help="Show the list as with `srframework --disable NAME`. Repeatable.",
)
@json_option
@click.pass_obj
def list_plugins(app: App, disable: tuple[str, ...], as_json: bool) -> None:
    """List the plugins, and whether each is loaded.

    To disable a plugin in every command, set $SRFRAMEWORK_DISABLE_PLUGINS to its name. If
    $SRFRAMEWORK_STRICT_PLUGINS is 1, a plugin that fails to load is an error, not a warning.
    """
    if disable:
        app = replace(app, plugins=replace(app.plugins, disabled=(*app.plugins.disabled, *disable)))
    registry = replace(app, strict=False).registry
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
        for plugin in registry.plugins
    ]
    if as_json:
        print_json(rows)
        return
    described = []
    for plugin in registry.plugins:
        count = len(plugin.components)
        became = (
            f"{plugin.state}, {count} component{'s' if count != 1 else ''}"
            if plugin.state == "loaded"
            else plugin.state
        )
        failure = f": {plugin.failure}" if plugin.failure else ""
        described.append((plugin.name, f"{plugin.origin} ({plugin.value})  {became}{failure}"))
    print_described(output(), described)


@click.command("recipes")
@json_option
def list_recipes(as_json: bool) -> None:
    """List the recipes that come with srframework.

    Beside each name are the data and the model that the recipe needs, and its duration. To run a recipe:
    `srframework run NAME`.
    """
    rows = []
    for name, path in sorted(shipped().items(), key=lambda item: ("/" in item[0], item[0] != _FIRST_RECIPE)):
        text = path.read_text(encoding="utf-8")
        comment = re.match(r"#\s*(.*)", text)
        needs = re.search(r"^# Needs: (.*)", text, re.MULTILINE)
        summary = comment[1] if comment else tomli.loads(text).get("name", "")
        rows.append({"recipe": name, "needs": needs[1] if needs else "", "summary": summary, "path": str(path)})
    if as_json:
        print_json(rows)
        return
    console = output()
    width = max(len(row["recipe"]) for row in rows) + 2
    for row in rows:
        print_text(console, Text.assemble((row["recipe"].ljust(width), "bold cyan"), row["needs"]), hanging=width)
        print_text(console, row["summary"], indent=2)
    print_text(console, f"§ and App.: sections of {PAPER}.")
    print_text(console, f"Start with `srframework run {_FIRST_RECIPE}`, which needs no download and no GPU.")
