"""Finding plugins, and keeping the broken ones from breaking anything else.

pluggy's own loader stops at the first entry point that raises; here each is loaded by
itself, in a manager of its own, and what goes wrong becomes one line.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from srframework import hookspecs
from srframework.component import API, KINDS, Component
from srframework.faults import describe
from srframework.registry import core_components, distributions
from srframework.registry.plugin_code import PluginCode, of_plugin

if TYPE_CHECKING:
    import click

GROUP = "srframework"
"""The entry point group in which plugins register."""


@dataclass(frozen=True)
class Plugin:
    """One entry point, or the core itself, and what became of it.

    Attributes:
        dist: Name of the distribution that registers it.
        version: Version of that distribution.
        name: Name of the entry point.
        value: What the entry point names: ``"srf_pruners"``; of the core, ``"srframework"``.
        state: ``"loaded"``, ``"failed"`` or ``"blocked"``.
        failure: Why it failed, in one line; empty otherwise.
        components: ``(kind, component)`` pairs; empty unless loaded.
        commands: Those that it adds to the command line; empty unless loaded.
        code: The files of its code, as they were when it was loaded; None unless loaded.
        lost: ``(kind, name)`` of the components that it had registered before it failed.
    """

    dist: str
    version: str
    name: str
    value: str
    state: str
    failure: str = ""
    components: tuple[tuple[str, Component], ...] = ()
    commands: tuple[click.Command, ...] = ()
    code: PluginCode | None = field(default=None, compare=False, repr=False)
    lost: frozenset[tuple[str, str]] = frozenset()

    def has(self, kind: str, name: str) -> bool:
        """Whether a plugin that is not loaded would have a component of this bare name: it had registered it before it
        failed, or its source files have the name between quotes."""
        return (kind, name) in self.lost or any(_mentions(file, name) for file in _sources(self.value))


_MOST_SOURCES, _MOST_BYTES = 200, 1_000_000
"""Files, and bytes of each, that are searched for a name."""


def _sources(value: str) -> list[Path]:
    """The Python files of what an entry point names, which is not imported."""
    top = value.partition(":")[0].strip().partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except Exception:  # noqa: BLE001  (a stranger's finder, or a module that is half imported)
        return []
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec is not None else []
    alone = [Path(spec.origin)] if spec is not None and spec.origin and not places else []
    found = (file for place in places for file in sorted(place.rglob("*.py")))
    return [file for file in (*alone, *itertools.islice(found, _MOST_SOURCES)) if file.is_file()]


def _mentions(file: Path, name: str) -> bool:
    try:
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES)
    except OSError:
        return False
    return any(f"{quote}{name}{quote}".encode(errors="replace") in text for quote in "\"'")


_HOOKS = {f"srframework_{title.replace(' ', '_')}s": kind for kind, title in KINDS.items()}
_COMMANDS = "srframework_register_commands"
_ALL_HOOKS = ", ".join([*_HOOKS, _COMMANDS])


class _Refused(Exception):
    """What a plugin registers is not what the hooks ask for."""


def discover(blocked: Collection[str] = (), reserved: Collection[str] = ()) -> list[Plugin]:
    """Load every installed plugin that is not blocked; in order of distribution and name.

    A distribution whose metadata cannot be read is one that failed, under the name of the file.

    Args:
        blocked: Distributions or entry points not to load, by name.
        reserved: Names of the commands that no plugin may have.

    Never raises for a plugin's fault: see :attr:`Plugin.failure`.
    """
    plugins = [_core(blocked)]
    plugins += [_load(entry, blocked, reserved) for entry in dict.fromkeys(distributions.entry_points_of(GROUP))]
    for (place, file), what in sorted(distributions.DAMAGED.items()):
        if file in (distributions.ENTRY_POINTS, distributions.METADATA):
            dist, version = distributions.named_by_folder(place)
            plugins.append(Plugin(dist, version, file, place, "failed", f"{os.path.join(place, file)} {what}"))
    return list(_own_names(sorted(plugins, key=lambda each: (each.dist, each.version, each.name, each.value))))


def _core(blocked: Collection[str]) -> Plugin:
    """The components that come without an entry point."""
    from srframework import __version__

    components = tuple(("launcher", each) for each in core_components.LAUNCHERS)
    is_blocked = not {"srframework", "core"}.isdisjoint(blocked)
    state = "blocked" if is_blocked else "loaded"
    return Plugin("srframework", __version__, "core", "srframework", state, components=() if is_blocked else components)


def _load(entry: EntryPoint, blocked: Collection[str], reserved: Collection[str]) -> Plugin:
    dist, version = distributions.described(entry.dist) if entry.dist is not None else ("unknown", "0")
    state, failure = "loaded", ""
    components: list[tuple[str, Component]] = []
    commands: list[click.Command] = []
    code: PluginCode | None = None
    if dist in blocked or entry.name in blocked:
        return Plugin(dist, version, entry.name, entry.value, "blocked")
    try:
        with _contained():
            _collect(_imported(entry), components, commands, reserved)
            code = of_plugin(f"{dist} {version}", entry.value, [each for _, each in components], entry.dist)
    except KeyboardInterrupt:
        raise
    except SystemExit as error:
        state, failure = "failed", f"exits when it is imported (SystemExit: {error.code})"
    except _Refused as error:
        state, failure = "failed", str(error)
    except BaseException as error:  # noqa: BLE001  (whatever a stranger's module raises is a line, not a crash)
        state, failure = "failed", describe(error)
    if state == "failed":
        lost = frozenset((kind, component.name) for kind, component in components)
        return Plugin(dist, version, entry.name, entry.value, state, " ".join(failure.split()), lost=lost)
    return Plugin(dist, version, entry.name, entry.value, state, failure, tuple(components), tuple(commands), code)


@contextlib.contextmanager
def _contained() -> Iterator[None]:
    """Undo what the import of a plugin would change for all others: stdout, the filters of warnings, the directory."""
    before = os.getcwd()
    # A plugin that prints while it is imported must not spoil the JSON on stdout.
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            if os.getcwd() != before:
                os.chdir(before)


def _imported(entry: EntryPoint) -> Any:
    if EntryPoint.pattern.match(entry.value) is None:
        raise _Refused(f"its entry point names {entry.value[:100]!r}; expected 'module' or 'module:attribute'")
    return entry.load()


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
            lost = frozenset((kind, name) for _, kind, name in names)
            yield replace(plugin, state="failed", failure=failure, components=(), commands=(), lost=lost)
        else:
            taken |= dict.fromkeys(names, plugin.name)
            yield plugin


def _collect(
    module: ModuleType,
    components: list[tuple[str, Component]],
    commands: list[click.Command],
    reserved: Collection[str],
) -> None:
    """Add the components and commands of a module to lists, which have those before the fault where there is one."""
    manager = pluggy.PluginManager("srframework")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _Refused(f"{describe(error)}; the hooks are {_ALL_HOOKS}") from error
    callers = manager.get_hookcallers(module)
    if not callers:
        raise _Refused(f"implements no hook; the hooks are {_ALL_HOOKS}, marked with srframework.hookimpl")
    implemented = {caller.name for caller in callers}
    for hook, kind in _HOOKS.items():
        results = getattr(manager.hook, hook)()
        if hook in implemented and not results:  # pluggy leaves out None
            raise _Refused(f"{hook} returned None; expected an iterable of Component")
        for returned in results:
            for component in _checked(hook, returned):
                components.append((kind, component))  # noqa: PERF401 -- extend would lose those before a fault
    _refuse_other_api(components)
    _refuse_repeats(components)
    if _COMMANDS in implemented:
        commands += _commands(manager, reserved)


def _commands(manager: pluggy.PluginManager, reserved: Collection[str]) -> Iterator[click.Command]:
    """What a plugin adds to a group of its own, where it can change no other command."""
    import click

    group = click.Group()
    getattr(manager.hook, _COMMANDS)(cli=group)
    for name, command in group.commands.items():
        if not isinstance(command, click.Command):
            raise _Refused(f"registers as the command {name!r} a value of type {type(command).__name__}")
        if name in reserved:
            raise _Refused(f"registers the command {name!r}, which srframework has itself; expected another name")
        command.name = name
        yield command


_MOST_COMPONENTS = 10_000
"""Of one hook; more come from an iterator without end."""


def _checked(hook: str, returned: Iterable[Component]) -> Iterator[Component]:
    if isinstance(returned, Component) or not isinstance(returned, Iterable):
        raise _Refused(f"{hook} returned {type(returned).__name__}; expected an iterable of Component")
    for number, component in enumerate(returned):
        if number >= _MOST_COMPONENTS:
            raise _Refused(f"{hook} returned more than {_MOST_COMPONENTS:,} components")
        if not isinstance(component, Component):
            raise _Refused(f"{hook} returned an item of type {type(component).__name__}; expected Component")
        yield component


def _refuse_other_api(collected: list[tuple[str, Component]]) -> None:
    for _, component in collected:
        if component.api != API:
            raise _Refused(f"component {component.name!r} is written for API {component.api}; this is API {API}")


def _refuse_repeats(collected: list[tuple[str, Component]]) -> None:
    names = [f"{kind}/{component.name}" for kind, component in collected]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise _Refused(f"registers the same name twice: {', '.join(repeated)}")
