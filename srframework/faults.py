"""Whose fault an error is: a plugin's, the machine's, or ours.

The core calls plugins inside :class:`calling`, which turns whatever they raise into a sentence that names the plugin,
the component and the stage. Errors of our own tree pass, since a component raises them for a user's mistake; so do
errors of the machine, such as a full disk.
"""

from __future__ import annotations

import contextlib
import errno
import sys
import traceback as tracebacks
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, TypeVar

from pydantic import ValidationError

from srframework.component import Options
from srframework.errors import OF_THE_MACHINE, OutOfMemory, PluginError, SRFrameworkError, error_of_rust

OptionsT = TypeVar("OptionsT", bound=Options)

_MACHINE = frozenset(
    {*OF_THE_MACHINE, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EPIPE, errno.ESTALE, errno.EFBIG}
)

_LONGEST = 400
"""Characters of an error's own text that are shown."""

_NO_MEMORY = (
    "DefaultCPUAllocator",
    "can't allocate memory",
    "Cannot allocate memory",
    "not enough memory",
    "out of memory",
    "std::bad_alloc",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "can't start new thread",
)
"""How the RuntimeErrors of torch and of the standard library say that there is no memory left."""


@dataclass(frozen=True)
class _Place:
    """What this process is doing.

    Attributes:
        stage: Name of the stage that is checked or runs; empty for none.
        doing: For a sentence: ``"training"``.
        model: The owner of the model that is in use, for messages.
    """

    stage: str = ""
    doing: str = ""
    model: str = ""


_place: ContextVar[_Place] = ContextVar("place", default=_Place())  # noqa: B039 -- it is frozen


@contextlib.contextmanager
def at(stage: str | None = None, doing: str | None = None, model: str | None = None) -> Iterator[None]:
    """Say, for messages, in which stage the block is, what it does, and with whose model; None: as around it.

    Raises:
        OutOfMemory: The block ran out of memory.
        PluginError: It failed in the code of a plugin, outside :class:`calling`: in a hook of a model, or as a data set
            was read.
    """
    given = {"stage": stage, "doing": doing, "model": model}
    token = _place.set(replace(_place.get(), **{key: value for key, value in given.items() if value is not None}))
    try:
        yield
    except (KeyboardInterrupt, SRFrameworkError):
        raise
    except BaseException as error:
        if is_out_of_memory(error):
            raise out_of_memory(error) from error
        if not is_of_the_machine(error) and (owner := _culprit(error)):
            raise PluginError(f"{where()}{owner} fails: {describe(error)}") from error
        raise
    finally:
        _place.reset(token)


_owners: dict[str, str] = {}
"""Module, or the package that it is in -> the component that was built from it last."""


def built(made: object, owner: str) -> None:
    """Remember from which module a component comes, so that errors of its code can be told from ours."""
    module = type(made).__module__
    if (package := module.partition(".")[0]) != __name__.partition(".")[0]:
        _owners[module] = _owners[package] = owner


def _culprit(error: BaseException) -> str:
    """The component in whose code an error was raised; empty where it was in none."""
    frames = [str(frame.f_globals.get("__name__", "")) for frame, _ in tracebacks.walk_tb(error.__traceback__)]
    for module in reversed(frames):
        if owner := _owners.get(module) or _owners.get(module.partition(".")[0]):
            return owner
    return ""


def where() -> str:
    """The stage that is checked or runs, as the beginning of a message; empty for none."""
    stage = _place.get().stage
    return f"stages.{stage}: " if stage else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, NumPy, Arrow or torch says that there is no memory left."""
    if isinstance(error, MemoryError):  # NumPy's and Arrow's are subclasses
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    kinds = {each.__name__ for each in type(error).__mro__}
    return "OutOfMemoryError" in kinds or (isinstance(error, RuntimeError) and any(map(_text(error).count, _NO_MEMORY)))


def out_of_memory(error: BaseException) -> OutOfMemory:
    """A sentence for it: what was being done, and what to try."""
    place = _place.get()
    what = f" while {place.doing}" if place.doing else ""
    return OutOfMemory(
        f"{where()}out of memory{what} ({describe(error)}); try a smaller training.batch_size, "
        "training.eval_batch_size or training.max_length, fewer --jobs, or a machine with more memory"
    )


def is_of_the_machine(error: BaseException) -> bool:
    """Whether the machine refuses something that no code can mend: a full disk, too little memory."""
    refused = error if isinstance(error, OSError) else error_of_rust(error)
    return (refused is not None and refused.errno in _MACHINE) or is_out_of_memory(error)


def describe(error: BaseException) -> str:
    """Type and text of any error, in one line of bounded length."""
    text = _text(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _text(error: BaseException) -> str:
    try:
        text = " ".join(str(error).encode("utf-8", "backslashreplace").decode().split())
    except Exception:  # noqa: BLE001 -- a stranger's exception may be broken too
        return ""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


class calling:  # noqa: N801 -- used as a keyword: with calling(owner, "loss()"):
    """A block in which a plugin's code runs; what that prints goes to stderr.

    Args:
        owner: The component, as :attr:`srframework.registry.registry.Registered.owner`; empty: nothing changes.
        what: What of it is called: ``"loss()"``.
        passing: Further exceptions that are the caller's to handle.

    Raises:
        PluginError: The block raised anything but an error of our tree, an interrupt, or an error of the machine.
    """

    def __init__(self, owner: str, what: str, passing: tuple[type[BaseException], ...] = ()) -> None:
        self._owner, self._what, self._passing = owner, what, passing

    def __enter__(self) -> None:
        if self._owner:
            self._stdout, sys.stdout = sys.stdout, sys.stderr

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._owner:
            return
        sys.stdout = self._stdout
        if error is None or isinstance(error, (KeyboardInterrupt, SRFrameworkError, *self._passing)):
            return
        if not is_of_the_machine(error):
            owner = self._owner_of(error)
            raise PluginError(f"{where()}{owner}: its {self._what} fails: {describe(error)}") from error

    def _owner_of(self, _error: BaseException) -> str:
        return self._owner


class calling_model(calling):  # noqa: N801 -- as above
    """A block in which a model or tokenizer runs: a backbone made it, and a pruner may have changed it.

    Args:
        what: What of it is called: ``"forward pass"``.
    """

    def __init__(self, what: str) -> None:
        super().__init__(_place.get().model, what)

    def _owner_of(self, error: BaseException) -> str:
        return _culprit(error) or self._owner


def expect(holds: bool, owner: str, what: str, expected: str, got: object) -> None:
    """Refuse what a plugin's code gave back.

    Raises:
        PluginError: It does not hold.
    """
    if not holds:
        shown = got if isinstance(got, str) else kind_of(got)
        raise PluginError(f"{where()}{owner}: its {what} must return {expected} (got {shown})")


def kind_of(value: object) -> str:
    """The type of a value, for messages."""
    return "None" if value is None else f"a value of type {type(value).__name__}"


def validated(model: type[OptionsT], table: Any, owner: str | None) -> OptionsT:
    """A table as options, which belong to the component ``owner``, or to us where that is None.

    Raises:
        ValidationError: The table is wrong.
        PluginError: The options are: a validator raises what it should not, or a default is not valid.
    """
    with calling(owner or "", "check of its options", passing=(ValidationError,)):
        try:
            return model.model_validate(table)
        except ValidationError as error:
            for each in error.errors() if owner else ():
                option = str(each["loc"][0]) if each["loc"] else ""
                if option in model.model_fields and each["type"] != "missing" and option not in table:
                    text = f"{where()}{owner}: the default of its option {option!r} is not valid: {each['msg']}"
                    raise PluginError(text) from error
            raise


Check = Callable[[Any, str, str], Any]
"""Checks what a method gave: takes it, the owner, and the method's name for messages; gives it back."""


def owner_of(component: object) -> str:
    """The owner of a guarded component, for messages; empty for any other object."""
    return str(getattr(component, "guarded_owner", ""))
