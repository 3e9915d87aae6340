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

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from srframework.text import did_you_mean, one_line


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
