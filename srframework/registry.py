"""Name -> component, over all plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from srframework.component import KINDS, Component, Options
from srframework.errors import AmbiguousComponent, PluginError, UnknownComponent, nearest
from srframework.plugins import Plugin


@dataclass(frozen=True)
class Registered:
    """A component, with the plugin that it came from."""

    kind: str
    component: Component
    plugin: Plugin

    @property
    def name(self) -> str:
        """The bare name: ``mask``."""
        return self.component.name

    @property
    def full_name(self) -> str:
        """``dist/name``: reaches the component also where another has the same name."""
        return f"{self.plugin.dist}/{self.name}"

    @property
    def owner(self) -> str:
        """For messages: ``pruner 'mask' of srframework 0.1.0``."""
        return f"{self.kind} {self.name!r} of {self.plugin.dist} {self.plugin.version}"

    def required(self, options: Options) -> tuple[str, ...]:
        """What the component requires, with these options; see :class:`srframework.Component`.

        Raises:
            PluginError: The plugin's own function fails; names the plugin.
        """
        return self._asked("requires", self.component.required, options)

    def provided(self, options: Options) -> tuple[str, ...]:
        """What the component provides, with these options; raises as :meth:`required` does."""
        return self._asked("provides", self.component.provided, options)

    def _asked(self, what: str, function: Callable[[Options], tuple[str, ...]], options: Options) -> tuple[str, ...]:
        try:
            return function(options)
        except Exception as error:
            raise PluginError(f"{self.owner}: its {what} fails: {type(error).__name__}: {error}") from error

    def build(self, options: Options) -> object:
        """Make the thing itself.

        Raises:
            PluginError: The factory cannot be imported; names the plugin.
        """
        try:
            return self.component.build(options)
        except (ImportError, AttributeError) as error:
            raise PluginError(f"{self.owner}: {self.component.factory} cannot be imported: {error}") from error


class Registry:
    """All components of the loaded plugins.

    Two plugins may use one name: both stay, each under its full name, and the bare name is
    refused. The order is that of the kinds, then of the names.
    """

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self.plugins = tuple(plugins)
        everything = [Registered(kind, item, plugin) for plugin in self.plugins for kind, item in plugin.components]
        self._all = sorted(everything, key=lambda each: (KINDS.index(each.kind), each.name, each.plugin.dist))

    def __iter__(self) -> Iterator[Registered]:
        return iter(self._all)

    def of_kind(self, kind: str) -> list[Registered]:
        """Every component of one kind."""
        return [each for each in self._all if each.kind == kind]

    def get(self, kind: str, name: str) -> Registered:
        """The component of that kind and name, bare or full.

        Raises:
            UnknownComponent: There is none; lists the choices.
            AmbiguousComponent: Several plugins have the bare name; lists the full names.
        """
        choices = self.of_kind(kind)
        matches = [each for each in choices if name in (each.name, each.full_name)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            full = ", ".join(each.full_name for each in matches)
            raise AmbiguousComponent(f"{kind} {name!r} is provided by more than one plugin; expected one of: {full}")
        names = sorted({each.name for each in choices} | {each.full_name for each in choices if "/" in name})
        near = nearest(name, names)
        hint = f"; did you mean {near!r}?" if near else ""
        raise UnknownComponent(f"no {kind} is named {name!r}; expected one of: {', '.join(names)}{hint}")

    def failures(self) -> list[str]:
        """One line for each plugin that failed, and for each name that two plugins claim."""
        lines = [
            f"plugin {plugin.name!r} of {plugin.dist} {plugin.version} is disabled: {plugin.failure}"
            for plugin in self.plugins
            if plugin.state == "failed"
        ]
        for kind in KINDS:
            same: dict[str, list[str]] = {}
            for each in self.of_kind(kind):
                same.setdefault(each.name, []).append(each.full_name)
            lines += [
                f"{kind} {name!r} is provided by more than one plugin; use one of: {', '.join(full)}"
                for name, full in same.items()
                if len(full) > 1
            ]
        return lines
