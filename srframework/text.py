"""Values and names for messages: in TOML form, on one line, shortened; and the nearest valid choice."""

from __future__ import annotations

import datetime
import difflib
import functools
import math
import re
from collections.abc import Iterable, Iterator, Mapping


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice most similar to ``word``; None if none is similar or ``word`` is longer than 200 characters."""
    return _nearest(word, tuple(choices)) if len(word) <= _MAX_WORD else None


def did_you_mean(near: str | None) -> str:
    """Return the end of a message that offers the result of :func:`nearest`; empty for None."""
    return f"; did you mean {shorten(near, 200)}?" if near else ""


def choices_text(near: str | None, names: Iterable[object], most: int = 40) -> str:
    """Return the end of a message about an unknown name: the result of :func:`nearest` first, then the choices."""
    every = listed(names, most)
    if not every:
        return did_you_mean(near)
    return f"{did_you_mean(near)} Choices: {every}" if near else f"; choices: {every}"


_MAX_WORD = 200


@functools.lru_cache(maxsize=1024)
def _nearest(word: str, choices: tuple[str, ...]) -> str | None:
    near = (choice for choice in choices if len(choice) <= _MAX_WORD)
    close = difflib.get_close_matches(word, near, n=1, cutoff=0.6)
    return close[0] if close else None


def listed(names: Iterable[object], most: int = 40) -> str:
    """Join names with commas for a message; after ``most`` names, give only the number of the others."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(one_line(str(name), 100) for name in every[:most]) + more


def one_line(text: str, limit: int = 2000) -> str:
    """Return ``text`` for a message: one line, without control characters, cut to ``limit`` characters."""
    shown = text[: limit + 1]
    shown = shown if shown.isprintable() else "".join(map(_printable, shown))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _printable(letter: str) -> str:
    if letter.isprintable():
        return letter
    code = ord(letter)
    return _ESCAPES.get(letter) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN_KEY = re.compile(rf"{_BARE_KEY.pattern}(\.{_BARE_KEY.pattern})*")
_MANY_DIGITS = 10**40


def key_text(key: object, limit: int = 60) -> str:
    """Return a part of a dotted key for a message, in quotes if it is not a plain key; cut to ``limit`` characters."""
    text = str(key)
    return text if _PLAIN_KEY.fullmatch(text) and len(text) <= limit else shorten(text, limit)


_MAX_SHOWN = 400


def shorten_words(text: str) -> str:
    """Cut very long words of a message, such as paths, in the middle."""
    return re.sub(rf"\S{{{_MAX_SHOWN + 1},}}", lambda word: f"{word[0][:200]}…{word[0][-100:]}", text)


def shorten(value: object, limit: int = 60) -> str:
    """Return ``value`` for a message: in TOML form, in one line, cut to ``limit`` characters.

    Strings are in single quotes, as TOML's literal strings, or in double quotes if single quotes are not possible.
    """
    text = ""
    for part in _toml(value, limit):
        text += part
        if len(text) > limit:
            return text[: limit - 1] + "…"
    return text


def _toml(value: object, limit: int) -> Iterator[str]:
    if isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, str):
        yield _quoted(value[: limit + 1])
    elif isinstance(value, int):
        digits = int(abs(value).bit_length() * math.log10(2)) + 1
        yield str(int(value)) if abs(value) < _MANY_DIGITS else f"an integer of about {digits:,} digits"
    elif isinstance(value, datetime.date | datetime.time):
        yield value.isoformat()
    elif isinstance(value, list | tuple):
        yield "["
        for index, item in enumerate(value):
            yield ", " if index else ""
            yield from _toml(item, limit)
        yield "]"
    elif isinstance(value, Mapping):
        yield "{" if value else "{}"
        for index, (key, item) in enumerate(value.items()):
            name = str(key)[: limit + 1]
            yield f"{',' if index else ''} {name if _BARE_KEY.fullmatch(name) else _quoted(name)} = "
            yield from _toml(item, limit)
        yield " }" if value else ""
    else:
        yield "nothing" if value is None else one_line(repr(value), limit + 1)


def _quoted(text: str) -> str:
    if text.isprintable() and "'" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{"".join(map(_printable, escaped))}"'


def count_text(count: int) -> str:
    """Format a count: ``1,000,000``, or a power of ten if it has very many digits."""
    return f"{count:,}" if count < _MANY_DIGITS else f"about 10^{int((count.bit_length() - 1) * math.log10(2))}"


def duration_text(seconds: float) -> str:
    """A duration for people, with its two largest units: ``1 min 1 s``."""
    rest = round(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"
