"""Writes the traceback of an unexpected error to a file. The message on stderr names the file."""

from __future__ import annotations

import contextlib
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from srframework.errors import SYSTEM_ERRORS, SRFrameworkError, refused
from srframework.faults import describe, is_out_of_memory, out_of_memory

LOG = "error.log"
"""The file in a run directory for tracebacks."""

_AT = "_srframework_log"


def belongs_to(error: BaseException, directory: Path) -> None:
    """Choose the run directory for the traceback of an error; only the first call has an effect."""
    if not hasattr(error, _AT):
        with contextlib.suppress(Exception):  # an exception of a plugin may refuse attributes
            setattr(error, _AT, directory / LOG)


def sentence(error: BaseException, log: Path | None = None) -> str:
    """Return the message for any error. If a traceback helps, write it to a file that the message names.

    Args:
        error: Any error.
        log: File to append the traceback to; None: the log of the error's run directory, or else a temporary file.
    """
    if isinstance(error, SRFrameworkError):
        text = f"{error}{getattr(error, 'aside', '')}"
        # The cause is an error in a plugin; its author needs the traceback.
        return f"{text}; {_written(error, log)}" if error.exit_code == 3 and error.__cause__ is not None else text
    if is_out_of_memory(error):
        return str(out_of_memory(error))
    if isinstance(error, OSError) and error.errno in SYSTEM_ERRORS:
        return refused(error) if error.filename else f"stdout or a file cannot be written: {error.strerror}"
    return f"internal error: {describe(error)}; please report it; {_written(error, log)}"


def _written(error: BaseException, log: Path | None) -> str:
    """Write the traceback to a file; return a clause that names the file."""
    text = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n{formatted(error)}\n"
    file = log or getattr(error, _AT, None)
    try:
        if file is not None and file.parent.is_dir():
            with contextlib.suppress(OSError):
                with file.open("a", encoding="utf-8", errors="backslashreplace") as opened:
                    opened.write(text)
                return f"the traceback is in {file}"
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", errors="backslashreplace", prefix="srframework-", suffix=".log", delete=False
        ) as temporary:
            temporary.write(text)
    except (OSError, MemoryError) as failure:
        return f"the traceback cannot be written ({describe(failure)}); --debug shows it"
    return f"the traceback is in {temporary.name}"


def formatted(error: BaseException) -> str:
    """Return the traceback of any error as text."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception as failure:  # noqa: BLE001 -- an exception of a plugin may be broken too
        lines = traceback.format_tb(error.__traceback__)
        return "".join([*lines, f"{describe(error)} (its text cannot be shown: {describe(failure)})\n"])
