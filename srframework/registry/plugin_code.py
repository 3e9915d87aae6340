"""The content of the files that a plugin's code consists of: code that changes without a new version is other code.

What counts: every file of the packages and modules that a plugin's distribution installs, or, of an editable
installation, of those in which its entry point, its factories and its options are; and of the packages and modules
that these import, as far as those belong to plugins themselves or are not installed at all (a helper beside a script).
A file counts with its path inside its package and its bytes; ``__pycache__``, hidden files, and what is no code in a
folder of tests do not count. The core, ``srframework``, is known by :data:`srframework.run.identity.FORMAT`, and an
installed library by its version.

The files are looked at (size, time) when the plugin is loaded, and read when somebody asks: a file that was changed
between the two is refused, so that the hash is that of the code in memory.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import SOURCE_SUFFIXES
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from srframework.errors import PluginError
from srframework.registry.plugin_files import (
    CORE,
    NOT_HASHED,
    TESTS,
    file_of,
    files_of,
    imports_of,
    is_code,
    is_followed,
    package_of,
    plugin_packages,
)

Look = tuple[int, int, int, int]
"""Size, times and inode of a file; zeros where there is none."""


@dataclass
class PluginCode:
    """The files behind one plugin.

    Args:
        owner: Distribution and version, for messages.
        modules: Names of the modules that the plugin names itself: its entry point's, its factories', its options'.
        objects: Factories that are no strings, and classes of options.
        dist: The distribution, which may install more; None where there is none.
    """

    owner: str
    modules: tuple[str, ...]
    objects: tuple[Any, ...] = ()
    dist: Distribution | None = None
    _files: dict[str, Path] = field(default_factory=dict, init=False)
    _looks: dict[str, Look] = field(default_factory=dict, init=False)
    _hashes: dict[str, str] = field(default_factory=dict, init=False)
    _loaded: set[str] = field(default_factory=set, init=False)
    _digest: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        plugin_packages.update(name.partition(".")[0] for name in self.modules)
        self._files = dict(files_of(self._named()))
        self._looks = {name: _look(path) for name, path in self._files.items()}

    def digest(self) -> str:
        """SHA-256 over the paths and the bytes of all files, in hexadecimal; read once in a process.

        Raises:
            PluginError: A file was changed after the plugin was loaded, or cannot be read.
        """
        if self._digest is None:
            for name, path in self._all_files().items():
                look = _look(path)
                if self._looks.setdefault(name, look) != look:
                    raise self._changed(path)
                self._files[name] = path
                self._hashes[name] = self._sha(path)
            sha = hashlib.sha256()
            for name, each in sorted(self._hashes.items()):
                sha.update(f"{name}\0{each}\n".encode("utf-8", "surrogateescape"))
            sha.update("".join(sorted(self._without_files())).encode("utf-8", "surrogatepass"))
            self._digest = sha.hexdigest()
            self.check()
        return self._digest

    def check(self) -> None:
        """See that no code was loaded, and no data read, from a file that is not what :meth:`digest` saw.

        A module that was imported before its file was changed is what it was.

        Raises:
            PluginError: There is one; names it.
        """
        if self._digest is None:
            return
        imported = {file_of(module) for module in list(sys.modules.values())}
        for name, path in self._files.items():
            if _look(path) == self._looks[name] or self._is_same(name, path):
                if str(path) in imported:
                    self._loaded.add(name)
            elif name not in self._loaded and (str(path) in imported or not is_code(path.name)):
                raise self._changed(path)

    def _is_same(self, name: str, path: Path) -> bool:
        look = _look(path)
        if any(look) and self._sha(path) == self._hashes[name]:
            self._looks[name] = look
            return True
        return False

    def _changed(self, path: Path) -> PluginError:
        return PluginError(f"{self.owner}: {path} was changed after the plugin was loaded; run the command again")

    def _sha(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise PluginError(f"{self.owner}: {path} cannot be read: {error.strerror}") from error

    def _named(self) -> list[str]:
        of_objects = [name for each in self.objects for name in _modules_of(each)]
        return list(dict.fromkeys([*self.modules, *of_objects]))

    def _all_files(self) -> dict[str, Path]:
        """Those of the plugin's own modules, of its distribution's, and of what these import."""
        found: dict[str, Path] = {}
        waiting = [*self._named(), *self._distributed()]
        seen: set[str] = set()
        while waiting:
            packages = {name for name in map(package_of, waiting) if name is not None} - seen
            seen |= packages
            new = dict(files_of(sorted(packages)))
            found |= new
            sources = [path for path in new.values() if path.suffix in SOURCE_SUFFIXES]
            waiting = [name for path in sources for name in imports_of(path) if is_followed(name)]
        return found

    def _distributed(self) -> Iterator[str]:
        """The modules that the distribution installs; of the core's own distribution none but those of the plugin."""
        if self.dist is None or str(self.dist.name or "").lower() == CORE:
            return
        try:
            listed = [Path(str(each)) for each in self.dist.files or ()]
            named = (self.dist.read_text("top_level.txt") or "").split()
        except (OSError, ValueError):  # a damaged record: what the plugin itself names is there
            return
        for path in listed:
            inside = path.parts[0] not in ("..", *TESTS) and "editable" not in path.parts[0]
            if inside and is_code(path.name) and not path.is_absolute():
                stem = path.name.partition(".")[0]
                yield ".".join([*path.parts[:-1], *([] if stem == "__init__" else [stem])])
        yield from (name for name in named if name not in TESTS)

    def _without_files(self) -> Iterator[str]:
        """What stands for code that is in no file: its text where Python knows it, else something that no other
        process has, so that nothing is taken for equal that may not be."""
        for name in self.modules:
            if package_of(name) is None and name.partition(".")[0] not in NOT_HASHED:
                yield f"{name}:{_this_process()}"
        for each in self.objects:
            own = {name for name in _modules_of(each) if name.partition(".")[0] not in NOT_HASHED}
            if any(package_of(name) is None for name in own):
                yield _text_of(each)


def of_plugin(owner: str, value: str, components: Iterable[Any], dist: Distribution | None = None) -> PluginCode:
    """The code of a plugin.

    Args:
        owner: Distribution and version.
        value: What the entry point names, ``"package.module:attribute"``.
        components: What it registers.
        dist: The distribution; None where there is none.
    """
    modules, objects = [value.partition(":")[0].strip()], []
    for component in components:
        if isinstance(component.factory, str):
            modules.append(component.factory.partition(":")[0])
        else:
            objects.append(component.factory)
        objects.append(component.options)
    return PluginCode(owner, tuple(dict.fromkeys(modules)), tuple(objects), dist)


def _modules_of(made: Any) -> Iterator[str]:
    """The modules of a factory or a class: those of its bases, of what a partial calls and of what a wrapper wraps."""
    for each in _unwrapped(made):
        classes = each.__mro__ if isinstance(each, type) else (each,)
        yield from (name for one in classes if isinstance(name := getattr(one, "__module__", None), str))


def _unwrapped(made: Any) -> Iterator[Any]:
    seen: list[Any] = []
    waiting = [made]
    while waiting:
        each = waiting.pop()
        if any(each is other for other in seen):
            continue
        seen.append(each)
        if isinstance(each, functools.partial):
            waiting += [each.func, *each.args, *each.keywords.values()]
        elif inspect.ismethod(each):
            waiting += [each.__func__, each.__self__ if isinstance(each.__self__, type) else type(each.__self__)]
        elif isinstance(each, type) or inspect.isroutine(each):
            waiting += [each.__wrapped__] if hasattr(each, "__wrapped__") else []
            yield each
        elif callable(each):
            waiting.append(type(each))


def _text_of(made: Any) -> str:
    texts = []
    for each in _unwrapped(made):
        if (getattr(each, "__module__", None) or "").partition(".")[0] in NOT_HASHED:
            continue
        try:
            texts.append(inspect.getsource(each))
        except (OSError, TypeError):
            texts.append(_this_process())
    return "\n".join(texts)


@functools.cache
def _this_process() -> str:
    return uuid.uuid4().hex


def _look(path: Path) -> Look:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0, 0, 0)
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
