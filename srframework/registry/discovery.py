"""Discovery of plugins. A broken plugin affects nothing else.

pluggy's own loader stops at the first entry point that raises. Here each entry point is loaded
separately, with its own manager, and a failure becomes one line.
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
from srframework.component import API, KINDS, REFERRING, Component, may_refer
from srframework.faults import describe
from srframework.registry import core_components, distributions
from srframework.registry.plugin_code import PluginCode, of_plugin

if TYPE_CHECKING:
    import click

GROUP = "srframework"
"""The entry point group in which plugins register."""


@dataclass(frozen=True)
class Plugin:
    """One entry point, or the core itself, and the result of loading it.

    Attributes:
        dist: Name of the distribution that registers it.
        version: Version of that distribution.
        name: Name of the entry point.
        value: Value of the entry point: ``"srf_pruners"``; ``"srframework"`` for the core.
        state: ``"loaded"``, ``"failed"`` or ``"blocked"``.
        failure: The reason of the failure, in one line; empty otherwise.
        components: ``(kind, component)`` pairs; empty unless loaded.
        commands: Its commands for the command line; empty unless loaded.
        code: The files of its code when it was loaded; None unless loaded.
        lost: ``(kind, name)`` of the components that it registered before it failed.
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
        """Whether a plugin that is not loaded probably has a component of this bare name: it registered the component
        before it failed, or its source files contain the name in quotes."""
        return (kind, name) in self.lost or any(_mentions(file, name) for file in _sources(self.value))


_MAX_SOURCES, _MAX_BYTES = 200, 1_000_000
"""Maximum number of files, and of bytes in each, that are searched for a name."""


def _sources(value: str) -> list[Path]:
    """Return the Python files of an entry point's top-level package or module, without importing it."""
    top = value.partition(":")[0].strip().partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except Exception:  # noqa: BLE001  (another package's finder, or a partly imported module)
        return []
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec is not None else []
    alone = [Path(spec.origin)] if spec is not None and spec.origin and not places else []
    found = (file for place in places for file in sorted(place.rglob("*.py")))
    return [file for file in (*alone, *itertools.islice(found, _MAX_SOURCES)) if file.is_file()]


def _mentions(file: Path, name: str) -> bool:
    try:
        with file.open("rb") as opened:
            text = opened.read(_MAX_BYTES)
    except OSError:
        return False
    return any(f"{quote}{name}{quote}".encode(errors="replace") in text for quote in "\"'")


_HOOKS = {f"srframework_{title.replace(' ', '_')}s": kind for kind, title in KINDS.items()}
_COMMANDS = "srframework_register_commands"
_ALL_HOOKS = ", ".join([*_HOOKS, _COMMANDS])


class _Refused(Exception):
    """A plugin does not follow the specification of the hooks."""


def discover(blocked: Collection[str] = (), reserved: Collection[str] = ()) -> list[Plugin]:
    """Load every installed plugin that is not blocked; sort them by distribution and name.

    A distribution whose metadata cannot be read appears as a failed plugin with the name of the file.

    Args:
        blocked: Names of distributions or entry points that must not be loaded.
        reserved: Names of commands that plugins must not add.

    Never raises for a broken plugin: see :attr:`Plugin.failure`.
    """
    plugins = [_core(blocked)]
    plugins += [_load(entry, blocked, reserved) for entry in dict.fromkeys(distributions.entry_points_of(GROUP))]
    for (place, file), damage in sorted(distributions.DAMAGED.items()):
        if file in (distributions.ENTRY_POINTS, distributions.METADATA):
            dist, version = distributions.named_by_folder(place)
            plugins.append(Plugin(dist, version, file, place, "failed", f"{os.path.join(place, file)} {damage}"))
    return list(_without_duplicates(sorted(plugins, key=lambda each: (each.dist, each.version, each.name, each.value))))


def _core(blocked: Collection[str]) -> Plugin:
    """Return the core's own components as a plugin."""
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
        with _isolated():
            _collect(_imported(entry), components, commands, reserved)
            code = of_plugin(f"{dist} {version}", entry.value, [each for _, each in components], entry.dist)
    except KeyboardInterrupt:
        raise
    except SystemExit as error:
        state, failure = "failed", f"exits when it is imported (SystemExit: {error.code})"
    except _Refused as error:
        state, failure = "failed", str(error)
    except BaseException as error:  # noqa: BLE001  (no exception of a plugin's module may crash the command)
        state, failure = "failed", describe(error)
    if state == "failed":
        lost = frozenset((kind, component.name) for kind, component in components)
        return Plugin(dist, version, entry.name, entry.value, state, " ".join(failure.split()), lost=lost)
    return Plugin(dist, version, entry.name, entry.value, state, failure, tuple(components), tuple(commands), code)


@contextlib.contextmanager
def _isolated() -> Iterator[None]:
    """Undo changes that the import of a plugin makes to the process: warning filters, working directory. Send its
    output to stderr."""
    before = os.getcwd()
    # Output of a plugin's import must not mix with the JSON on stdout.
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


def _without_duplicates(plugins: Iterable[Plugin]) -> Iterator[Plugin]:
    """If two plugins of one distribution have a component of the same name, refuse the second: no full name could
    distinguish them."""
    owners: dict[tuple[str, str, str], str] = {}
    for plugin in plugins:
        names = [(plugin.dist, kind, component.name) for kind, component in plugin.components]
        repeated = [
            f"{kind}/{name}, which {owners[dist, kind, name]!r} has"
            for dist, kind, name in names
            if (dist, kind, name) in owners
        ]
        if repeated:
            failure = f"registers a name of another plugin of {plugin.dist}: {'; '.join(repeated)}"
            lost = frozenset((kind, name) for _, kind, name in names)
            yield replace(plugin, state="failed", failure=failure, components=(), commands=(), lost=lost)
        else:
            owners |= dict.fromkeys(names, plugin.name)
            yield plugin


def _collect(
    module: ModuleType,
    components: list[tuple[str, Component]],
    commands: list[click.Command],
    reserved: Collection[str],
) -> None:
    """Append the components and commands of a module to the lists. After an error, the lists keep earlier ones."""
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
        if hook in implemented and not results:  # pluggy drops None
            raise _Refused(f"{hook} returned None; expected an iterable of Component")
        for returned in results:
            for component in _checked(hook, returned):
                components.append((kind, component))  # noqa: PERF401 -- extend would lose components before an error
    _refuse_other_api(components)
    _refuse_repeats(components)
    if _COMMANDS in implemented:
        commands += _commands(manager, reserved)


def _commands(manager: pluggy.PluginManager, reserved: Collection[str]) -> Iterator[click.Command]:
    """Yield the commands that a plugin adds. It gets an empty group, so it cannot change other commands."""
    import click

    group = click.Group()
    getattr(manager.hook, _COMMANDS)(cli=group)
    for name, command in group.commands.items():
        if not isinstance(command, click.Command):
            raise _Refused(f"registers as the command {name!r} a value of type {type(command).__name__}")
        if name in reserved:
            raise _Refused(f"registers the command {name!r}, which is a built-in command; expected another name")
        command.name = name
        yield command


_MAX_COMPONENTS = 10_000
"""Maximum number of components of one hook; guards against an endless iterator."""


def _checked(hook: str, returned: Iterable[Component]) -> Iterator[Component]:
    if isinstance(returned, Component) or not isinstance(returned, Iterable):
        raise _Refused(f"{hook} returned {type(returned).__name__}; expected an iterable of Component")
    for number, component in enumerate(returned):
        if number >= _MAX_COMPONENTS:
            raise _Refused(f"{hook} returned more than {_MAX_COMPONENTS:,} components")
        if not isinstance(component, Component):
            raise _Refused(f"{hook} returned an item of type {type(component).__name__}; expected Component")
        yield component


def _refuse_other_api(collected: list[tuple[str, Component]]) -> None:
    for _, component in collected:
        if component.api != API:
            raise _Refused(f"component {component.name!r} is written for API {component.api}; this is API {API}")


def _refuse_references(collected: list[tuple[str, Component]]) -> None:
    for kind, component in collected:
        if kind not in REFERRING and may_refer(component.options):
            raise _Refused(
                f"component {component.name!r}: an option is a StageReference; only a debiaser, a pruner or an "
                f"evaluator may refer to a stage, not a {KINDS[kind]}"
            )


def _refuse_repeats(collected: list[tuple[str, Component]]) -> None:
    names = [f"{kind}/{component.name}" for kind, component in collected]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise _Refused(f"registers the same name twice: {', '.join(repeated)}")
