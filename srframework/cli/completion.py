# ruff: noqa: ARG001 -- click passes the same three arguments to each function
"""Completion in shells: recipes and files, components, and the keys of ``--set``.

click makes the scripts: ``eval "$(_SRFRAMEWORK_COMPLETE=bash_source srframework)"``; zsh and fish work the same way.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from typing import Any, Literal, get_args, get_origin

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, shell_complete, split_arg_string

from srframework.claims.recipes import FOLDER, shipped_claims
from srframework.component import Options
from srframework.errors import SRFrameworkError
from srframework.recipe.check import load_recipe
from srframework.recipe.model import Recipe, shipped
from srframework.registry.registry import Registry
from srframework.report.figure_table import definitions
from srframework.training.options import TrainingOptions

_VARIABLE = "_SRFRAMEWORK_COMPLETE"
"""The variable of click's scripts."""


class SpacelessBash(BashComplete):
    """click's completion for bash, without the space after a value that one continues to type: ``seed=``, ``runs/``."""

    name = "bash"
    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", "COMPREPLY+=($value); [[ $value == *[=/] ]] && compopt -o nospace"
    )


def respond(cli: click.Command) -> int | None:
    """Print what the shell asks for, and return the exit code; None if this is no request of a shell."""
    instruction = os.environ.get(_VARIABLE)
    if not instruction:
        return None
    add_completion_class(SpacelessBash)
    return shell_complete(cli, {}, "srframework", _VARIABLE, instruction)


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


def settings(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete ``KEY=`` of the recipe on the command line, and then its value where there is a choice."""
    found = dict(_keys(_recipe(_registry(context))))
    key, equals, value = incomplete.partition("=")
    if equals:
        choices = found[key][1] if key in found else ()
        return [CompletionItem(f"{key}={choice}") for choice in choices if choice.startswith(value)]
    return _described({f"{name}=": description for name, (description, _) in found.items()}, incomplete)


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


def _keys(recipe: Recipe | None) -> Iterator[tuple[str, tuple[str, tuple[str, ...]]]]:
    """Yield the keys of a recipe, each with its description and the values of a choice."""
    yield "seed", ("Seed of all random numbers.", ())
    yield from _of(TrainingOptions, "training")
    if recipe is None:
        return
    for kind, use in (("backbone", recipe.backbone), ("dataset", recipe.dataset), ("bias", recipe.bias)):
        if use is not None:
            yield from _of(type(use.options), kind)
    for stage in recipe.stages:
        yield from _of(type(stage.loss.options), f"stages.{stage.name}.loss")
        if stage.pruner is not None:
            yield from _of(type(stage.pruner.options), f"stages.{stage.name}.pruner")
        yield from _of(TrainingOptions, f"stages.{stage.name}")


def _of(model: type[Options], prefix: str) -> Iterator[tuple[str, tuple[str, tuple[str, ...]]]]:
    for name, field in model.model_fields.items():
        choices: tuple[str, ...] = ()
        if get_origin(field.annotation) is Literal:
            choices = tuple(str(each) for each in get_args(field.annotation))
        elif field.annotation is bool:
            choices = ("true", "false")
        yield f"{prefix}.{name}", (field.description or "", choices)


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
