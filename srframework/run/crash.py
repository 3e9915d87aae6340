"""The traceback of an error that is no user's mistake: into a file, which the sentence on stderr names."""

from __future__ import annotations

import contextlib
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from srframework.errors import SYSTEM_ERRORS, SRFrameworkError, refused
from srframework.faults import describe, is_out_of_memory, out_of_memory

LOG = "error.log"
"""The file in a run directory that has the tracebacks."""

_AT = "_srframework_log"


def belongs_to(error: BaseException, directory: Path) -> None:
    """Have the traceback of an error written into a run directory, once it comes to that; the first call counts."""
    if not hasattr(error, _AT):
        with contextlib.suppress(Exception):  # a stranger's exception may refuse attributes
            setattr(error, _AT, directory / LOG)


def sentence(error: BaseException, log: Path | None = None) -> str:
    """What a user reads of an error, whatever it is; a traceback, where it helps, goes to a file that is named.

    Args:
        error: Any.
        log: File to add the traceback to; None for that of the run directory it belongs to, or else a temporary one.
    """
    if isinstance(error, SRFrameworkError):
        text = f"{error}{getattr(error, 'aside', '')}"
        # The cause is a plugin's own error: its author wants to know where it was raised.
        return f"{text}; {_written(error, log)}" if error.exit_code == 3 and error.__cause__ is not None else text
    if is_out_of_memory(error):
        return str(out_of_memory(error))
    if isinstance(error, OSError) and error.errno in SYSTEM_ERRORS:
        return refused(error) if error.filename else f"stdout or a file cannot be written: {error.strerror}"
    return f"internal error: {describe(error)}; please report it; {_written(error, log)}"


def _written(error: BaseException, log: Path | None) -> str:
    """Write the traceback; say where it is."""
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
    """The traceback as text, whatever the error is."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception as failure:  # noqa: BLE001 -- a stranger's exception may be broken too
        lines = traceback.format_tb(error.__traceback__)
        return "".join([*lines, f"{describe(error)} (its text cannot be shown: {describe(failure)})\n"])
