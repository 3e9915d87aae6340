"""Lookup of components by name, in all plugins."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from srframework.component import KINDS, Component, Needs, Options
from srframework.errors import AmbiguousComponent, MissingComponent, PluginError, SRFrameworkError, UnknownComponent
from srframework.faults import calling, describe, expect, is_system_error, kind_of, where
from srframework.registry.discovery import Plugin
from srframework.text import choices_text, did_you_mean, nearest, shorten

if TYPE_CHECKING:
    import click


@dataclass(frozen=True)
class Registered:
    """A component and its plugin."""

    kind: str
    component: Component
    plugin: Plugin

    @property
    def name(self) -> str:
        """The bare name: ``mask``."""
        return self.component.name

    @property
    def full_name(self) -> str:
        """``dist/name``: unique, also if another component has the same bare name."""
        return f"{self.plugin.dist}/{self.name}"

    @property
    def owner(self) -> str:
        """For messages: ``pruner 'mask' of srframework 0.1.0``, ``pruner 'mine' of my_pruner.py``."""
        return f"{KINDS[self.kind]} {self.name!r} of {self.plugin.origin}"

    def required(self, options: Options) -> tuple[str, ...]:
        """Return what the component requires with these options; see :class:`srframework.Component`.

        Raises:
            PluginError: The plugin's function fails or does not return names; names the plugin.
        """
        return self._names_of("requires", self.component.requires, options)

    def provided(self, options: Options) -> tuple[str, ...]:
        """Return what the component provides with these options; raises as :meth:`required` does."""
        return self._names_of("provides", self.component.provides, options)

    def best_after(self, options: Options, fine_tuned: bool) -> float:
        """Return the pruner's :meth:`srframework.Options.default_best_after`.

        Raises:
            PluginError: The plugin's method fails or does not return a fraction; names the plugin.
        """
        method = "default_best_after()"
        with calling(self.owner, method):
            given = options.default_best_after(fine_tuned)
            is_number = isinstance(given, int | float) and not isinstance(given, bool)
            got = repr(given)[:200] if is_number else kind_of(given)
            expect(is_number and 0 <= given <= 1, self.owner, method, "a number in [0, 1]", got)
        return float(given)

    def _names_of(self, key: str, needs: Needs, options: Options) -> tuple[str, ...]:
        with calling(self.owner, key):
            given = needs(options) if callable(needs) else needs
            is_several = isinstance(given, Iterable) and not isinstance(given, str)
            expect(is_several, self.owner, key, "a list of names", given)
            names = tuple(itertools.islice(given, _MAX_NAMES + 1))
        expect(len(names) <= _MAX_NAMES, self.owner, key, f"at most {_MAX_NAMES} names", "more")
        for name in names:
            expect(isinstance(name, str), self.owner, key, "a list of names", f"one with {kind_of(name)} in it")
        return names

    def build(self, options: Options) -> Any:
        """Build the component and wrap it; see :mod:`srframework.registry.guarded`.

        Raises:
            PluginError: The factory cannot be imported, fails, or returns an object that does not match its kind's
                contract; names the plugin.
        """
        factory = self._factory()
        # Imported here, because it needs heavy libraries and commands that only list build nothing.
        wrapper = importlib.import_module("srframework.registry.guarded")
        with calling(self.owner, "factory"):
            return wrapper.guarded(self.kind, factory(options), self.owner, options)

    def _factory(self) -> Callable[[Any], Any]:
        factory = self.component.factory
        if not isinstance(factory, str):
            return factory
        module, _, name = factory.partition(":")
        failure = f"{where()}{self.owner}: {factory} cannot be imported"
        try:
            # A plugin must not change the warning filters of other modules.
            with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
                found: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
        except (KeyboardInterrupt, SRFrameworkError):
            raise
        except ModuleNotFoundError as error:
            if error.name is not None and f"{module}.".startswith(f"{error.name}."):
                raise PluginError(f"{failure}: {error}") from None
            raise PluginError(f"{failure}: {describe(error)}") from error
        except BaseException as error:
            if is_system_error(error):
                raise
            if isinstance(error, AttributeError) and module in sys.modules and not hasattr(sys.modules[module], name):
                raise PluginError(f"{failure}: {error}") from None
            raise PluginError(f"{failure}: {describe(error)}") from error
        if not callable(found):
            raise PluginError(f"{failure}: expected a class or a function (got {kind_of(found)})")
        return found


_MAX_NAMES = 1000
"""Maximum number of names that a component requires or provides; guards against an endless iterator."""


class Registry:
    """All components of the loaded plugins.

    If two plugins use one name, both components stay available by their full names, and the bare name is
    refused. The order is by kind, then by name.
    """

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self.plugins = tuple(plugins)
        everything = [Registered(kind, item, plugin) for plugin in self.plugins for kind, item in plugin.components]
        kinds = list(KINDS)
        self._all = sorted(everything, key=lambda each: (kinds.index(each.kind), each.name, each.plugin.dist))

    def __iter__(self) -> Iterator[Registered]:
        return iter(self._all)

    def of_kind(self, kind: str) -> list[Registered]:
        """Return all components of one kind."""
        return [each for each in self._all if each.kind == kind]

    def get(self, kind: str, name: str) -> Registered:
        """Return the component of a kind by its bare or full name.

        Raises:
            UnknownComponent: It does not exist; lists the choices.
            MissingComponent: It belongs to a plugin that failed to load; gives the reason.
            AmbiguousComponent: Several plugins have the bare name; lists the full names.
        """
        choices = self.of_kind(kind)
        matches = [each for each in choices if name in (each.name, each.full_name)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            full = ", ".join(each.full_name for each in matches)
            raise AmbiguousComponent(
                f"{KINDS[kind]} {name!r} is provided by more than one plugin; expected one of: {full}"
            )
        names = sorted({each.name for each in choices} | {each.full_name for each in choices if "/" in name})
        near = nearest(name, names)
        others = [each.kind for each in self._all if name in (each.name, each.full_name)]
        other = f", which is of kind {others[0]}" if others else ""
        message = f"no {KINDS[kind]} is named {name!r}{other}{choices_text(near, names) or '; none is installed'}"
        self._refuse_missing(kind, name)
        raise self._unknown(message, is_near=near is not None)

    def find(self, name: str) -> Registered:
        """The component that a user names: ``mask``, ``pruner/mask``, or either with the distribution before the name.

        Raises:
            UnknownComponent: There is none; suggests the nearest.
            MissingComponent: As :meth:`get`.
            AmbiguousComponent: Several components have the name; lists names that tell them apart.
        """
        kind, slash, rest = name.partition("/")
        if slash and kind in KINDS:
            return self.get(kind, rest)
        matches = [each for each in self._all if name in (each.name, each.full_name)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            full = ", ".join(f"{each.kind}/{each.full_name if _is_twice(each, matches) else name}" for each in matches)
            raise AmbiguousComponent(f"several components are named {name!r}; expected one of: {full}")
        for each in KINDS:
            self._refuse_missing(each, name)
        if name in KINDS:
            raise UnknownComponent(f"{name} is a kind; expected NAME or KIND/NAME (see `srframework list {name}`)")
        near = nearest(name, [each.name for each in self._all])
        near = near or nearest(name, [f"{each.kind}/{each.name}" for each in self._all])
        message = f"no component is named {shorten(name)} (see `srframework list`){did_you_mean(near)}"
        raise self._unknown(message, is_near=near is not None)

    def _unknown(self, message: str, is_near: bool) -> UnknownComponent:
        """The error for a name that no loaded plugin has, with the plugins that are not loaded."""
        failed = [plugin for plugin in self.plugins if plugin.state == "failed"]
        disabled = [plugin for plugin in self.plugins if plugin.state == "disabled"]
        aside = "".join(f"; {_title(each)} is disabled" for each in disabled)
        aside += "".join(f"; {_failed(each)}" for each in failed)
        return UnknownComponent(message, aside, may_be_missing=bool(failed) and not is_near)

    def _refuse_missing(self, kind: str, name: str) -> None:
        """Raise an error if a plugin that failed to load has the component."""
        dist, _, bare = name.rpartition("/")
        failed = [plugin for plugin in self.plugins if plugin.state == "failed"]
        of_dist = [plugin for plugin in failed if not dist or _plain(plugin.dist) == _plain(dist)]
        having = [plugin for plugin in of_dist if plugin.has(kind, bare)] or (of_dist if dist else [])
        if having:
            raise MissingComponent(f"{KINDS[kind]} {name!r} is missing: {'; '.join(map(_failed, having))}")

    def commands(self) -> list[str]:
        """Return the names of the commands that plugins add, except names that several plugins use."""
        names = Counter(str(command.name) for plugin in self.plugins for command in plugin.commands)
        return sorted(name for name, count in names.items() if count == 1)

    def command(self, name: str) -> tuple[click.Command, str] | None:
        """Return a plugin's command and its owner, for messages; None if no plugin adds it.

        Raises:
            AmbiguousComponent: Several plugins add it; lists them.
        """
        found = [(each, plugin) for plugin in self.plugins for each in plugin.commands if each.name == name]
        if len(found) > 1:
            owners = " and ".join(_title(plugin) for _, plugin in found)
            raise AmbiguousComponent(f"{owners} add the command {name!r}; disable one of them with --disable NAME")
        return next(((each, f"command {name!r} of {p.origin}") for each, p in found), None)

    def failures(self) -> list[str]:
        """Return one line for each plugin that failed, and for each name that several plugins use."""
        lines = [_failed(plugin) for plugin in self.plugins if plugin.state == "failed"]
        for kind, title in KINDS.items():
            same: dict[str, list[str]] = {}
            for each in self.of_kind(kind):
                same.setdefault(each.name, []).append(each.full_name)
            lines += [
                f"{title} {name!r} is provided by more than one plugin; use one of: {', '.join(full)}"
                for name, full in same.items()
                if len(full) > 1
            ]
        return lines


def _is_twice(one: Registered, among: Iterable[Registered]) -> bool:
    """Whether two components have its kind and name."""
    return sum((each.kind, each.name) == (one.kind, one.name) for each in among) > 1


def _title(plugin: Plugin) -> str:
    return f"plugin {plugin.name!r} of {plugin.origin}"


def _failed(plugin: Plugin) -> str:
    return f"{_title(plugin)} failed to load: {plugin.failure}"


def _plain(dist: str) -> str:
    """Return the normalized name of a distribution."""
    return re.sub(r"[-_.]+", "-", dist).lower()
