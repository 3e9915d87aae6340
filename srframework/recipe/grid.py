"""What the command line sweeps: ``--grid KEY=a,b`` and ``--zip "KEY=a,b KEY2=c,d"`` -> axes of a sweep."""

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
    """One key that is swept.

    Attributes:
        origin: Who says so: a key path under ``sweep`` in the recipe, or an option of the command line.
        keys: The key whose value varies.
        values: Its values.
    """

    origin: str | KeyPath
    keys: Keys
    values: tuple[Any, ...]


Axis = tuple[Swept, ...]
"""Keys that move together; mostly one."""


class Refuse(Protocol):
    """Takes note of a problem with what ``origin`` says of the key."""

    def __call__(self, origin: str | KeyPath, message: str, keys: Keys = ()) -> None: ...


def axis_of(flag: str, refuse: Refuse) -> Axis:
    """What one option sweeps; nothing where that is refused.

    Args:
        flag: As on the command line: ``--grid seed=1,2``, ``--zip training.epochs=1,2 training.batch_size=8,16``.
            Values as in TOML, with commas between; a bare word is a string, and a comma in quotes or
            brackets is part of a value.
        refuse: Told what is wrong.
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
            refuse(flag, 'expected values with a comma between, got an empty one; "" is a text without letters', keys)
            return ()
        try:
            found.append(Swept(flag, keys, tuple(value_of(word) for word in words)))
        except UsageError as error:
            refuse(flag, str(error), keys)
            return ()
    if not found:
        refuse(flag, 'expected keys that move together, such as "KEY=a,b KEY2=c,d", got none')
    if len({len(each.values) for each in found}) > 1:
        refuse(flag, f"expected as many values of each key, got {lengths(found)}")
        return ()
    rows = list(zip(*(each.values for each in found), strict=True))
    if len(distinct(rows)) < len(rows):
        got = [list(row) if len(row) > 1 else row[0] for row in rows]
        refuse(flag, f"expected values that differ, got {shorten(got)}", found[0].keys)
    return tuple(found)


def lengths(axis: Sequence[Swept]) -> str:
    """How many values each key of an axis has, for a message."""
    most = 5
    each = [f"{dotted(swept.keys)}: {len(swept.values)}" for swept in axis[:most]]
    return ", ".join([*each, *(["…"] if len(axis) > most else [])])


def dotted(keys: Keys) -> str:
    """A key in a message, as a user writes it."""
    return one_line(".".join(map(key_text, keys[:40])), 200)


def distinct(values: Iterable[Any]) -> list[Any]:
    """The values, each once, in their order; 1 and 1.0 are one value, 1 and true are two."""
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
    """The parts of ``text``, without the space around them; a separator in quotes or brackets separates nothing."""
    ends = [-1, *_separators(text, separator), len(text)]
    for start, end in itertools.pairwise(ends):
        yield text[start + 1 : end].strip()


def _separators(text: str, separator: str) -> Iterator[int]:
    quote, escaped = "", False
    open_brackets: list[str] = []
    begins = True  # what follows may be a quoted value: in `it's` nothing is quoted
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
"""A swept key in one cell: who sweeps it, the key, its value there."""


def label_of(chosen: Sequence[Choice]) -> str:
    """Keys by their last part, where that says which is meant."""
    leading: dict[str | KeyPath, tuple[Keys, Any]] = {}
    for origin, keys, value in chosen:
        group = origin[:3] if origin[1] == "zip" and not isinstance(origin, str) else origin
        leading.setdefault(group, (keys, value))
    last = Counter(keys[-1] for keys, _ in leading.values())
    names = [one_line(keys[-1], 60) if last[keys[-1]] == 1 else dotted(keys) for keys, _ in leading.values()]
    return ", ".join(f"{name}={_word(value)}" for name, (_, value) in zip(names, leading.values(), strict=True))


def slug_of(label: str, number: int, used: set[str]) -> str:
    """The label as the name of a directory, unlike those in ``used`` also where case does not count; added there."""
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
