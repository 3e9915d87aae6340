"""The hooks. Implement any of them in a module, and name the module in an entry point.

::

    # pyproject.toml
    [project.entry-points.srframework]
    mine = "my_plugin"

    # my_plugin/__init__.py
    from srframework import Component, hookimpl

    @hookimpl
    def srframework_pruners():
        return [Component(name="mine", options=MyOptions, factory="my_plugin.pruner:Mine", summary="...", source="...")]

A hook returns what exists, and builds nothing: it is called by every command, so a
plugin's module must import without torch. A hook that raises disables its plugin alone.

Commands are registered by :func:`srframework_register_commands`, all other things as components.
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

    ``cli`` has no other commands in it. A command that has the name of a built-in one disables the plugin. What a
    command needs beyond click, it imports when it runs. It prints results on stdout, everything else on stderr, and
    raises an error of :mod:`srframework.errors`, or ``click.UsageError``, for a mistake of the user.
    """
