"""Shared by the commands: the registry and printing."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from srframework.cli import completion
from srframework.cli.streams import echo_error
from srframework.contracts import PluginChoice
from srframework.errors import PluginError, SRFrameworkError, UsageError
from srframework.faults import describe, is_system_error
from srframework.registry.discovery import discover
from srframework.registry.registry import Registered, Registry
from srframework.text import did_you_mean, nearest, shorten

_LONGEST_NAME = 255
"""Longest name of a file or directory on usual file systems, in bytes."""

_LONGEST_PATH = 4096 - 512
"""Longest path of a directory, in bytes; leaves room for the files in it."""


class Folder(click.Path):
    """An output directory; its path must be text and not too long for file systems."""

    def __init__(self, file_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; an impossible name is bad usage."""
        text = os.fspath(value)
        if not _is_text(text):
            self.fail(f"expected a path in UTF-8, got {shorten(text)}", param, ctx)
        if "\0" in text:
            self.fail(f"expected a path without the character NUL, got {shorten(text)}", param, ctx)
        if any(len(part.encode()) > _LONGEST_NAME for part in Path(text).parts):
            expected = f"expected names of at most {_LONGEST_NAME} bytes"
            self.fail(f"{expected}, got {shorten(max(Path(text).parts, key=len))}", param, ctx)
        if len(text.encode()) > _LONGEST_PATH:
            self.fail(f"expected a path of at most {_LONGEST_PATH} bytes, got {shorten(text)}", param, ctx)
        return super().convert(value, param, ctx)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")

store_option = click.option(
    "--store",
    type=Folder(file_okay=False),
    envvar="SRFRAMEWORK_STORE",
    default=Path("runs/.store"),
    show_default=True,
    help="The store, with the cached results of stages; also $SRFRAMEWORK_STORE.",
)


set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=completion.settings,
    help="Override a key of the recipe, such as stages.srnet.pruner.sparsity=0.5. Repeatable.",
)


@dataclass(frozen=True)
class App:
    """One invocation.

    Attributes:
        plugins: The plugins to load.
        reserved: Names of the built-in commands.
        strict: Whether a plugin that fails to load is an error, not a warning.
    """

    plugins: PluginChoice
    reserved: Collection[str] = ()
    strict: bool = False

    @cached_property
    def found(self) -> Registry:
        """The components and commands of all plugins."""
        return Registry(discover(self.plugins, self.reserved))

    @cached_property
    def registry(self) -> Registry:
        """The same; also prints one line on stderr for each plugin that failed.

        Raises:
            PluginError: A plugin failed, and failures are errors.
        """
        registry = self.found
        names = {name for plugin in registry.plugins for name in (plugin.dist, plugin.name)}
        for unknown in sorted(set(self.plugins.disabled) - names):
            near = nearest(unknown, names)
            click.echo(
                f"warning: --disable {unknown}: no plugin or distribution has that name{did_you_mean(near)}", err=True
            )
        failures = registry.failures()
        if self.strict and failures:
            raise PluginError(f"{'; '.join(failures)} (${STRICT} is set)")
        for line in failures:
            echo_error(f"warning: {line}")
        return registry


class Commands(click.Group):
    """The group of all commands, built-in ones and those of plugins. Arguments must be text.

    Plugins are loaded where a name is no built-in command, and for ``--help``.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse bytes that are not UTF-8; Python decodes them as lone surrogates."""
        for each in args:
            if not _is_text(each):
                raise UsageError(f"expected arguments in UTF-8, got {shorten(each)}")
        return super().parse_args(ctx, args)

    def app(self, ctx: click.Context) -> App:
        """This invocation; available before all options are read."""
        if _APP not in ctx.meta:
            options = {each.name: each for each in self.params}
            disable = options["disable"]
            disabled = ctx.params.get("disable") or disable.type_cast_value(ctx, disable.value_from_envvar(ctx))
            choice = PluginChoice(tuple(disabled), tuple(ctx.params.get("plugin") or ()))
            ctx.meta[_APP] = App(choice, tuple(self.commands), strict=bool(os.environ.get(STRICT)))
        app: App = ctx.meta[_APP]
        return app

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return sorted([*self.commands, *self.app(ctx).found.commands()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None; the cause may be a failed plugin, which is then reported."""
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        found = self.app(ctx).found.command(cmd_name)
        if found is None:
            _ = self.app(ctx).registry
        return found[0] if found is not None else None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an unexpected error in a plugin's command is an error of that plugin."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            if any(error.option_name in each.opts for each in self.params):
                place = f"`srframework {error.option_name} ... {ctx.invoked_subcommand}`"
                message = f"'{error.option_name}' goes before the command: {place}."
                raise click.UsageError(message, error.ctx) from error
            having = [
                f"`srframework {name}`"
                for name, command in sorted(self.commands.items())
                if any(error.option_name in each.opts for each in command.params)
            ]
            if not having:
                raise
            names = " and ".join(having)
            message = f"No such option '{error.option_name}'; {names} {'have' if having[1:] else 'has'} it."
            raise click.UsageError(message, error.ctx) from error
        except (KeyboardInterrupt, SRFrameworkError, click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except BaseException as error:
            name = str(ctx.invoked_subcommand)
            found = self.app(ctx).found.command(name) if name not in self.commands else None
            if found is None or is_system_error(error):
                raise
            if isinstance(error, SystemExit):
                ctx.exit(error.code if isinstance(error.code, int) else bool(error.code))
            raise PluginError(f"{found[1]} fails: {describe(error)}") from error


_APP = "srframework.app"

STRICT = "SRFRAMEWORK_STRICT_PLUGINS"
"""Environment variable: if it is set and not empty, a plugin that fails to load is an error."""


def print_json(value: Any) -> None:
    """Print ``value`` on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_rows(rows: Sequence[Mapping[str, Any]], as_json: bool, columns: Sequence[str]) -> None:
    """Print rows as a table of the named columns, or completely as a JSON list."""
    if as_json:
        print_json(list(rows))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_text(row[column]) for column in columns))
    print_table(table)


def output() -> Console:
    """The console on stdout; a pipe or file has no colour and no width limit."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = 1000
    return console


PAPER = "the paper (arXiv 2210.05211)"
"""The paper that sections without a name are of."""


def cited(source: str) -> str:
    """The source of a component; one that begins with a section names the paper."""
    return f"{PAPER}, {source}" if source.startswith(("§", "App.")) else source


def print_table(table: Table | Text) -> None:
    """Print on stdout; a pipe or file has no width limit."""
    output().print(table)


def print_text(console: Console, text: str | Text, indent: int = 0, hanging: int | None = None) -> None:
    """Print a paragraph, wrapped between words; only words wider than the console are broken.

    Args:
        console: Where to.
        text: The paragraph, without line ends.
        indent: Columns that every line is indented by.
        hanging: Columns for the lines after the first, where that is another number.
    """
    rest = text.copy() if isinstance(text, Text) else Text(text)
    hanging = indent if hanging is None else hanging
    first, *_ = rest.wrap(console, console.width - indent)
    console.print(Text(" " * indent) + first, soft_wrap=True)
    rest = rest[len(first) :]
    rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
    if rest:
        for line in rest.wrap(console, console.width - hanging):
            console.print(Text(" " * hanging) + line, soft_wrap=True)


def print_described(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Print indented names, each with its description beside it."""
    width = max((len(name) for name, _ in rows), default=0) + 4
    for name, description in rows:
        line = Text.assemble((f"  {name}".ljust(width), "bold cyan"), description)
        print_text(console, line, hanging=width)


def print_report(report: Mapping[str, Any], as_json: bool) -> None:
    """Print the report of one run; the figures of the stages are last, so that they are on the screen."""
    if as_json:
        print_json(report)
        return
    from srframework.report.tables import bias_table, results_table

    console = output()
    if "bias" in report:
        console.print(bias_table(report["bias"]))
    splits = (report["id_split"], report["dev_split"])
    console.print(results_table(report["stages"], console.width, report["baselines"], *splits))
    click.echo(f"run directory: {report['run']}")


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
