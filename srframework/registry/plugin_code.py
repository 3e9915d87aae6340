"""The hash of a plugin's code. It changes with the code, also if the version stays the same.

The hash covers every file of the packages and modules that a plugin's distribution installs. For an editable
installation, these are the packages and modules of its entry point, its factories and its options. It also covers
the packages and modules that these import, if they belong to plugins or are not installed (a helper beside a script).
A file counts with its path inside its package and its bytes; ``__pycache__``, hidden files, and files in a folder of
tests that are not code do not count. :data:`srframework.run.identity.FORMAT` stands for the code of the core, and its
version for an installed library.

Loading a plugin records the size and the times of the files; the first use of the hash reads them. A file that changed
in between is refused, so the hash always matches the code in memory.
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

FileStat = tuple[int, int, int, int]
"""Size, times and inode of a file; zeros if it does not exist."""


@dataclass
class PluginCode:
    """The code files of one plugin.

    Args:
        owner: Distribution and version, for messages.
        modules: Names of the modules of its entry point and of its factories.
        objects: Factories that are not strings, and classes of options.
        dist: The distribution, which may install more files; None if there is none.
    """

    owner: str
    modules: tuple[str, ...]
    objects: tuple[Any, ...] = ()
    dist: Distribution | None = None
    _files: dict[str, Path] = field(default_factory=dict, init=False)
    _stats: dict[str, FileStat] = field(default_factory=dict, init=False)
    _hashes: dict[str, str] = field(default_factory=dict, init=False)
    _loaded: set[str] = field(default_factory=set, init=False)
    _digest: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        plugin_packages.update(name.partition(".")[0] for name in self.modules)
        self._files = dict(files_of(self._named_modules()))
        self._stats = {name: _stat_of(path) for name, path in self._files.items()}

    def digest(self) -> str:
        """Return the SHA-256 of the paths and the bytes of all files, in hexadecimal; read once per process.

        Raises:
            PluginError: A file was changed after the plugin was loaded, or cannot be read.
        """
        if self._digest is None:
            for name, path in self._all_files().items():
                current = _stat_of(path)
                if self._stats.setdefault(name, current) != current:
                    raise self._changed(path)
                self._files[name] = path
                self._hashes[name] = self._sha(path)
            sha = hashlib.sha256()
            for name, each in sorted(self._hashes.items()):
                sha.update(f"{name}\0{each}\n".encode("utf-8", "surrogateescape"))
            sha.update("".join(sorted(self._code_without_files())).encode("utf-8", "surrogatepass"))
            self._digest = sha.hexdigest()
            self.check()
        return self._digest

    def check(self) -> None:
        """Check that every loaded module and every data file still is the file that :meth:`digest` read.

        A change after a module was imported has no effect on the module, so it is not an error.

        Raises:
            PluginError: A file differs; names it.
        """
        if self._digest is None:
            return
        imported = {file_of(module) for module in list(sys.modules.values())}
        for name, path in self._files.items():
            if _stat_of(path) == self._stats[name] or self._is_same(name, path):
                if str(path) in imported:
                    self._loaded.add(name)
            elif name not in self._loaded and (str(path) in imported or not is_code(path.name)):
                raise self._changed(path)

    def _is_same(self, name: str, path: Path) -> bool:
        current = _stat_of(path)
        if any(current) and self._sha(path) == self._hashes[name]:
            self._stats[name] = current
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

    def _named_modules(self) -> list[str]:
        of_objects = [name for each in self.objects for name in _modules_of(each)]
        return list(dict.fromkeys([*self.modules, *of_objects]))

    def _all_files(self) -> dict[str, Path]:
        """Return the files of the plugin's modules, of its distribution's modules, and of the modules they import."""
        found: dict[str, Path] = {}
        waiting = [*self._named_modules(), *self._distributed_modules()]
        seen: set[str] = set()
        while waiting:
            packages = {name for name in map(package_of, waiting) if name is not None} - seen
            seen |= packages
            new = dict(files_of(sorted(packages)))
            found |= new
            sources = [path for path in new.values() if path.suffix in SOURCE_SUFFIXES]
            waiting = [name for path in sources for name in imports_of(path) if is_followed(name)]
        return found

    def _distributed_modules(self) -> Iterator[str]:
        """Yield the modules that the distribution installs; none for the core's distribution: it has many plugins."""
        if self.dist is None or str(self.dist.name or "").lower() == CORE:
            return
        try:
            listed = [Path(str(each)) for each in self.dist.files or ()]
            named = (self.dist.read_text("top_level.txt") or "").split()
        except (OSError, ValueError):  # a damaged record: only the plugin's named modules count
            return
        for path in listed:
            inside = path.parts[0] not in ("..", *TESTS) and "editable" not in path.parts[0]
            if inside and is_code(path.name) and not path.is_absolute():
                stem = path.name.partition(".")[0]
                yield ".".join([*path.parts[:-1], *([] if stem == "__init__" else [stem])])
        yield from (name for name in named if name not in TESTS)

    def _code_without_files(self) -> Iterator[str]:
        """Yield a text for code that is not in a file: its source if Python knows it, otherwise a text that only this
        process has, so that different code never counts as equal."""
        for name in self.modules:
            if package_of(name) is None and name.partition(".")[0] not in NOT_HASHED:
                yield f"{name}:{_this_process()}"
        for each in self.objects:
            own = {name for name in _modules_of(each) if name.partition(".")[0] not in NOT_HASHED}
            if any(package_of(name) is None for name in own):
                yield _source_of(each)


def of_plugin(owner: str, value: str, components: Iterable[Any], dist: Distribution | None = None) -> PluginCode:
    """Return the code of a plugin.

    Args:
        owner: Distribution and version.
        value: Value of the entry point, ``"package.module:attribute"``.
        components: The components that it registers.
        dist: The distribution; None if there is none.
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
    """Yield the modules of a factory or a class, of its bases, and of the functions behind partials and wrappers."""
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


def _source_of(made: Any) -> str:
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


def _stat_of(path: Path) -> FileStat:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0, 0, 0)
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
