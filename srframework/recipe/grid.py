"""Parse ``--grid KEY=a,b`` and ``--zip "KEY=a,b KEY2=c,d"`` into axes of a sweep; name the cells."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from srframework.errors import UsageError
from srframework.recipe.overrides import Keys, keys_of, value_of
from srframework.recipe.statements import KeyPath
from srframework.text import key_text, one_line, shorten

_CLOSING = {"[": "]", "{": "}", "(": ")"}


@dataclass(frozen=True)
class Swept:
    """A swept key.

    Attributes:
        origin: A key path under ``sweep`` in the recipe, or an option of the command line.
        keys: The key.
        values: The values of the key.
    """

    origin: str | KeyPath
    keys: Keys
    values: tuple[Any, ...]


Axis = tuple[Swept, ...]
"""Keys that move together; usually one."""


class Refuse(Protocol):
    """Records a problem with a swept key and its origin."""

    def __call__(self, origin: str | KeyPath, message: str, keys: Keys = ()) -> None: ...


def axis_of(flag: str, refuse: Refuse) -> Axis:
    """Parse one option into an axis; empty if it is invalid.

    Args:
        flag: As on the command line: ``--grid seed=1,2``, ``--zip training.epochs=1,2 training.batch_size=8,16``.
            Values are TOML, separated by commas; a bare word is a string; a comma in quotes or brackets is
            part of a value.
        refuse: Called for each problem.
    """
    name, _, text = flag.partition(" ")
    found: list[Swept] = []
    for part in split(text, " ") if name == "--zip" else [text]:
        key, equals, values = part.partition("=")
        keys, words = keys_of(key), list(split(values, ","))
        if not part and name == "--zip":
            continue
        if not equals or not all(keys):
            more = " training.weight_decay=0.0,0.1" if name == "--zip" else ""
            refuse(flag, f"expected KEY=a,b, such as training.learning_rate=1e-3,1e-2{more}")
            return ()
        if not all(words):
            refuse(flag, 'expected values separated by commas, got an empty one; write "" for an empty string', keys)
            return ()
        try:
            found.append(Swept(flag, keys, tuple(value_of(word) for word in words)))
        except UsageError as error:
            refuse(flag, str(error), keys)
            return ()
    if not found:
        refuse(flag, 'expected keys that change together, such as "KEY=a,b KEY2=c,d", got none')
    if len({len(each.values) for each in found}) > 1:
        refuse(flag, f"expected the same number of values for each key, got {lengths(found)}")
        return ()
    rows = list(zip(*(each.values for each in found), strict=True))
    if len(distinct(rows)) < len(rows):
        got = [list(row) if len(row) > 1 else row[0] for row in rows]
        refuse(flag, f"expected distinct values, got {shorten(got)}", found[0].keys)
    return tuple(found)


def lengths(axis: Sequence[Swept]) -> str:
    """The number of values of each key of an axis, for a message."""
    most = 5
    each = [f"{dotted(swept.keys)}: {len(swept.values)}" for swept in axis[:most]]
    return ", ".join([*each, *(["…"] if len(axis) > most else [])])


def dotted(keys: Keys) -> str:
    """A key as a user writes it, for a message."""
    return one_line(".".join(map(key_text, keys[:40])), 200)


def distinct(values: Iterable[Any]) -> list[Any]:
    """The values in order, without duplicates; 1 equals 1.0, but not true."""
    found: dict[Any, Any] = {}
    for value in values:
        found.setdefault(_comparable(value), value)
    return list(found.values())


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return frozenset((key, _comparable(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_comparable, value))
    return (bool, value) if isinstance(value, bool) else value


def split(text: str, separator: str) -> Iterator[str]:
    """Yield the parts of ``text``, stripped; separators in quotes or brackets are ignored."""
    ends = [-1, *_separators(text, separator), len(text)]
    for start, end in itertools.pairwise(ends):
        yield text[start + 1 : end].strip()


def _separators(text: str, separator: str) -> Iterator[int]:
    quote, escaped = "", False
    open_brackets: list[str] = []
    begins = True  # a quote opens only at the start of a value: not in `it's`
    for place, letter in enumerate(text):
        if quote:
            if letter == quote and not escaped:
                quote = ""
            escaped = letter == "\\" and quote == '"' and not escaped
        elif letter in "\"'" and (begins or open_brackets):
            quote = letter
        elif letter in _CLOSING:
            open_brackets.append(_CLOSING[letter])
        elif open_brackets:
            if letter == open_brackets[-1]:
                open_brackets.pop()
        elif letter == separator:
            yield place
        begins = letter in ",= "


Choice = tuple[str | KeyPath, Keys, Any]
"""A swept key in one cell: its origin, the key, its value."""


def label_of(chosen: Sequence[Choice]) -> str:
    """A label such as ``seed=1, sparsity=0.5``; uses the last part of a key if that is unique."""
    leading: dict[str | KeyPath, tuple[Keys, Any]] = {}
    for origin, keys, value in chosen:
        group = origin[:3] if origin[1] == "zip" and not isinstance(origin, str) else origin
        leading.setdefault(group, (keys, value))
    last = Counter(keys[-1] for keys, _ in leading.values())
    names = [one_line(keys[-1], 60) if last[keys[-1]] == 1 else dotted(keys) for keys, _ in leading.values()]
    return ", ".join(f"{name}={_word(value)}" for name, (_, value) in zip(names, leading.values(), strict=True))


def slug_of(label: str, number: int, used: set[str]) -> str:
    """Turn the label into a directory name that differs from all in ``used``, ignoring case; adds it to ``used``."""
    plain = re.sub(r"[^A-Za-z0-9=.@,_+-]+", "-", label.replace(", ", ","))[:120].rstrip(".")
    slug = plain if plain.casefold() not in used else f"{plain},run={number}"
    while slug.casefold() in used:
        slug += "+"
    used.add(slug.casefold())
    return slug


def _word(value: Any) -> str:
    if isinstance(value, dict):
        return _word(value.get("use", "table"))
    return one_line(value, 300) if isinstance(value, str) else shorten(value)
