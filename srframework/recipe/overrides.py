"""Overrides of a recipe: their keys and values as a user writes them, and what set each key."""

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
"""A dotted key as a user writes it, with stages by their name: ``("stages", "srnet", "epochs")``."""

Assignment = tuple[Keys, Any, str | KeyPath]
"""A key, the value that overrides it, and its origin: words, or a key path of the file."""

MAX_DEPTH = 32
"""How many tables and arrays may be inside each other."""

_INTEGERS = range(-(2**63), 2**63)
"""TOML's integers."""


@dataclass
class Origins:
    """What set each key that an override set: a tree of the keys."""

    origin: str | KeyPath | None = None
    inside: dict[str | int, Origins] = field(default_factory=dict)

    def add(self, path: KeyPath, origin: str | KeyPath) -> None:
        """Note what set a key, together with everything inside it."""
        *around, last = path
        node = self
        for part in around:
            node = node.inside.setdefault(part, Origins())
        node.inside[last] = Origins(origin)

    def of(self, path: KeyPath) -> str | KeyPath | None:
        """What set the key, or the nearest table around it."""
        node, found = self, self.origin
        for part in path:
            if part not in node.inside:
                break
            node = node.inside[part]
            found = found if node.origin is None else node.origin
        return found

    def within(self, path: KeyPath) -> str | KeyPath | None:
        """What first set something inside the table."""
        node: Origins | None = self
        for part in path:
            node = node.inside.get(part) if node is not None else None
        while node is not None and node.origin is None and node.inside:
            node = next(iter(node.inside.values()))
        return None if node is None else node.origin


def leaves(table: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, Keys, Any]]:
    """The values in a table of overrides: where each stands in it, the key that it overrides, and the value.

    ``"training.epochs" = 3``, ``training.epochs = 3`` and a table ``training`` with ``epochs = 3`` are
    the same. A table with ``use`` is one value: it replaces a component together with its options.
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
    """An override as it stands on the command line, ``key=value``."""
    key, equals, value = override.partition("=")
    keys = keys_of(key)
    if not equals or not all(keys):
        expected = "expected key=value, such as training.epochs=3 or stages.NAME.pruner.sparsity=0.5"
        return Problem(f"--set {_shown(override)}", "", expected)
    origin = f"--set {_shown(override)}"
    try:
        return keys, value_of(value), origin
    except UsageError as error:
        return Problem(origin, ".".join(map(key_text, keys)), str(error))


def _shown(text: str) -> str:
    """An argument of the command line as it is shown in messages."""
    return one_line(text, 120)


def keys_of(text: str) -> Keys:
    """A dotted key of the command line."""
    return tuple(text.strip().split("."))


def value_of(text: str) -> Any:
    """A value as a user writes it on the command line: as in TOML, or a bare word, which is a string.

    Raises:
        UsageError: It is a number or a table beyond what a recipe may have.
    """
    try:
        parsed = tomli.loads(f"value = {text}")
    except (RecursionError, ValueError):
        parsed = {}  # a bare word is a string, so that `--set backbone.use=tiny` needs no quotes in quotes
    if parsed.keys() != {"value"}:  # a line break in a word begins no second key
        parsed = {"value": text}
    for _, message in limits(parsed):
        raise UsageError(message)
    return parsed["value"]


def limits(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """The values beyond what a recipe may have: integers of more than 64 bits; tables deep inside each other."""
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
