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
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from srframework.component import Component

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
