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

import ast
import functools
import hashlib
import importlib.util
import inspect
import os
import sys
import sysconfig
import uuid
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ModuleSpec
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from srframework.errors import PluginError

CORE = "srframework"
_NOT_HASHED = frozenset({CORE, "pydantic", "pydantic_core", *sys.stdlib_module_names})
_CODE = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES, ".pyx")
_TESTS = ("test", "tests")

Look = tuple[int, int, int, int]
"""Size, times and inode of a file; zeros where there is none."""

_plugin_packages: set[str] = set()
"""Top-level packages of plugins that this process has loaded: those are followed wherever they are imported."""


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
        _plugin_packages.update(name.partition(".")[0] for name in self.modules)
        self._files = dict(_files_of(self._named()))
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
        imported = {_file_of(module) for module in list(sys.modules.values())}
        for name, path in self._files.items():
            if _look(path) == self._looks[name] or self._is_same(name, path):
                if str(path) in imported:
                    self._loaded.add(name)
            elif name not in self._loaded and (str(path) in imported or not _is_code(path.name)):
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
            packages = {name for name in map(_package_of, waiting) if name is not None} - seen
            seen |= packages
            new = dict(_files_of(sorted(packages)))
            found |= new
            sources = [path for path in new.values() if path.suffix in SOURCE_SUFFIXES]
            waiting = [name for path in sources for name in _imports(path) if _is_followed(name)]
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
            inside = path.parts[0] not in ("..", *_TESTS) and "editable" not in path.parts[0]
            if inside and _is_code(path.name) and not path.is_absolute():
                stem = path.name.partition(".")[0]
                yield ".".join([*path.parts[:-1], *([] if stem == "__init__" else [stem])])
        yield from (name for name in named if name not in _TESTS)

    def _without_files(self) -> Iterator[str]:
        """What stands for code that is in no file: its text where Python knows it, else something that no other
        process has, so that nothing is taken for equal that may not be."""
        for name in self.modules:
            if _package_of(name) is None and name.partition(".")[0] not in _NOT_HASHED:
                yield f"{name}:{_this_process()}"
        for each in self.objects:
            own = {name for name in _modules_of(each) if name.partition(".")[0] not in _NOT_HASHED}
            if any(_package_of(name) is None for name in own):
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


# -- modules -> files ------------------------------------------------------------------------------


def _files_of(modules: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """The files of the packages in which modules are, each by a name that does not depend on where it is installed."""
    packages = {name for name in map(_package_of, modules) if name is not None}
    for package in sorted(packages):
        spec = _spec(package)
        if spec is None:
            continue
        archive = getattr(spec.loader, "archive", None)
        if archive is not None:  # a zip file or an egg
            yield f"{package}:archive", Path(archive)
        elif spec.submodule_search_locations is not None:
            for place in spec.submodule_search_locations:
                for path in _walk(Path(place)):
                    yield f"{package}:{path.relative_to(place).as_posix()}", path
        elif spec.origin is not None and os.path.isfile(spec.origin):
            yield f"{package}:{Path(spec.origin).name}", Path(spec.origin)


def _walk(root: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # links in a circle
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(each for each in folders if each != "__pycache__" and not each.startswith("."))
        of_tests = any(part in _TESTS for part in Path(folder).relative_to(root).parts)
        for name in sorted(names):
            path = Path(folder, name)
            hidden = name.startswith(".") or name.endswith("~")
            compiled = name.endswith(tuple(BYTECODE_SUFFIXES)) and path.with_suffix(".py").name in names
            if not hidden and not compiled and (_is_code(name) or not of_tests) and path.is_file():
                yield path


def _is_code(name: str) -> bool:
    return name.endswith((*_CODE, *BYTECODE_SUFFIXES))


def _package_of(module: str) -> str | None:
    """The outermost package, or the module, in which a module is; namespace packages, which many share, apart.

    None where it is none of a plugin's, or cannot be found.
    """
    parts = module.split(".")
    if parts[0] in _NOT_HASHED:
        return None
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        spec = _spec(name)
        if spec is None:
            return None
        if spec.origin is not None or spec.submodule_search_locations is None:
            return name if _has_files(spec) else None
    return module


def _has_files(spec: ModuleSpec) -> bool:
    return getattr(spec.loader, "archive", None) is not None or (
        spec.origin is not None and os.path.isfile(spec.origin)
    )


def _spec(name: str) -> ModuleSpec | None:
    """Where a module is; only the packages around it are imported for it."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if spec is not None:
        return spec if isinstance(spec, ModuleSpec) else None
    if module is not None:  # __main__, or made by hand
        file = _file_of(module)
        return importlib.util.spec_from_file_location(name, file) if file else None
    try:
        return importlib.util.find_spec(name)
    except Exception:  # noqa: BLE001 -- a stranger's finder, or a stranger's package around it
        return None


def _file_of(module: Any) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else None


def _imports(path: Path) -> Iterator[str]:
    """The modules that a file imports by their absolute names, also inside functions, and by a name as a text.

    A name that is only known when the code runs is not seen.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a stranger's text, such as an invalid escape
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return  # Python cannot import it either
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in ("import_module", "__import__") and isinstance(name := node.args[0].value, str):
                yield name


@functools.cache
def _library_places() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(os.path.realpath(paths[name]) + os.sep for name in ("purelib", "platlib", "stdlib", "platstdlib"))


def _is_followed(module: str) -> bool:
    """Whether the content of what is imported counts: of another plugin, or of code that is in no library."""
    top = module.partition(".")[0]
    if top in _NOT_HASHED:
        return False
    if top in _plugin_packages:
        return True
    package = _package_of(module)
    spec = _spec(package) if package is not None else None
    where = spec.origin if spec is not None else None
    if spec is not None and where is None:
        where = next(iter(spec.submodule_search_locations or ()), None)
    libraries = (*_library_places(), f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
    return where is not None and not any(place in os.path.realpath(where) for place in libraries)


# -- objects ---------------------------------------------------------------------------------------


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
        if (getattr(each, "__module__", None) or "").partition(".")[0] in _NOT_HASHED:
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
