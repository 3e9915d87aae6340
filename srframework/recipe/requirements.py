"""The plugins that a recipe requires: ``requires = ["my-plugin>=0.2"]``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from srframework.errors import PluginError
from srframework.recipe.checked_tables import TableProblem
from srframework.registry.registry import Registry
from srframework.text import nearest, shorten


def unmet(requires: Sequence[str], registry: Registry) -> Iterator[TableProblem]:
    """Yield a problem for each requirement that is not met; its key is relative to ``requires``."""
    for index, text in enumerate(requires):
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            wanted = None
        if wanted is None or wanted.extras or wanted.marker or wanted.url:
            expected = "expected a distribution and its versions, such as 'my-plugin>=0.2'"
            yield TableProblem((index,), f"{expected}; got {shorten(text)}")
        elif (problem := _unmet(wanted, registry)) is not None:
            yield problem._replace(key=(index,), exit_code=PluginError.exit_code)


def _unmet(wanted: Requirement, registry: Registry) -> TableProblem | None:
    name = canonicalize_name(wanted.name)
    plugins = [plugin for plugin in registry.plugins if canonicalize_name(plugin.dist) == name]
    if not plugins:
        near = nearest(wanted.name, {plugin.dist for plugin in registry.plugins})
        return TableProblem((), f"the recipe requires {wanted}; no plugin named {wanted.name} is installed", near)
    for plugin in plugins:
        try:
            fits = wanted.specifier.contains(plugin.version, prereleases=True)
        except InvalidVersion:
            fits = not wanted.specifier
        if not fits:
            return TableProblem((), f"the recipe requires {wanted}; got {plugin.dist} {plugin.version}")
        if plugin.state == "failed":
            reason = f"plugin {plugin.name!r} of {plugin.origin} failed to load: {plugin.failure}"
            return TableProblem((), f"the recipe requires {wanted}; {reason}")
    if all(plugin.state == "disabled" for plugin in plugins):
        return TableProblem((), f"the recipe requires {wanted}; {plugins[0].dist} is disabled")
    return None
