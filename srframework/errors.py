"""Every exception that srframework raises on purpose, as one tree.

::

    SRFrameworkError            exit code 1: the run failed
    ├── DataError               a data file does not match the options
    │   └── MissingColumn       a data file lacks a column; names the nearest
    ├── BackboneError           a model or tokenizer cannot be loaded or pruned
    ├── RunDirectoryError       a run directory, or its source files, cannot be written or read
    ├── StoreError              the stage store cannot be written or read
    ├── UsageError              exit code 2: bad usage
    │   ├── RecipeError         one or more problems in a recipe
    │   ├── UnknownComponent    no such component; names the nearest
    │   └── AmbiguousComponent  two plugins claim the name; lists both
    ├── PluginError             exit code 3: a plugin is missing or broken
    │   └── MissingComponent    a component of a plugin that could not be loaded
    └── OutOfMemory             exit code 1: the machine has too little memory

Each message is a sentence for the user: problem, place, expected, got,
nearest valid choice. The command line prints only this sentence.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from srframework.text import did_you_mean, one_line


class SRFrameworkError(Exception):
    """Base class of all errors; ``exit_code`` is the exit code of the command."""

    exit_code = 1


class DataError(SRFrameworkError):
    """A data file does not match the options; names file and row."""


class MissingColumn(DataError):
    """A data file lacks a column.

    Attributes:
        column: The name of the column.
        near: The most similar column of the file, if any; the message names it.
    """

    def __init__(self, message: str, column: str, near: str | None) -> None:
        super().__init__(message + did_you_mean(near))
        self.column, self.near = column, near


class BackboneError(SRFrameworkError):
    """A model or tokenizer cannot be loaded, or the model cannot be pruned."""


class RunDirectoryError(SRFrameworkError):
    """A run directory cannot be written or read; gives the reason and a remedy."""


class StoreError(SRFrameworkError):
    """The stage store cannot be written or read; gives the reason and a remedy."""


class UsageError(SRFrameworkError):
    """The request is not valid, or names something that does not exist."""

    exit_code = 2


class UnknownComponent(UsageError):
    """No component has this name; the message lists the choices and the nearest.

    Attributes:
        aside: Continuation of the message: plugins that are not loaded and may have the component; may be empty.
        exit_code: 3 if no other name is similar and a plugin that failed to load may have the component.
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
    """The component belongs to a plugin that failed to load; names the plugin and the reason."""


class OutOfMemory(SRFrameworkError):
    """The machine or its GPU has too little memory; names the operation and a remedy."""


@dataclass(frozen=True)
class Problem:
    """One problem in a recipe.

    Attributes:
        where: File and line, ``quickstart.toml:12``, or the override, ``--set seed=x``.
        key: Dotted path of the key, with stages by name: ``stages.srnet.pruner.sparsity``;
            empty if the problem concerns the entire file.
        message: The expected and the actual value.
        nearest: The nearest valid name, if one is similar.
        owner: The plugin that owns the option, if any.
        exit_code: Exit code for this problem: 2, or 3 if a plugin is missing or broken.
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
"""Maximum number of problems that are printed; the others are counted."""


def lines_of(problems: Sequence[object]) -> list[str]:
    """Return one line for each of the first problems, and a line that counts the others."""
    lines = [str(problem) for problem in problems[:SHOWN]]
    return lines if len(problems) <= SHOWN else [*lines, f"and {len(problems) - SHOWN:,} more problems"]


class RecipeError(UsageError):
    """All problems of a recipe.

    Attributes:
        problems: At least one, in the order of the file.
        exit_code: 3 if a plugin causes one of them.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        self.exit_code = max((problem.exit_code for problem in self.problems), default=self.exit_code)
        super().__init__("\n".join(lines_of(self.problems)))


FULL = (errno.ENOSPC, errno.EDQUOT)
"""The disk is full."""

SYSTEM_ERRORS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, *FULL, errno.EFBIG, errno.EIO, errno.ESTALE, errno.EBUSY),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOLCK, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENXIO),
    *(errno.ENODEV, errno.ETXTBSY, errno.EMLINK, errno.ENOTSUP, errno.EOVERFLOW),
)
"""Errors of the file system that our code cannot repair."""

_WRITE_ERRORS = (*FULL, errno.EROFS, errno.EFBIG, errno.ETXTBSY, errno.EEXIST, errno.ENOTEMPTY, errno.EMLINK)


def error_of_rust(error: BaseException) -> OSError | None:
    """Return the system error that a Rust library (safetensors, tokenizers) reports as text; None if there is none.

    tokenizers raises a plain Exception.

    >>> error_of_rust(Exception("No space left on device (os error 28)")).errno
    28
    """
    code = re.search(r"\bOs \{ code: (\d+)|\(os error (\d+)\)", str(error)) if _is_from_rust(error) else None
    if code is None:
        return None
    number = int(code[1] or code[2])
    return OSError(number, os.strerror(number))


def _is_from_rust(error: BaseException) -> bool:
    return type(error) is Exception or type(error).__name__ == "SafetensorError"


class NoFile(OSError):
    """The input is not a regular file, or it is too large; ``strerror`` says which."""

    def __init__(self, reason: str, path: str | os.PathLike[str]) -> None:
        super().__init__(errno.ENOTSUP, reason, os.fspath(path))


def refused(error: OSError) -> str:
    """Return a sentence for an error of :data:`SYSTEM_ERRORS`."""
    path = os.fsdecode(error.filename) if _is_path(error) else "a file"
    return f"{path}: cannot be {failed_operation(error)}: {error.strerror}"


def failed_operation(error: OSError, unknown: str = "read or written") -> str:
    """Return the operation that failed with an error of the file system, ``"read"`` or ``"written"``.

    Args:
        error: The error.
        unknown: Result if neither the error nor its file shows the operation.
    """
    if isinstance(error, NoFile):
        return "read"
    if error.errno in _WRITE_ERRORS:
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
