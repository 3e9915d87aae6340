"""Overrides of a recipe: parse their keys and values, and record the origin of each key."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import tomli

from srframework.errors import Problem, UsageError
from srframework.recipe.statements import KeyPath
from srframework.text import key_text, one_line, shorten

Keys = tuple[str, ...]
"""A dotted key as a user writes it, with stage names: ``("stages", "srnet", "epochs")``."""

Assignment = tuple[Keys, Any, str | KeyPath]
"""A key, its new value, and the origin of the override: a text, or a key path of the file."""

MAX_DEPTH = 32
"""Maximum nesting depth of tables and arrays."""

_LONGEST_SHOWN = 120
"""Longest override, in characters, that a message repeats; of a longer one it shows only the key."""

_INTEGERS = range(-(2**63), 2**63)
"""Range of TOML integers."""


@dataclass
class Origins:
    """The origin of each overridden key, as a tree of keys."""

    origin: str | KeyPath | None = None
    inside: dict[str | int, Origins] = field(default_factory=dict)

    def add(self, path: KeyPath, origin: str | KeyPath) -> None:
        """Record the origin of a key and of everything inside it."""
        *around, last = path
        node = self
        for part in around:
            node = node.inside.setdefault(part, Origins())
        node.inside[last] = Origins(origin)

    def of(self, path: KeyPath) -> str | KeyPath | None:
        """The origin of the key or of the nearest table around it."""
        node, found = self, self.origin
        for part in path:
            if part not in node.inside:
                break
            node = node.inside[part]
            found = found if node.origin is None else node.origin
        return found

    def within(self, path: KeyPath) -> str | KeyPath | None:
        """The origin of the first override inside the table."""
        node: Origins | None = self
        for part in path:
            node = node.inside.get(part) if node is not None else None
        while node is not None and node.origin is None and node.inside:
            node = next(iter(node.inside.values()))
        return None if node is None else node.origin


def leaves(table: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, Keys, Any]]:
    """Yield for each value in a table of overrides: its path in the table, the key that it overrides, the value.

    ``"training.epochs" = 3``, ``training.epochs = 3`` and a table ``training`` with ``epochs = 3`` are
    equivalent. A table with ``use`` is one value: it replaces a component and its options.
    """
    for key, value in table.items():
        if isinstance(value, dict) and value and "use" not in value:
            yield from leaves(value, (*path, key))
        else:
            yield (
                (*path, key),
                tuple(itertools.chain.from_iterable(str(each).split(".") for each in (*path, key))),
                value,
            )


def parsed_override(override: str) -> Assignment | Problem:
    """Parse an override of the command line, ``key=value``."""
    key, equals, value = override.partition("=")
    keys = keys_of(key)
    if not equals or not all(keys):
        expected = "expected KEY=VALUE, such as training.epochs=3 or stages.NAME.pruner.sparsity=0.5"
        return Problem(f"--set {_shown(override)}", "", expected)
    origin = f"--set {_shown(override) if len(override) <= _LONGEST_SHOWN else _shown(key)}"
    try:
        return keys, value_of(value), origin
    except UsageError as error:
        return Problem(origin, ".".join(map(key_text, keys)), str(error))


def _shown(text: str) -> str:
    """An argument of the command line, shortened for a message."""
    return one_line(text, _LONGEST_SHOWN)


def keys_of(text: str) -> Keys:
    """Split a dotted key of the command line."""
    return tuple(text.strip().split("."))


def value_of(text: str) -> Any:
    """Parse a value of the command line: a TOML value, or a bare word, which is a string.

    Raises:
        UsageError: An integer is too large, or tables are nested too deep.
    """
    try:
        parsed = tomli.loads(f"value = {text}")
    except (RecursionError, ValueError):
        parsed = {}  # a bare word is a string: `--set backbone.use=tiny` needs no quotes
    if parsed.keys() != {"value"}:  # text after a line break is not a second key
        parsed = {"value": text}
    for _, message in limits(parsed):
        raise UsageError(message)
    return parsed["value"]


def limits(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield values beyond the limits of a recipe: integers of more than 64 bits, tables nested too deep."""
    waiting: list[tuple[KeyPath, Any]] = [((), data)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict | list):
            if len(path) > MAX_DEPTH:
                yield path[:1], f"expected tables and arrays nested at most {MAX_DEPTH} deep, got more"
                return
            items = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [((*path, key), item) for key, item in items if isinstance(item, dict | list | int)]
        elif value not in _INTEGERS:
            yield path, f"expected an integer of at most 64 bits, got {shorten(value)}"
