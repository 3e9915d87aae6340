"""Make stdout and stderr safe: closed streams, pipes without a reader, full disks."""

from __future__ import annotations

import atexit
import contextlib
import errno
import io
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import click

from srframework.faults import describe
from srframework.text import shorten_words

PATIENCE = 2.0
"""Seconds that threads of plugins get to end by themselves."""


_NARROW = 20
"""Columns of a terminal in which nothing is wrapped."""


def prepare() -> None:
    """Make both streams usable; errors in threads and finalizers become one line each from now on."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed: the next file that is opened would get its number
            with contextlib.suppress(OSError):
                while (opened := os.open(os.devnull, os.O_RDWR)) < descriptor:
                    pass
                if opened != descriptor:
                    os.close(opened)
            setattr(sys, name, open(os.devnull, "r" if descriptor == 0 else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # the paper's notation, on a terminal that has no θ
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _of_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _unraisable


def _of_thread(args: Any) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread is not None else "a thread"
        tell(f"warning: {name} failed: {describe(args.exc_value)}")


def _unraisable(args: Any) -> None:
    if isinstance(args.exc_value, BrokenPipeError):
        return
    what = " ".join(str(args.err_msg or "an error that nothing handles").split())
    tell(f"warning: {what}: {describe(args.exc_value) if args.exc_value is not None else args.exc_type.__name__}")


def tell(text: str) -> None:
    """Print a line on stderr; do nothing if that is impossible."""
    with contextlib.suppress(OSError, ValueError):
        echo_error(shorten_words(text))


def echo_error(text: str) -> None:
    """Print on stderr; in a terminal, lines are wrapped between words."""
    try:
        width = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError, AttributeError):  # no terminal
        width = 0
    click.echo("\n".join(wrapped(line, width) for line in text.splitlines()) if width > _NARROW else text, err=True)


def wrapped(line: str, width: int) -> str:
    """A line, wrapped between words but not inside `a command`; unchanged if a word or a command is wider.

    A command or a path that the user copies thus never has a line end in it.
    """
    words = re.findall(r"\s*(?:[^\s`]*`[^`]*`[^\s`]*|\S+)", line)
    if len(line) <= width or any(len(word.strip()) > width for word in words):
        return line
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1] + word) > width:
            lines.append(word.lstrip())
        else:
            lines[-1] += word
    return "\n".join(lines)


def is_broken_pipe(error: BaseException) -> bool:
    """Whether the reader of stdout or stderr went away; click ends with SystemExit then."""
    cause = error.__context__ if isinstance(error, SystemExit) else error
    return isinstance(cause, OSError) and cause.errno == errno.EPIPE


def finish(code: int) -> int:
    """Flush stdout and close it for further output; return the exit code."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        if not is_broken_pipe(error):
            reason = error.strerror if isinstance(error, OSError) else error
            if code == 0:
                tell(f"error: stdout: cannot be written: {reason}")
        code = code or 1
        _discard(sys.stdout)
    atexit.register(_results_are_out)
    return code


def _discard(stream: Any) -> None:
    """Discard the rest of a stream's buffer; otherwise the interpreter writes it again at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _results_are_out() -> None:
    """Redirect prints of plugins at exit to stderr. Registered last, so called first."""
    if sys.stderr is not None and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = sys.stderr


def watch_threads() -> set[threading.Thread]:
    """The threads that exist before any plugin is loaded."""
    return set(threading.enumerate())


def leave_threads(before: set[threading.Thread], code: int, leave: Callable[[int], None] = os._exit) -> None:
    """End the process even if threads of plugins never end."""
    end = time.monotonic() + PATIENCE
    left = [each for each in threading.enumerate() if each not in before and not each.daemon]
    for thread in left:
        thread.join(max(0.0, end - time.monotonic()))
    if still := [thread.name for thread in left if thread.is_alive()]:
        tell(f"warning: stopped a thread that was still running: {', '.join(still)}")
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        leave(code)
