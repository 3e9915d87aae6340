"""A TOML file with its variants and overrides, and the line of each key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli

from srframework.errors import Problem, RecipeError
from srframework.recipe import statements
from srframework.recipe.model import find_recipe
from srframework.recipe.overrides import MAX_DEPTH, Assignment, Keys, Origins, leaves, limits, parsed_override
from srframework.recipe.statements import KeyPath
from srframework.text import choices_text, key_text, nearest, one_line, shorten

MAX_BYTES = 4 * 2**20
"""Maximum size of a recipe file, in bytes."""


class Source:
    """A recipe file, read and parsed once for all documents made from it.

    Args:
        recipe: A path, or the name of a shipped recipe.
        data: The parsed tables, if known; the file is then only read to locate problems.

    Attributes:
        path: Path of the file.
        data: The parsed tables; read only.
        memo: Cached results of checks of the tables in ``data``, shared by all documents of the source.

    Raises:
        RecipeError: The file does not exist, cannot be read, or is not valid TOML.
    """

    def __init__(self, recipe: str | Path, data: Mapping[str, Any] | None = None) -> None:
        self.path = recipe if isinstance(recipe, Path) else find_recipe(recipe)
        self.memo: dict[tuple[Any, ...], Any] = {}
        self._overrides: dict[str, Assignment | Problem] = {}
        self.data: dict[str, Any] = self._parsed() if data is None else dict(data)
        if exceeded := list(limits(self.data)):
            document = Document(self, choose=False)
            raise RecipeError([Problem(document.where(key), document.label(key), message) for key, message in exceeded])

    def _parsed(self) -> dict[str, Any]:
        try:
            return tomli.loads(self._text)
        except tomli.TOMLDecodeError as error:
            raise self._refused(
                f"not valid TOML: {_syntax_error(error.msg)} (column {error.colno})", error.lineno
            ) from error
        except RecursionError as error:
            message = f"not valid TOML: tables or arrays nested more than {MAX_DEPTH} deep"
            raise self._refused(message, statements.line_of_depth(self._text, MAX_DEPTH)) from error
        except ValueError as error:  # int() refuses integers of thousands of digits
            line = statements.line_of_long_integer(self._text)
            got = "an integer of thousands of digits; integers have at most 64 bits"
            raise self._refused(f"not valid TOML: {got}", line) from error

    def _refused(self, message: str, line: int | None = None) -> RecipeError:
        return RecipeError([Problem(f"{self.path}:{line}" if line else str(self.path), "", message)])

    @cached_property
    def _text(self) -> str:
        return _read(self.path)

    @cached_property
    def lines(self) -> dict[KeyPath, int]:
        """The first line of the statement that defines each key."""
        return statements.lines(self._text)

    def has(self, key: KeyPath) -> bool:
        """Whether the key exists in the file."""
        table: Any = self.data
        for part in key:
            if isinstance(part, int):
                if not isinstance(table, list) or part >= len(table):
                    return False
            elif not isinstance(table, dict) or part not in table:
                return False
            table = table[part]
        return True

    def parsed(self, override: str) -> Assignment | Problem:
        """Parse an override of the command line; cached."""
        if override not in self._overrides:
            self._overrides[override] = parsed_override(override)
        return self._overrides[override]


class Document:
    """The content of a recipe file after its overrides, applied in this order: the chosen
    variant of ``[variants]``, the values of one cell of its ``[sweep]``, and the overrides of
    the command line.

    Args:
        source: The file, its path, or the name of a shipped recipe.
        overrides: ``key=value``, with the value as in TOML.
        cell: Values of swept keys, each with its origin: a text, or a key path of the file.
        choose: Whether to apply the chosen variant; if False, no variant is applied.

    Attributes:
        source, path: The file.
        data: The tables; tables without an override are shared with the source.

    Raises:
        RecipeError: The file cannot be read or is not valid TOML, or the place of an override does not exist.
    """

    def __init__(
        self,
        source: Source | str | Path,
        overrides: Sequence[str] = (),
        cell: Sequence[tuple[str | KeyPath, Keys, Any]] = (),
        choose: bool = True,
    ) -> None:
        self.source = source if isinstance(source, Source) else Source(source)
        self.path = self.source.path
        self.data: dict[str, Any] = self.source.data
        self._own: set[int] = set()
        self._origins = Origins()
        self._numbers: dict[KeyPath, dict[str, int]] = {}
        parsed = [self.source.parsed(override) for override in overrides]
        problems = [each for each in parsed if isinstance(each, Problem)]
        commands = [each for each in parsed if not isinstance(each, Problem)]
        of_cell: list[Assignment] = [(keys, value, origin) for origin, keys, value in cell]
        if choose:
            problems += self._apply(self._variant([*of_cell, *commands]))
        problems += self._apply([*of_cell, *commands])
        if problems:
            raise RecipeError(problems)

    def is_shared(self, value: object) -> bool:
        """Whether the documents of the source share this table or array; nothing may change it then."""
        return id(value) not in self._own

    def where(self, key: KeyPath) -> str:
        """The file and line of the key or of the nearest table around it, or the override that set it."""
        return self._place(self._cause(key))

    def line(self, key: KeyPath) -> int:
        """The line of :meth:`where`; 0 for an override of the command line."""
        cause = self._cause(key)
        return 0 if isinstance(cause, str) else self._line(cause)

    def _cause(self, key: KeyPath) -> str | KeyPath:
        origin = self._origin(key)
        if origin == key and not self.source.has(key):  # a table that an override inside it created
            origin = self._origins.within(key) or key
        return origin

    def _origin(self, key: KeyPath) -> str | KeyPath:
        """The first cause of the value: an override of the command line, or a key of the file.

        Follows overrides inside the file, such as those of a variant; without any, returns ``key``."""
        origin: str | KeyPath = key
        followed: set[KeyPath] = set()  # a variant may override itself
        while not isinstance(origin, str) and origin not in followed:
            followed.add(origin)
            origin = self._origins.of(origin) or origin
        return origin

    def _place(self, origin: str | KeyPath) -> str:
        return origin if isinstance(origin, str) else f"{self.source.path}:{self._line(origin)}"

    def _line(self, key: KeyPath) -> int:
        lines = self.source.lines
        return next((lines[key[:end]] for end in range(len(key), 0, -1) if key[:end] in lines), 1)

    def label(self, key: KeyPath) -> str:
        """The key as a user writes it, with stage names: ``stages.srnet.loss``."""
        words: list[str] = []
        for index, part in enumerate(key):
            if isinstance(part, int) and key[0] == "stages" and index == 1:
                words.append(one_line(self._stage_name(part), 60))
            elif isinstance(part, int) and words:
                words[-1] += f"[{part}]"
            else:
                words.append(key_text(part))
        return ".".join(words)

    def _stage_name(self, index: int) -> str:
        stages = self.data.get("stages")
        stage = stages[index] if isinstance(stages, list) and index < len(stages) else None
        name = stage.get("name") if isinstance(stage, dict) else None
        return name if isinstance(name, str) else str(index)

    def _variant(self, choices: Sequence[Assignment]) -> list[Assignment]:
        """The overrides of the chosen variant; the last choice in ``choices`` has priority over the file."""
        variants = self.data.get("variants", {})
        of_file: Assignment = (("variant",), self.data.get("variant"), ("variant",))
        _, chosen, where = [of_file, *(each for each in choices if each[0] == ("variant",))][-1]
        if chosen is None:
            return []
        name = str(chosen) if isinstance(chosen, str | int) else ""  # other types are reported elsewhere
        table = variants.get(name) if isinstance(variants, dict) else None
        if not isinstance(table, dict):
            tables = variants.items() if isinstance(variants, dict) else ()
            names = [name for name, table in tables if isinstance(table, dict)]
            near = nearest(name, names)
            offered = choices_text(near, names) or "; the recipe defines no variants"
            message = f"no variant is named {shorten(chosen)}{offered}"
            # an override, not applied yet, may set the sweep over variants
            of_sweep = [each for keys, _, each in choices if keys == tuple(map(str, where))[: len(keys)]]
            origin = (of_sweep or [where])[-1] if not isinstance(where, str) else where
            raise RecipeError([Problem(self._place(origin), "variant", message)])
        place: KeyPath = ("variants", name)
        return [(keys, value, (*place, *path)) for path, keys, value in leaves(table)]

    def _apply(self, assignments: Sequence[Assignment]) -> list[Problem]:
        return [problem for each in assignments if (problem := self._assign(*each))]

    def _assign(self, keys: Keys, value: Any, origin: str | KeyPath) -> Problem | None:
        def refuse(message: str, near: str | None = None) -> Problem:
            where = origin if isinstance(origin, str) else self.where(origin)
            return Problem(where, ".".join(map(key_text, keys)), message, near)

        if len(keys) > MAX_DEPTH:
            return refuse(f"expected at most {MAX_DEPTH} keys separated by dots, got {len(keys):,}")
        self.data = table = self._owned(self.data)
        path: KeyPath = ()
        *parents, last = keys
        for part in parents:
            here: str | int = part
            if isinstance(table, list):
                index = self._index(table, part, path)
                if index is None:
                    names = [self._stage_name(i) for i in range(len(table))] if path == ("stages",) else []
                    if not names:
                        return refuse(f"must be a number below {len(table)} (got {shorten(part)})")
                    return refuse(f"no stage is named {shorten(part)}{choices_text(nearest(part, names), names)}")
                here = index
            elif part not in table:
                table[part] = {}
            path = (*path, here)
            inner = table[here]
            if not isinstance(inner, dict | list):
                return refuse(f"{self.label(path)} is a value ({shorten(inner)}), not a table")
            table[here] = table = self._owned(inner)
        if isinstance(table, list):
            return refuse(f"expected a key of an item of {self.label(path)}, got {shorten(last)}")
        table[last] = value
        if last == "name" or isinstance(value, dict | list):
            self._numbers.clear()
        self._origins.add((*path, last), origin)
        return None

    def _owned(self, value: Any) -> Any:
        """The table or array, copied first if other documents share it; safe to change."""
        if self.is_shared(value):
            value = value.copy()
            self._own.add(id(value))
        return value

    def _index(self, items: list[Any], part: str, path: KeyPath) -> int | None:
        if path not in self._numbers:
            named = ((each.get("name"), index) for index, each in enumerate(items) if isinstance(each, dict))
            self._numbers[path] = {name: index for name, index in reversed([*named]) if isinstance(name, str)}
        index = self._numbers[path].get(part)
        if index is None and part.isascii() and part.isdecimal() and len(part) < 10 and int(part) < len(items):
            return int(part)
        return index


_SET_BEFORE = re.compile(r"Cannot (?:mutate immutable namespace|declare|overwrite)[^(]*\((.*?),?\)(?: twice)?")


def _syntax_error(message: str) -> str:
    """The message of the TOML parser in words, where it is about its own workings."""
    if message == r"Illegal character '\n'":
        return "the line ends inside a quoted text; close the quote"
    if message == "Cannot overwrite a value":
        return "this key is already set in an earlier line"
    if (found := _SET_BEFORE.match(message)) is not None:
        key = ".".join(part.strip(" '\"") for part in found[1].split(","))
        return f"{key} is already set in an earlier line; remove one of the two"
    return message


def _read(path: Path) -> str:
    def refuse(message: str, line: int | None = None) -> RecipeError:
        return RecipeError([Problem(f"{path}:{line}" if line else str(path), "", message)])

    if path.is_dir():
        raise refuse("expected a recipe file, got a directory")
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise refuse("expected a recipe file, got no such file") from None
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise refuse(f"expected a recipe file of at most {MAX_BYTES >> 20} MiB, got a larger one")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise refuse(f"expected UTF-8 text, got the byte 0x{raw[error.start]:02x}", line) from error
    if not text.strip():
        raise refuse("expected a recipe, got an empty file", 1)
    return text.replace("\r\n", "\n")
