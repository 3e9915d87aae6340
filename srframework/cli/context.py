"""What the commands share: the registry, made once, and how they print."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from srframework.errors import nearest
from srframework.plugins import discover
from srframework.registry import Registered, Registry

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")

store_option = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="SRFRAMEWORK_STORE",
    default=Path("runs/.store"),
    show_default=True,
    help="Where the results of stages are kept; also $SRFRAMEWORK_STORE.",
)


@dataclass(frozen=True)
class App:
    """One invocation.

    Attributes:
        blocked: Plugins not to load.
    """

    blocked: Sequence[str]

    @cached_property
    def registry(self) -> Registry:
        """The components of all plugins; what is wrong with any of them goes to stderr, a line each."""
        registry = Registry(discover(self.blocked))
        names = {name for plugin in registry.plugins for name in (plugin.dist, plugin.name)}
        for unknown in sorted(set(self.blocked) - names):
            near = nearest(unknown, names)
            hint = f"; did you mean {near!r}?" if near else ""
            click.echo(f"warning: --block {unknown}: no plugin or distribution has that name{hint}", err=True)
        for line in registry.failures():
            click.echo(f"warning: {line}", err=True)
        return registry


def print_json(value: Any) -> None:
    """Print ``value`` on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_rows(rows: Sequence[Mapping[str, Any]], as_json: bool, columns: Sequence[str]) -> None:
    """Print rows as a table of the named columns, or as a JSON list of everything in them."""
    if as_json:
        print_json(list(rows))
        return
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(_text(row[column]) for column in columns))
    print_table(table)


def print_table(table: Table) -> None:
    """Print on stdout; into a pipe or file, as wide as it wants to be."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = 1000
    console.print(table)


def component_row(each: Registered) -> dict[str, Any]:
    """A component as ``list --json`` prints it."""
    return {
        "kind": each.kind,
        "name": each.name,
        "summary": each.component.summary,
        "dist": each.plugin.dist,
        "version": each.plugin.version,
        "source": each.component.source,
    }


def _text(value: Any) -> str:
    return "" if value is None else str(value)
