# ruff: noqa: ARG001 -- click passes the same three arguments to each function
"""Completion in shells: recipes and files, components, and the keys of ``--set``.

The scripts of the shells are in :mod:`srframework.cli.shells`.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem, split_arg_string

from srframework.claims.recipes import FOLDER, shipped_claims
from srframework.cli.keys import Key, keys, option_keys
from srframework.errors import SRFrameworkError
from srframework.recipe.check import load_recipe
from srframework.recipe.model import Recipe, shipped
from srframework.registry.registry import Registry
from srframework.report.figure_table import definitions


def recipes(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a shipped recipe, or a TOML file."""
    return [*_named(shipped(), incomplete), *_files(incomplete, ".toml")]


def shipped_recipes(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a shipped recipe."""
    return _named(shipped(), incomplete)


def claims(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a shipped claim, or a TOML file."""
    return [*_named((name.removeprefix(FOLDER) for name in shipped_claims()), incomplete), *_files(incomplete, ".toml")]


def figures(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a figure or table of the paper."""
    return _described({each.name: each.title for each in definitions().values()}, incomplete)


def paths(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a path, as the shell does."""
    return [CompletionItem(incomplete, type="file")]


def components(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a component, alone or with its kind; ``training`` is what ``show`` also accepts."""
    everything = list(_registry(context))
    names = {each.name: each.component.summary for each in everything}
    names |= {f"{each.kind}/{each.name}": each.component.summary for each in everything if "/" in incomplete}
    return _described(names | {"training": "The options of the table [training]."}, incomplete)


def datasets(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a data set."""
    return _described({each.name: each.component.summary for each in _registry(context).of_kind("dataset")}, incomplete)


def launchers(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a launcher."""
    return _described(
        {each.name: each.component.summary for each in _registry(context).of_kind("launcher")}, incomplete
    )


def plugins(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a plugin: an entry point, or a distribution."""
    registry = _registry(context)
    return _named(dict.fromkeys(name for each in registry.plugins for name in (each.name, each.dist)), incomplete)


def launcher_options(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete ``KEY=`` of the launcher on the command line, and then its value where there is a choice."""
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    found = [each for each in _registry(context).of_kind("launcher") if each.name in words]
    return _assignments([key for each in found for key in option_keys(each.component.options)], incomplete)


def settings(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete ``KEY=`` of the recipe on the command line, and then its value where there is a choice."""
    registry = _registry(context)
    return _assignments(keys(_recipe(registry), registry), incomplete)


def _assignments(found: Iterable[Key], incomplete: str) -> list[CompletionItem]:
    name, equals, value = incomplete.partition("=")
    if not equals:
        return _described({f"{key.name}=": key.description for key in found}, incomplete)
    *others, last = value.split(",")  # --grid accepts several values
    start = ",".join([*others, ""]) if others else ""
    choices = dict.fromkeys(choice for key in found if key.name == name for choice in key.choices)
    return [CompletionItem(f"{name}={start}{choice}") for choice in choices if choice.startswith(last)]


def _recipe(registry: Registry) -> Recipe | None:
    """The recipe on the command line; click has not parsed it yet, if the option is the last word."""
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    named = [word for word in words if word in shipped() or (word.endswith(".toml") and os.path.isfile(word))]
    if not named:
        return None
    try:
        return load_recipe(named[0], registry)
    except (SRFrameworkError, OSError):
        return None  # completion must not print errors


def _registry(context: click.Context) -> Registry:
    root = context.find_root()
    commands: Any = root.command  # srframework.cli.context.Commands, which uses this module
    found: Registry = commands.app(root).found
    return found


def _named(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _described(names: dict[str, str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name, help=text) for name, text in names.items() if name.startswith(incomplete)]


def _files(incomplete: str, suffix: str) -> Iterator[CompletionItem]:
    """Directories, and the files that end in ``suffix``; some shells cannot mix their own with our names."""
    for path in sorted(glob.glob(glob.escape(incomplete) + "*")):
        if os.path.isdir(path):
            yield CompletionItem(f"{path}/")
        elif path.endswith(suffix):
            yield CompletionItem(path)
