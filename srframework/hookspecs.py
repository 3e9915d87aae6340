"""The hooks for plugins. Implement any of them in a module, and name the module in an entry point.

::

    # pyproject.toml
    [project.entry-points.srframework]
    mine = "my_plugin"

    # my_plugin/__init__.py
    from srframework import Component, hookimpl

    @hookimpl
    def srframework_pruners():
        return [Component(name="mine", options=MyOptions, factory="my_plugin.pruner:Mine", summary="...", source="...")]

A hook only lists components and builds nothing. Every command calls it, so a
plugin's module must not import torch. A hook that raises disables only its own plugin.

:func:`srframework_register_commands` registers commands; the other hooks register components.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

from srframework.component import Component

if TYPE_CHECKING:
    import click

hookspec = pluggy.HookspecMarker("srframework")
hookimpl = pluggy.HookimplMarker("srframework")


@hookspec
def srframework_backbones() -> Iterable[Component]:
    """Components whose factory makes a :class:`srframework.Backbone`."""


@hookspec
def srframework_pruners() -> Iterable[Component]:
    """Components whose factory makes a :class:`srframework.Pruner`."""


@hookspec
def srframework_debiasers() -> Iterable[Component]:
    """Components whose factory makes a :class:`srframework.Debiaser`."""


@hookspec
def srframework_bias_models() -> Iterable[Component]:
    """Components whose factory makes a :class:`srframework.BiasModel`."""


@hookspec
def srframework_datasets() -> Iterable[Component]:
    """Components whose factory makes a :class:`srframework.Dataset`."""


@hookspec
def srframework_evaluators() -> Iterable[Component]:
    """Components whose factory makes a :class:`srframework.Evaluator`."""


@hookspec
def srframework_launchers() -> Iterable[Component]:
    """Components whose factory makes a :class:`srframework.Launcher`; ``sweep --launcher NAME`` uses one, with the
    options that ``--launcher-option KEY=VALUE`` gives."""


@hookspec
def srframework_register_commands(cli: click.Group) -> None:
    """Add commands to the command line: ``@cli.command()``, ``@cli.group()`` or ``cli.add_command(...)``.

    ``cli`` contains no other commands. A command with the name of a built-in one disables the plugin. A command
    imports everything except click when it runs. It prints results on stdout and everything else on stderr, and
    raises an error of :mod:`srframework.errors`, or ``click.UsageError``, for a mistake of the user.
    """
