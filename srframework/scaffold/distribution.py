"""Writes the distribution of a new plugin: one working component of a kind, its test, an example recipe."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from pathlib import Path
from string import Template

from srframework.component import KINDS, is_component_name
from srframework.errors import UsageError
from srframework.files import atomic_directory
from srframework.text import shorten

_COMMON = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "LICENSE": "LICENSE",
    ".gitignore": "gitignore",
    ".github/workflows/test.yml": "workflow.yml",
    "tests/test_conformance.py": "test_conformance.py",
}
"""File of the distribution -> its template."""


def write_distribution(kind: str, name: str, directory: Path, version: str) -> None:
    """Write the distribution into a new directory.

    Args:
        kind: One of :data:`srframework.component.KINDS`.
        name: Name of the component and of the distribution.
        directory: Must not exist.
        version: The least version of srframework that the distribution needs.

    Raises:
        UsageError: The name is not valid, the directory exists, or it cannot be written.
    """
    values = _values(kind, name, version)
    if os.path.lexists(directory):
        raise UsageError(f"{directory}: already exists; choose another name, or --out DIR")
    try:
        with atomic_directory(directory) as temporary:
            for place, template in _files(kind, values["package"]).items():
                path = temporary / place
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(_template(template).substitute(values), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{directory}: cannot be written: {error.strerror}") from error


def run_command(kind: str, name: str) -> str:
    """Return the command that runs the example recipe."""
    return f"srframework sweep recipe.toml --launcher {name}" if kind == "launcher" else "srframework run recipe.toml"


def _values(kind: str, name: str, version: str) -> dict[str, str]:
    if not is_component_name(name):
        raise UsageError(f"NAME: expected lower case letters and digits joined by '-', got {shorten(name)}")
    package = re.sub(r"[-.]", "_", name)
    if not package.isidentifier() or keyword.iskeyword(package):
        raise UsageError(f"NAME: expected a name that starts with a letter and is no keyword, got {shorten(name)}")
    if importlib.util.find_spec(package) is not None:
        raise UsageError(f"NAME: a Python package is already named {package!r}; choose another name")
    title = KINDS[kind]
    return {
        "kind": kind,
        "title": title,
        "name": name,
        "package": package,
        "module": kind,
        "Class": "".join(part.capitalize() for part in package.split("_")),
        "hook": f"srframework_{title.replace(' ', '_')}s",
        "run": run_command(kind, name),
        "version": version,
        "year": str(date.today().year),
    }


def _files(kind: str, package: str) -> Mapping[str, str]:
    return _COMMON | {
        f"src/{package}/__init__.py": f"{kind}.__init__.py",
        f"src/{package}/{kind}.py": f"{kind}.py",
        "recipe.toml": f"{kind}.recipe.toml",
    }


def _template(name: str) -> Template:
    text = files("srframework.scaffold").joinpath("templates", f"{name}.txt").read_text(encoding="utf-8")
    return Template(text)
