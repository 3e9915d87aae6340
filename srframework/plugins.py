"""Finding plugins, and keeping the broken ones from breaking anything else.

pluggy's own loader stops at the first entry point that raises; here each is loaded by
itself, in a manager of its own, and what goes wrong becomes one line.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import Distribution, EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pluggy

from srframework import hookspecs
from srframework.component import API, KINDS, Component
from srframework.source import Source, of_plugin

GROUP = "srframework"
"""The entry point group in which plugins register."""


@dataclass(frozen=True)
class Plugin:
    """One entry point, and what became of it.

    Attributes:
        dist: Name of the distribution that registers it.
        version: Version of that distribution.
        name: Name of the entry point.
        value: What the entry point names: ``"srf_pruners"``.
        state: ``"loaded"``, ``"failed"`` or ``"blocked"``.
        failure: Why it failed, in one line; empty otherwise.
        components: ``(kind, component)`` pairs; empty unless loaded.
        source: The files of its code, as they were when it was loaded; None unless loaded.
    """

    dist: str
    version: str
    name: str
    value: str
    state: str
    failure: str = ""
    components: tuple[tuple[str, Component], ...] = ()
    source: Source | None = field(default=None, compare=False, repr=False)


_HOOKS = {f"srframework_{kind}s": kind for kind in KINDS}


class _Refused(Exception):
    """What a plugin registers is not what the hooks ask for."""


def discover(blocked: Collection[str] = ()) -> list[Plugin]:
    """Load every installed plugin that is not blocked; in order of distribution and name.

    Args:
        blocked: Distributions or entry points not to load, by name.

    Never raises for a plugin's fault: see :attr:`Plugin.failure`.
    """
    plugins = [_load(entry, blocked) for entry in dict.fromkeys(entry_points(group=GROUP))]
    return list(_own_names(sorted(plugins, key=lambda each: (each.dist, each.version, each.name, each.value))))


def _provenance(dist: Distribution | None) -> tuple[str, str]:
    """Name and version; a damaged distribution may have neither."""
    metadata: Any = dist.metadata if dist else {}
    return str(metadata.get("Name") or "unknown"), str(metadata.get("Version") or "0")


def _load(entry: EntryPoint, blocked: Collection[str]) -> Plugin:
    dist, version = _provenance(entry.dist)
    state, failure = "loaded", ""
    components: tuple[tuple[str, Component], ...] = ()
    source: Source | None = None
    if dist in blocked or entry.name in blocked:
        state = "blocked"
    else:
        try:
            # A plugin that prints while it is imported must not spoil the JSON on stdout.
            with contextlib.redirect_stdout(sys.stderr):
                components = _components(entry.load())
                source = of_plugin(f"{dist} {version}", entry.value, [each for _, each in components], entry.dist)
        except KeyboardInterrupt:
            raise
        except SystemExit as error:
            state, failure = "failed", f"exits when it is imported (SystemExit: {error.code})"
        except _Refused as error:
            state, failure = "failed", str(error)
        except BaseException as error:  # noqa: BLE001  (whatever a stranger's module raises is a line, not a crash)
            state, failure = "failed", _one_line(error)
    return Plugin(dist, version, entry.name, entry.value, state, failure, components, source)


def _own_names(plugins: Iterable[Plugin]) -> Iterator[Plugin]:
    """Refuse, of two plugins of one distribution with the same component, the later: no name would tell them apart."""
    taken: dict[tuple[str, str, str], str] = {}
    for plugin in plugins:
        names = [(plugin.dist, kind, component.name) for kind, component in plugin.components]
        repeated = [
            f"{kind}/{name}, which {taken[dist, kind, name]!r} has"
            for dist, kind, name in names
            if (dist, kind, name) in taken
        ]
        if repeated:
            failure = f"registers a name of another plugin of {plugin.dist}: {'; '.join(repeated)}"
            yield replace(plugin, state="failed", failure=failure, components=())
        else:
            taken |= dict.fromkeys(names, plugin.name)
            yield plugin


def _one_line(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001  (the stranger's exception may be broken too)
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _components(module: ModuleType) -> tuple[tuple[str, Component], ...]:
    manager = pluggy.PluginManager("srframework")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _Refused(f"{_one_line(error)}; the hooks are {', '.join(_HOOKS)}") from error
    if not manager.get_hookcallers(module):
        raise _Refused(f"implements no hook; the hooks are {', '.join(_HOOKS)}, marked with srframework.hookimpl")
    collected = []
    for hook, kind in _HOOKS.items():
        for returned in getattr(manager.hook, hook)():
            collected += [(kind, component) for component in _checked(hook, returned)]
    _refuse_repeats(collected)
    return tuple(collected)


def _checked(hook: str, returned: Iterable[Component]) -> list[Component]:
    if isinstance(returned, Component) or not isinstance(returned, Iterable):
        raise _Refused(f"{hook} returned {type(returned).__name__}; expected an iterable of Component")
    components = list(returned)
    for component in components:
        if not isinstance(component, Component):
            raise _Refused(f"{hook} returned an item of type {type(component).__name__}; expected Component")
        if component.api != API:
            raise _Refused(f"component {component.name!r} is written for API {component.api}; this is API {API}")
    return components


def _refuse_repeats(collected: list[tuple[str, Component]]) -> None:
    names = [f"{kind}/{component.name}" for kind, component in collected]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise _Refused(f"registers the same name twice: {', '.join(repeated)}")
