"""The lines on which the statements of a TOML file begin; tomli gives no positions. The text must be valid TOML."""

from __future__ import annotations

import re
from collections.abc import Iterator

import tomli

KeyPath = tuple[str | int, ...]
"""Keys from the top of the file down: ``("stages", 1, "pruner", "sparsity")``."""

_STRING = (
    r'"""[^"\\]*(?:(?:\\[\s\S]|"{1,2}(?!"))[^"\\]*)*"{3,5}'
    r"|'''[^']*(?:'{1,2}(?!')[^']*)*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_BLANK = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
_KEY = re.compile(rf"(?:{_STRING}|[^=\[\]\"'#\n])*")
_PART = re.compile(r"""[ \t]*(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^ \t."']+)[ \t]*\.?""")
_IN_VALUE = re.compile(rf"""{_STRING}|#[^\n]*|[\[\]{{}}\n]|[^\[\]{{}}\n#"']+""")


def lines(text: str) -> dict[KeyPath, int]:
    """The first line of the statement that defines each key or table; keys inside a value are left out.

    Args:
        text: Valid TOML, with line feeds only (no carriage returns).
    """
    found: dict[KeyPath, int] = {}
    lengths: dict[KeyPath, int] = {}
    table: KeyPath = ()
    line, counted = 1, 0
    for place, is_header, is_item, keys in _statements(text):
        line, counted = line + text.count("\n", counted, place), place
        path: KeyPath = () if is_header else table
        for number, key in enumerate(keys, 1):
            path = (*path, key)
            found.setdefault(path, line)
            if is_item and number == len(keys):
                lengths[path] = lengths.get(path, 0) + 1
            if is_header and path in lengths:
                path = (*path, lengths[path] - 1)
                found.setdefault(path, line)
        table = path if is_header else table
    return found


def line_of_long_integer(text: str) -> int | None:
    """The line of the first integer too long for int() (thousands of digits), or None."""
    found = re.search(r"\d(?:_?\d){4000,}", text)
    return None if found is None else text.count("\n", 0, found.start()) + 1


def line_of_depth(text: str, most: int) -> int:
    """The line on which brackets are first nested deeper than ``most``, the first line if none; strings count too."""
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        for character in line:
            depth += (character in "[{") - (character in "]}")
            if depth > most:
                return number
    return 1


def _statements(text: str) -> Iterator[tuple[int, bool, bool, list[str]]]:
    """Yield for each statement: its offset, whether it is a [header] or a [[header]], its keys."""
    place = _skip(_BLANK, text, 0)
    while place < len(text):
        is_header, is_item = text.startswith("[", place), text.startswith("[[", place)
        start = place + is_header + is_item
        end = _skip(_KEY, text, start)
        keys = _keys(text[start:end])
        end = end + 1 + is_item if is_header else _end_of_value(text, end + 1)
        yield place, is_header, is_item, keys
        place = _skip(_BLANK, text, end)


def _keys(text: str) -> list[str]:
    parts = (found[0].strip(" \t").removesuffix(".").strip(" \t") for found in _PART.finditer(text))
    return [str(tomli.loads(f"key = {part}")["key"]) if part[0] in "\"'" else part for part in parts]


def _end_of_value(text: str, place: int) -> int:
    depth = 0
    while place < len(text) and (text[place] != "\n" or depth):
        depth += (text[place] in "[{") - (text[place] in "]}")
        place = _skip(_IN_VALUE, text, place)
    return place


def _skip(pattern: re.Pattern[str], text: str, place: int) -> int:
    found = pattern.match(text, place)
    assert found is not None, "tomli has parsed the text"
    return found.end()
