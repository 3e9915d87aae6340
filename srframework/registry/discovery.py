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
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from srframework.component import Component
from srframework.contracts import INSTALLED, PluginChoice
from srframework.faults import describe
from srframework.registry import core_components, distributions
from srframework.registry.hook_results import Refused, collect
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
        value: Value of the entry point: ``"srf_pruners"``; ``"srframework"`` for the core; the path of a file.
        state: ``"loaded"``, ``"failed"`` or ``"disabled"``.
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

    @property
    def origin(self) -> str:
        """For messages: distribution and version; for a file that is not installed, its name."""
        return os.path.basename(self.value) if os.path.isabs(self.value) else f"{self.dist} {self.version}"

    def has(self, kind: str, name: str) -> bool:
        """Whether a plugin that is not loaded probably has a component of this bare name: it registered the component
        before it failed, or its source files contain the name in quotes."""
        return (kind, name) in self.lost or any(_mentions(file, name) for file in _sources(self.value))


_MAX_SOURCES, _MAX_BYTES = 200, 1_000_000
"""Maximum number of files, and of bytes in each, that are searched for a name."""


def _sources(value: str) -> list[Path]:
    """Return the Python files of an entry point's top-level package or module, without importing it."""
    if os.path.isabs(value):
        return [Path(value)]
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


def discover(choice: PluginChoice = INSTALLED, reserved: Collection[str] = ()) -> list[Plugin]:
    """Load the chosen plugins; sort them by distribution and name.

    A distribution whose metadata cannot be read appears as a failed plugin with the name of the file.

    Args:
        choice: The plugins to load.
        reserved: Names of commands that plugins must not add.

    Never raises for a broken plugin: see :attr:`Plugin.failure`.
    """
    plugins = [_core(choice.disabled)]
    plugins += [
        _load(entry, choice.disabled, reserved) for entry in dict.fromkeys(distributions.entry_points_of(GROUP))
    ]
    plugins += [_load_file(path, choice.disabled, reserved) for path in dict.fromkeys(choice.files)]
    for (place, file), damage in sorted(distributions.DAMAGED.items()):
        if file in (distributions.ENTRY_POINTS, distributions.METADATA):
            dist, version = distributions.named_by_folder(place)
            plugins.append(Plugin(dist, version, file, place, "failed", f"{os.path.join(place, file)} {damage}"))
    return list(_without_duplicates(sorted(plugins, key=lambda each: (each.dist, each.version, each.name, each.value))))


def _core(disabled: Collection[str]) -> Plugin:
    """Return the core's own components as a plugin."""
    from srframework import __version__

    components = tuple(("launcher", each) for each in core_components.LAUNCHERS)
    is_disabled = not {"srframework", "core"}.isdisjoint(disabled)
    state = "disabled" if is_disabled else "loaded"
    return Plugin(
        "srframework", __version__, "core", "srframework", state, components=() if is_disabled else components
    )


def _load(entry: EntryPoint, disabled: Collection[str], reserved: Collection[str]) -> Plugin:
    dist, version = distributions.described(entry.dist) if entry.dist is not None else ("unknown", "0")
    plugin = Plugin(dist, version, entry.name, entry.value, "disabled")
    if dist in disabled or entry.name in disabled:
        return plugin

    def code(components: Iterable[Component]) -> PluginCode:
        return of_plugin(f"{dist} {version}", entry.value, components, entry.dist)

    return _loaded(plugin, lambda: _imported(entry), code, reserved)


def _load_file(path: str, disabled: Collection[str], reserved: Collection[str]) -> Plugin:
    name = Path(path).stem
    plugin = Plugin(name, "0", name, path, "disabled")
    if name in disabled:
        return plugin
    return _loaded(plugin, lambda: import_file(path), lambda components: of_plugin(path, name, components), reserved)


def _loaded(
    plugin: Plugin,
    load: Callable[[], Any],
    code: Callable[[Iterable[Component]], PluginCode],
    reserved: Collection[str],
) -> Plugin:
    """Return the plugin with its components, or with the reason why it failed."""
    components: list[tuple[str, Component]] = []
    commands: list[click.Command] = []
    try:
        with _isolated():
            collect(load(), components, commands, reserved)
            files = code([each for _, each in components])
        return replace(plugin, state="loaded", components=tuple(components), commands=tuple(commands), code=files)
    except KeyboardInterrupt:
        raise
    except SystemExit as error:
        failure = f"exits when it is imported (SystemExit: {error.code})"
    except Refused as error:
        failure = str(error)
    except BaseException as error:  # noqa: BLE001  (no exception of a plugin's module may crash the command)
        failure = describe(error)
    lost = frozenset((kind, component.name) for kind, component in components)
    return replace(plugin, state="failed", failure=" ".join(failure.split()), lost=lost)


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
        raise Refused(f"its entry point names {entry.value[:100]!r}; expected 'module' or 'module:attribute'")
    return entry.load()


def import_file(path: str) -> ModuleType:
    """Import a Python file as the module of its name, without its directory on the path."""
    name = Path(path).stem
    if not name.isidentifier() or Path(path).suffix != ".py":
        raise Refused(f"the file name {Path(path).name!r} is no name of a module; expected one such as my_plugin.py")
    found = sys.modules.get(name)
    spec = found.__spec__ if found is not None else importlib.util.find_spec(name)
    if spec is not None and (spec.origin is None or os.path.realpath(spec.origin) != os.path.realpath(path)):
        raise Refused(f"another module is named {name!r} ({spec.origin or 'built-in'}); rename the file")
    if found is not None:
        return found
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Refused("the file cannot be imported")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _without_duplicates(plugins: Iterable[Plugin]) -> Iterator[Plugin]:
    """If two plugins of one distribution have a component of the same name, refuse the second: no full name could
    distinguish them."""
    owners: dict[tuple[str, str, str], str] = {}
    for plugin in plugins:
        names = [(plugin.dist, kind, component.name) for kind, component in plugin.components]
        repeated = [
            f"{kind}/{name} of plugin {owners[dist, kind, name]!r}"
            for dist, kind, name in names
            if (dist, kind, name) in owners
        ]
        if repeated:
            failure = f"another plugin of {plugin.dist} has a component of the same name: {'; '.join(repeated)}"
            lost = frozenset((kind, name) for _, kind, name in names)
            yield replace(plugin, state="failed", failure=failure, components=(), commands=(), lost=lost)
        else:
            owners |= dict.fromkeys(names, plugin.name)
            yield plugin
