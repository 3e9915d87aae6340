"""The cause of an error: a plugin, the machine, or the core.

The core calls plugins inside :class:`calling`, which turns their exceptions into a sentence that names the plugin,
the component and the stage. Two kinds of error pass unchanged: errors of :mod:`srframework.errors`, which components
raise for a user's mistake, and errors of the machine, such as a full disk.
"""

from __future__ import annotations

import contextlib
import errno
import sys
import traceback as tracebacks
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, TypeVar

from pydantic import ValidationError

from srframework.component import Options
from srframework.errors import SYSTEM_ERRORS, OutOfMemory, PluginError, SRFrameworkError, UsageError, error_of_rust

OptionsT = TypeVar("OptionsT", bound=Options)

_MACHINE = frozenset(
    {*SYSTEM_ERRORS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EPIPE, errno.ESTALE, errno.EFBIG}
)

_MAX_SHOWN = 400
"""Maximum number of characters of an error's own text that a message shows."""

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
"""Texts in RuntimeErrors of torch and of the standard library that mean out of memory."""


@dataclass(frozen=True)
class _Place:
    """The current activity of this process, for messages.

    Attributes:
        stage: Name of the current stage; may be empty.
        step: Number of the current optimizer step of the stage, from 1; 0 outside a training.
        preflight: Whether the stage is only tried; see :mod:`srframework.run.preflight`.
        doing: The activity, as a participle: ``"training"``.
        model: The owner of the current model.
    """

    stage: str = ""
    doing: str = ""
    model: str = ""
    step: int = 0
    preflight: bool = False


_place: ContextVar[_Place] = ContextVar("place", default=_Place())  # noqa: B039 -- the class is frozen


@contextlib.contextmanager
def at(
    stage: str | None = None, doing: str | None = None, model: str | None = None, preflight: bool | None = None
) -> Iterator[None]:
    """Set the stage, the activity and the model of the block, for messages; None keeps the outer value.

    Raises:
        OutOfMemory: The block ran out of memory.
        PluginError: A plugin's code failed outside :class:`calling`: in a hook of a model, or while a data set was
            read.
    """
    given: dict[str, Any] = {"stage": stage, "doing": doing, "model": model, "preflight": preflight}
    token = _place.set(replace(_place.get(), **{key: value for key, value in given.items() if value is not None}))
    try:
        yield
    except (KeyboardInterrupt, SRFrameworkError):
        raise
    except BaseException as error:
        if is_out_of_memory(error):
            raise out_of_memory(error) from error
        if not is_system_error(error) and (owner := _owner_in_traceback(error)):
            raise PluginError(f"{where()}{owner} fails: {describe(error)}") from error
        raise
    finally:
        _place.reset(token)


def reached(step: int) -> None:
    """Set the current optimizer step for messages, until the block of the stage ends; without a stage, do nothing."""
    place = _place.get()
    if place.stage:
        _place.set(replace(place, step=step))


_owners: dict[str, str] = {}
"""Module or its top-level package -> the owner of the last component that was built from it."""


def record_owner(made: object, owner: str) -> None:
    """Record the module of a component, so that errors of its code can be attributed to it."""
    module = type(made).__module__
    if (package := module.partition(".")[0]) != __name__.partition(".")[0]:
        _owners[module] = _owners[package] = owner


def _owner_in_traceback(error: BaseException) -> str:
    """Return the component whose code raised an error; empty if none did."""
    frames = [str(frame.f_globals.get("__name__", "")) for frame, _ in tracebacks.walk_tb(error.__traceback__)]
    for module in reversed(frames):
        if owner := _owners.get(module) or _owners.get(module.partition(".")[0]):
            return owner
    return ""


def where() -> str:
    """Return the current stage and step as the beginning of a message; may be empty."""
    place = _place.get()
    if not place.stage:
        return ""
    moment = "preflight of " if place.preflight else f"step {place.step} of " if place.step else ""
    return f"{moment}stages.{place.stage}: "


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, NumPy, Arrow or torch means out of memory."""
    if isinstance(error, MemoryError):  # NumPy's and Arrow's are subclasses
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    kinds = {each.__name__ for each in type(error).__mro__}
    return "OutOfMemoryError" in kinds or (isinstance(error, RuntimeError) and any(map(_text(error).count, _NO_MEMORY)))


def out_of_memory(error: BaseException) -> OutOfMemory:
    """Return the error that names the current activity and a remedy."""
    place = _place.get()
    activity = f" while {place.doing}" if place.doing else ""
    return OutOfMemory(
        f"{where()}out of memory{activity} ({describe(error)}); try a smaller training.batch_size, "
        "training.eval_batch_size or training.max_length, fewer --jobs, or a machine with more memory"
    )


def is_system_error(error: BaseException) -> bool:
    """Whether the machine caused the error: a full disk, too little memory."""
    system = error if isinstance(error, OSError) else error_of_rust(error)
    return (system is not None and system.errno in _MACHINE) or is_out_of_memory(error)


def describe(error: BaseException) -> str:
    """Return the type and the text of an error, in one line of limited length."""
    text = _text(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _text(error: BaseException) -> str:
    try:
        text = " ".join(str(error).encode("utf-8", "backslashreplace").decode().split())
    except Exception:  # noqa: BLE001 -- a plugin's exception may be broken too
        return ""
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


class calling:  # noqa: N801 -- used as a keyword: with calling(owner, "loss()"):
    """A block that runs a plugin's code; the plugin's stdout goes to stderr.

    Args:
        owner: The component, as :attr:`srframework.registry.registry.Registered.owner`; empty: nothing changes.
        method: The method or the operation: ``"loss()"``.
        passing: Additional exceptions that the caller handles.

    Raises:
        UsageError: The block raised it; the message gets the stage.
        PluginError: The block raised an exception that is not an error of srframework, an interrupt, an error of the
            machine, or one of ``passing``.
    """

    def __init__(self, owner: str, method: str, passing: tuple[type[BaseException], ...] = ()) -> None:
        self._owner, self._method, self._passing = owner, method, passing

    def __enter__(self) -> None:
        if self._owner:
            self._stdout, sys.stdout = sys.stdout, sys.stderr

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._owner:
            return
        sys.stdout = self._stdout
        if isinstance(error, UsageError) and (stage := _place.get().stage) and f"stages.{stage}" not in str(error):
            raise UsageError(f"stages.{stage}: {error}") from error
        if error is None or isinstance(error, (KeyboardInterrupt, SRFrameworkError, *self._passing)):
            return
        if not is_system_error(error):
            owner = self._owner_of(error)
            raise PluginError(f"{where()}{owner}: its {self._method} fails: {describe(error)}") from error

    def _owner_of(self, _error: BaseException) -> str:
        return self._owner


class calling_model(calling):  # noqa: N801 -- as above
    """A block that runs a model or a tokenizer. A backbone created it, and a pruner may have changed it.

    Args:
        operation: The operation: ``"forward pass"``.
    """

    def __init__(self, operation: str) -> None:
        super().__init__(_place.get().model, operation)

    def _owner_of(self, error: BaseException) -> str:
        return _owner_in_traceback(error) or self._owner


def expect(is_valid: bool, owner: str, method: str, expected: str, got: object) -> None:
    """Refuse an invalid result of a plugin's method.

    Raises:
        PluginError: ``is_valid`` is False.
    """
    if not is_valid:
        shown = got if isinstance(got, str) else kind_of(got)
        raise PluginError(f"{where()}{owner}: its {method} must return {expected} (got {shown})")


def kind_of(value: object) -> str:
    """Describe the type of a value, for messages."""
    return "None" if value is None else f"a value of type {type(value).__name__}"


def validated(model: type[OptionsT], table: Any, owner: str | None) -> OptionsT:
    """Convert a table to options of the component ``owner``; None: options of the core.

    Raises:
        ValidationError: The table is not valid.
        PluginError: The options class is wrong: a validator raises another exception, or a default is not valid.
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


def owner_of(component: object) -> str:
    """Return the owner of a guarded component, for messages; empty for any other object."""
    return str(getattr(component, "guarded_owner", ""))
