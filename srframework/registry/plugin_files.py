"""The files of modules, and the modules that these files import."""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ModuleSpec
from pathlib import Path
from typing import Any

CORE = "srframework"
NOT_HASHED = frozenset({CORE, "pydantic", "pydantic_core", *sys.stdlib_module_names})
_CODE = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES, ".pyx")
TESTS = ("test", "tests")


plugin_packages: set[str] = set()
"""Top-level packages of the plugins that this process has loaded; imports of them are always followed."""


def files_of(modules: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yield the files of the packages of modules, each with a name that does not depend on the installation."""
    packages = {name for name in map(package_of, modules) if name is not None}
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
        if real in seen:  # a cycle of links
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(each for each in folders if each != "__pycache__" and not each.startswith("."))
        of_tests = any(part in TESTS for part in Path(folder).relative_to(root).parts)
        for name in sorted(names):
            path = Path(folder, name)
            hidden = name.startswith(".") or name.endswith("~")
            compiled = name.endswith(tuple(BYTECODE_SUFFIXES)) and path.with_suffix(".py").name in names
            if not hidden and not compiled and (is_code(name) or not of_tests) and path.is_file():
                yield path


def is_code(name: str) -> bool:
    """Whether a file of this name is code, compiled or not."""
    return name.endswith((*_CODE, *BYTECODE_SUFFIXES))


def package_of(module: str) -> str | None:
    """Return the outermost package of a module, or the module itself; skip namespace packages, which are shared.

    None if it cannot be found or never counts as a plugin's.
    """
    parts = module.split(".")
    if parts[0] in NOT_HASHED:
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
    """Find the spec of a module; this imports only its parent packages."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if spec is not None:
        return spec if isinstance(spec, ModuleSpec) else None
    if module is not None:  # __main__, or created by code
        file = file_of(module)
        return importlib.util.spec_from_file_location(name, file) if file else None
    try:
        return importlib.util.find_spec(name)
    except Exception:  # noqa: BLE001 -- another package's finder or parent package may raise anything
        return None


def file_of(module: Any) -> str | None:
    """Return the ``__file__`` of a loaded module."""
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else None


def imports_of(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports by absolute names, also inside functions and by literal strings.

    Names that are computed at run time are not found.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the plugin's source, such as an invalid escape
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


def is_followed(module: str) -> bool:
    """Whether the files of an imported module count: it belongs to a plugin, or is not in an installed library."""
    top = module.partition(".")[0]
    if top in NOT_HASHED:
        return False
    if top in plugin_packages:
        return True
    package = package_of(module)
    spec = _spec(package) if package is not None else None
    where = spec.origin if spec is not None else None
    if spec is not None and where is None:
        where = next(iter(spec.submodule_search_locations or ()), None)
    libraries = (*_library_places(), f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
    return where is not None and not any(place in os.path.realpath(where) for place in libraries)
