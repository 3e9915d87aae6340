"""A TOML file, its variants and overrides, and where in it each key stands."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli

from srframework.errors import Problem, RecipeError, nearest, shorten

KeyPath = tuple[str | int, ...]
"""Keys from the top of the file down: ``("stages", 1, "pruner", "sparsity")``."""

Keys = tuple[str, ...]
"""A dotted key as a user writes it, with stages by their name: ``("stages", "srnet", "epochs")``."""

Assignment = tuple[Keys, Any, str | KeyPath]
"""A key, the value that overrides it, and who says so: words, or a key path of the file."""


class Document:
    """The content of a recipe file, with what overrides it applied, one after the other: the
    variant that it chooses from ``[variants]``, the values of one cell of its ``[sweep]``, and
    the overrides of the command line.

    Args:
        path: The file.
        overrides: ``key=value``, with the value as in TOML.
        cell: Values of swept keys, each with who sweeps it: words, or a key path of the file.

    Attributes:
        path: The file.
        data: The parsed tables.

    Raises:
        RecipeError: The file cannot be read or is no TOML, or an override names no place in it.
    """

    def __init__(
        self, path: Path, overrides: Sequence[str] = (), cell: Sequence[tuple[str | KeyPath, Keys, Any]] = ()
    ) -> None:
        self.path = path
        self._text = _read(path)
        self._origins: dict[KeyPath, str | KeyPath] = {}
        try:
            self.data: dict[str, Any] = tomli.loads(self._text)
        except tomli.TOMLDecodeError as error:
            where = f"{path}:{error.lineno}"
            raise RecipeError(
                [Problem(where, "", f"expected TOML, got: {error.msg} (column {error.colno})")]
            ) from error
        except (RecursionError, ValueError) as error:
            raise RecipeError([Problem(str(path), "", f"expected TOML, got: {error}")]) from error
        parsed = [_parsed(override) for override in overrides]
        problems = [each for each in parsed if isinstance(each, Problem)]
        commands = [each for each in parsed if not isinstance(each, Problem)]
        of_cell: list[Assignment] = [(keys, value, origin) for origin, keys, value in cell]
        problems += self._apply(self._variant([*of_cell, *commands]))
        problems += self._apply([*of_cell, *commands])
        if problems:
            raise RecipeError(problems)

    def where(self, key: KeyPath) -> str:
        """File and line of the key, or of the nearest table around it; or the override that set it."""
        origin = self._origin(key)
        if origin == key and key not in self._in_file:  # a table that is there for the sake of an override inside it
            origin = next((said for path, said in self._origins.items() if path[: len(key)] == key), key)
        return self._said(origin)

    def _origin(self, key: KeyPath) -> str | KeyPath:
        """What set the key, or a table around it: an override, or another key of the file, such as a
        variant's; or what set that one. The key itself where nothing did."""
        origin: str | KeyPath = key
        followed: set[KeyPath] = set()  # a variant may override even itself
        while not isinstance(origin, str) and origin not in followed:
            followed.add(origin)
            around = (origin[:end] for end in range(len(origin), 0, -1))
            origin = next((self._origins[path] for path in around if path in self._origins), origin)
        return origin

    def _said(self, origin: str | KeyPath) -> str:
        if isinstance(origin, str):
            return origin
        line = next(
            (self._in_file[origin[:end]] for end in range(len(origin), 0, -1) if origin[:end] in self._in_file), 1
        )
        return f"{self.path}:{line}"

    @cached_property
    def _in_file(self) -> dict[KeyPath, int]:
        """The line of each key of the file."""
        return dict(_lines(self._text))

    def label(self, key: KeyPath) -> str:
        """The key as a user writes it, with stages by their name: ``stages.srnet.loss``."""
        words: list[str] = []
        for index, part in enumerate(key):
            if isinstance(part, int) and key[0] == "stages" and index == 1:
                words.append(self._stage_name(part))
            elif isinstance(part, int):
                words[-1] += f"[{part}]"
            else:
                words.append(part)
        return ".".join(words)

    def _stage_name(self, index: int) -> str:
        stages = self.data.get("stages")
        stage = stages[index] if isinstance(stages, list) and index < len(stages) else None
        name = stage.get("name") if isinstance(stage, dict) else None
        return name if isinstance(name, str) else str(index)

    def _variant(self, choices: Sequence[Assignment]) -> list[Assignment]:
        """What the chosen variant overrides; the last of ``choices`` that names one wins over the file."""
        variants = self.data.get("variants", {})
        said: Assignment = (("variant",), self.data.get("variant"), ("variant",))
        _, chosen, where = [said, *(each for each in choices if each[0] == ("variant",))][-1]
        if chosen is None:
            return []
        if not isinstance(variants, dict) or not isinstance(variants.get(str(chosen)), dict):
            tables = variants.items() if isinstance(variants, dict) else ()
            names = [name for name, table in tables if isinstance(table, dict)]
            expected = f"one of: {', '.join(names)}" if names else "none, for want of [variants] in the recipe"
            message = f"expected {expected}; got {shorten(chosen)}"
            # what sweeps variants may itself be set by an override, which is not applied yet
            of_sweep = [said for keys, _, said in choices if keys == tuple(map(str, where))[: len(keys)]]
            origin = (of_sweep or [where])[-1] if not isinstance(where, str) else where
            raise RecipeError([Problem(self._said(origin), "variant", message, nearest(str(chosen), names))])
        table: KeyPath = ("variants", str(chosen))
        return [(keys, value, (*table, *path)) for path, keys, value in leaves(variants[str(chosen)])]

    def _apply(self, assignments: Sequence[Assignment]) -> list[Problem]:
        return [problem for each in assignments if (problem := self._assign(*each))]

    def _assign(self, keys: Keys, value: Any, origin: str | KeyPath) -> Problem | None:
        def refuse(message: str, near: str | None = None) -> Problem:
            where = origin if isinstance(origin, str) else self.where(origin)
            return Problem(where, ".".join(keys), message, near)

        table: Any = self.data
        path: KeyPath = ()
        *parents, last = keys
        for part in parents:
            if isinstance(table, list):
                index = self._index(table, part)
                if index is None:
                    names = [self._stage_name(i) for i in range(len(table))] if path == ("stages",) else []
                    expected = f"one of: {', '.join(names)}" if names else f"a number below {len(table)}"
                    return refuse(f"expected {expected}, got {part!r}", nearest(part, names))
                path, table = (*path, index), table[index]
            else:
                path, table = (*path, part), table.setdefault(part, {})
            if not isinstance(table, dict | list):
                return refuse(f"{self.label(path)} is a value ({shorten(table)}), not a table")
        if isinstance(table, list):
            return refuse(f"expected a key of one item of {self.label(path)}, got {last!r}")
        table[last] = copy.deepcopy(value)
        place = (*path, last)
        kept = {each: said for each, said in self._origins.items() if each[: len(place)] != place}
        self._origins = kept | {place: origin}
        return None

    def _index(self, items: list[Any], part: str) -> int | None:
        for index, item in enumerate(items):
            if isinstance(item, dict) and item.get("name") == part:
                return index
        return int(part) if part.isdecimal() and int(part) < len(items) else None


def leaves(table: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, Keys, Any]]:
    """The values in a table of overrides: where each stands in it, the key that it overrides, and the value.

    ``"training.epochs" = 3``, ``training.epochs = 3`` and a table ``training`` with ``epochs = 3`` are
    the same. A table with ``use`` is one value: it replaces a component together with its options.
    """
    for key, value in table.items():
        if isinstance(value, dict) and value and "use" not in value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), tuple(part for each in (*path, key) for part in str(each).split(".")), value


def _parsed(override: str) -> Assignment | Problem:
    key, equals, value = override.partition("=")
    keys = tuple(key.split("."))
    if equals and all(keys):
        return keys, value_of(value), f"--set {override}"
    expected = "expected key=value, such as training.epochs=3 or stages.NAME.pruner.sparsity=0.5"
    return Problem(f"--set {override}", "", expected)


def value_of(text: str) -> Any:
    """A value as a user writes it on the command line: as in TOML, or a bare word, which is a string."""
    try:
        return tomli.loads(f"value = {text}")["value"]
    except (RecursionError, ValueError):
        return text  # a bare word is a string, so that `--set backbone.use=tiny` needs no quotes in quotes


def _read(path: Path) -> str:
    def refuse(message: str, line: int | None = None) -> RecipeError:
        return RecipeError([Problem(f"{path}:{line}" if line else str(path), "", message)])

    if path.is_dir():
        raise refuse("expected a recipe file, got a directory")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise refuse("expected a recipe file, got no such file") from None
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise refuse(f"expected UTF-8 text, got the byte 0x{raw[error.start]:02x}", line) from error
    if not text.strip():
        raise refuse("expected a recipe, got an empty file")
    return text.replace("\r\n", "\n")


def _lines(text: str) -> Iterator[tuple[KeyPath, int]]:
    """Each key path with the line on which its statement begins.

    tomli gives no positions, so the file is parsed again and again, each time one line longer:
    what is new in the first parse that succeeds was said by the lines since the last one.
    Quadratic, and run only when there is a problem to report.
    """
    seen: set[KeyPath] = set()
    prefix, start = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        prefix += line + "\n"
        if not start and (not line.strip() or line.lstrip().startswith("#")):
            continue
        start = start or number
        try:
            data = tomli.loads(prefix)
        except tomli.TOMLDecodeError:
            continue
        for path in _paths(data):
            if path not in seen:
                seen.add(path)
                yield path, start
        start = 0


def _paths(data: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from _paths(value, (*path, key))
