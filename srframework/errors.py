"""Every exception that srframework raises on purpose, as one tree.

::

    SRFrameworkError            exit code 1: the run failed
    ├── DataError               a data file is not what the options say it is
    ├── BackboneError           a model or tokenizer cannot be loaded or pruned
    ├── RunDirectoryError       a run directory cannot be written
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

import difflib
import errno
from collections.abc import Iterable, Sequence
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
        text = f"{self.where}: " + (f"{self.key}: " if self.key else "") + self.message
        if self.owner:
            text += f" (option of {self.owner})"
        if self.nearest:
            text += f"; did you mean {self.nearest!r}?"
        return text


class RecipeError(UsageError):
    """Everything that is wrong with a recipe, all at once.

    Attributes:
        problems: At least one, in the order of the file.
        exit_code: 3 where one of them is a plugin's fault.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        self.exit_code = max((problem.exit_code for problem in self.problems), default=self.exit_code)
        super().__init__("\n".join(str(problem) for problem in self.problems))


OF_THE_MACHINE = (errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS)
"""What the file system refuses, and no code of ours can mend."""


def refused(error: OSError) -> str:
    """A sentence for an error that is one of :data:`OF_THE_MACHINE`."""
    return f"{error.filename or 'a file'}: cannot be written: {error.strerror}"


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice most like ``word``, or None where none is near."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return close[0] if close else None


def shorten(value: object, limit: int = 60) -> str:
    """``value`` as it is shown in a message: its ``repr``, cut to ``limit`` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
