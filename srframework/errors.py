"""Every exception that srframework raises on purpose, as one tree.

::

    SRFrameworkError            exit code 1: the run failed
    ├── DataError               a data file is not what the options say it is
    ├── BackboneError           a model or tokenizer cannot be loaded or pruned
    ├── RunDirectoryError       a run directory cannot be written, or what goes there not read
    ├── StoreError              the stage store cannot be written or read
    ├── UsageError              exit code 2: bad usage
    │   ├── RecipeError         one or more problems in a recipe
    │   ├── UnknownComponent    no such component; names the nearest
    │   └── AmbiguousComponent  two plugins claim the name; lists both
    ├── PluginError             exit code 3: a plugin is missing or broken
    │   └── MissingComponent    a component of a plugin that could not be loaded
    └── OutOfMemory             exit code 1: the machine has too little memory

The message of each is a sentence for the user: what, where, expected, got,
nearest valid choice. The command line prints it and nothing else.
"""

from __future__ import annotations

import datetime
import difflib
import errno
import functools
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass


class SRFrameworkError(Exception):
    """Base of all; ``exit_code`` is what the command line ends with."""

    exit_code = 1


class DataError(SRFrameworkError):
    """A data file is not what the options say it is; names file and row."""


class BackboneError(SRFrameworkError):
    """A model or tokenizer cannot be loaded, or has no structure that can be pruned."""


class RunDirectoryError(SRFrameworkError):
    """A run directory cannot be written; says why, and what to do about it."""


class StoreError(SRFrameworkError):
    """The stage store cannot be written or read; says why, and what to do about it."""


class UsageError(SRFrameworkError):
    """The caller asked for something that does not exist or does not fit."""

    exit_code = 2


class UnknownComponent(UsageError):
    """No component of that name; the message lists the choices and the nearest.

    Attributes:
        aside: The plugins that are not loaded, which may have it, as a continuation of the message; empty for none.
        exit_code: 3 where the name is like no other and a plugin that failed to load may have it.
    """

    def __init__(self, message: str, aside: str = "", may_be_missing: bool = False) -> None:
        super().__init__(message)
        self.aside = aside
        self.exit_code = PluginError.exit_code if may_be_missing else UsageError.exit_code


class AmbiguousComponent(UsageError):
    """More than one plugin provides the name; the message lists the full names."""


class PluginError(SRFrameworkError):
    """A plugin is missing or broken; the message names its distribution."""

    exit_code = 3


class MissingComponent(PluginError):
    """A component of a plugin that failed to load; names the plugin, and why it failed."""


class OutOfMemory(SRFrameworkError):
    """The machine or its GPU has too little memory; says what was being done, and what to try."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a recipe.

    Attributes:
        where: File and line, ``quickstart.toml:12``, or the override, ``--set seed=x``.
        key: Dotted path of the key, with stages by name: ``stages.srnet.pruner.sparsity``;
            empty for the file as a whole.
        message: What was expected and what was given.
        nearest: The nearest valid name, if one is near.
        owner: The plugin that owns the option, if one does.
        exit_code: What a recipe with this problem ends with: 2, or 3 where a plugin is missing or broken.
    """

    where: str
    key: str
    message: str
    nearest: str | None = None
    owner: str | None = None
    exit_code: int = UsageError.exit_code

    def __str__(self) -> str:
        text = f"{one_line(self.where, 400)}: " + (f"{one_line(self.key, 400)}: " if self.key else "")
        text += one_line(self.message)
        if self.owner:
            text += f" (option of {one_line(self.owner, 200)})"
        return text + did_you_mean(self.nearest)


SHOWN = 20
"""How many problems are printed; of the others, their number."""


def lines_of(problems: Sequence[object]) -> list[str]:
    """A line for each of the first problems, and one that counts the rest."""
    lines = [str(problem) for problem in problems[:SHOWN]]
    return lines if len(problems) <= SHOWN else [*lines, f"and {len(problems) - SHOWN:,} more problems"]


class RecipeError(UsageError):
    """Everything that is wrong with a recipe, all at once.

    Attributes:
        problems: At least one, in the order of the file.
        exit_code: 3 where one of them is a plugin's fault.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        self.exit_code = max((problem.exit_code for problem in self.problems), default=self.exit_code)
        super().__init__("\n".join(lines_of(self.problems)))


FULL = (errno.ENOSPC, errno.EDQUOT)
"""A disk has no room left."""

OF_THE_MACHINE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, *FULL, errno.EFBIG, errno.EIO, errno.ESTALE, errno.EBUSY),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOLCK, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENXIO),
    *(errno.ENODEV, errno.ETXTBSY, errno.EMLINK, errno.ENOTSUP, errno.EOVERFLOW),
)
"""What the file system refuses, and no code of ours can mend."""

_OF_WRITING = (*FULL, errno.EROFS, errno.EFBIG, errno.ETXTBSY, errno.EEXIST, errno.ENOTEMPTY, errno.EMLINK)


def error_of_rust(error: BaseException) -> OSError | None:
    """The error of the system that safetensors or tokenizers report in the words of Rust.

    The latter report it by a bare Exception.

    >>> error_of_rust(Exception("No space left on device (os error 28)")).errno
    28
    """
    code = re.search(r"\bOs \{ code: (\d+)|\(os error (\d+)\)", str(error)) if _is_of_rust(error) else None
    if code is None:
        return None
    number = int(code[1] or code[2])
    return OSError(number, os.strerror(number))


def _is_of_rust(error: BaseException) -> bool:
    return type(error) is Exception or type(error).__name__ == "SafetensorError"


class NoFile(OSError):
    """What is to be read is no regular file, or too large; ``strerror`` says which."""

    def __init__(self, what: str, path: str | os.PathLike[str]) -> None:
        super().__init__(errno.ENOTSUP, what, os.fspath(path))


def refused(error: OSError) -> str:
    """A sentence for an error that is one of :data:`OF_THE_MACHINE`."""
    return f"{os.fsdecode(error.filename) if _is_path(error) else 'a file'}: cannot be {deed(error)}: {error.strerror}"


def deed(error: OSError, unknown: str = "read or written") -> str:
    """``"read"`` or ``"written"``: which of the two an error of the file system is about.

    Args:
        error: The error.
        unknown: What to give where neither the error nor the file that it names says it.
    """
    if isinstance(error, NoFile):
        return "read"
    if error.errno in _OF_WRITING:
        return "written"
    if error.errno in (errno.EACCES, errno.EPERM) and _is_path(error) and os.path.exists(error.filename):
        needed = os.R_OK | (os.X_OK if os.path.isdir(error.filename) else 0)
        if not os.access(error.filename, needed):
            return "read"
        if not os.access(error.filename, os.W_OK):
            return "written"
    return unknown


def _is_path(error: OSError) -> bool:
    return isinstance(error.filename, str | bytes | os.PathLike)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice most like ``word``, or None where none is near; nothing is near a word of hundreds of letters."""
    return _nearest(word, tuple(choices)) if len(word) <= _LONGEST_WORD else None


def did_you_mean(near: str | None) -> str:
    """The end of a message that offers what :func:`nearest` found; empty where it found nothing."""
    return f"; did you mean {shorten(near, 200)}?" if near else ""


_LONGEST_WORD = 200


@functools.lru_cache(maxsize=1024)
def _nearest(word: str, choices: tuple[str, ...]) -> str | None:
    near = (choice for choice in choices if len(choice) <= _LONGEST_WORD)
    close = difflib.get_close_matches(word, near, n=1, cutoff=0.6)
    return close[0] if close else None


def listed(names: Iterable[object], most: int = 40) -> str:
    """Names in a message, with commas between; of very many the first, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(one_line(str(name), 100) for name in every[:most]) + more


def one_line(text: str, limit: int = 2000) -> str:
    """``text`` as it may stand in a message: in one line, without control characters, cut to ``limit`` characters."""
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
    """A key in a dotted key of a message: as it is where it is plain, else in quotes; cut to ``limit`` characters."""
    text = str(key)
    return text if _PLAIN_KEY.fullmatch(text) and len(text) <= limit else shorten(text, limit)


_LONGEST_WORD = 400


def shorten_words(text: str) -> str:
    """A message whose words, such as paths, are cut in the middle where they have thousands of characters."""
    return re.sub(rf"\S{{{_LONGEST_WORD + 1},}}", lambda word: f"{word[0][:200]}…{word[0][-100:]}", text)


def shorten(value: object, limit: int = 60) -> str:
    """``value`` as it is shown in a message: as in TOML, in one line, cut to ``limit`` characters.

    Strings are in single quotes, as TOML's literal strings, or in double quotes where only those can show them.
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
    """A count for people: ``1,000,000``, or the power of ten where that has very many digits."""
    return f"{count:,}" if count < _MANY_DIGITS else f"about 10^{int((count.bit_length() - 1) * math.log10(2))}"
