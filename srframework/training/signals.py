"""Signals that stop a process. It cleans up before it ends, and a training saves a checkpoint."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Sent by Ctrl-C, by a cluster before it kills a process, and by a terminal that closes."""


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt this block as Ctrl-C does; by default they end the process at once."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in ENDING:
            if number != signal.SIGINT and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def shielded() -> Iterator[None]:
    """Defer signals that stop this process to the end of the block, which must be short."""
    with DeferredSignals(lambda _: None, repeat_stops=False):
        yield


class DeferredSignals:
    """Context manager that defers the signals of :data:`ENDING`.

    The first signal is deferred until :meth:`deliver`; a second is delivered at once. Outside the main thread nothing
    is deferred, because Python handles no signals there.

    Args:
        note: Called with a sentence when a signal is deferred.
        enabled: Whether to defer any signal.
        repeat_stops: Whether a second signal is delivered at once.

    Attributes:
        pending: Number of the deferred signal; None without one.
    """

    def __init__(self, note: Callable[[str], None], enabled: bool = True, repeat_stops: bool = True) -> None:
        self._note, self._enabled, self._repeat_stops = note, enabled, repeat_stops
        self._before: dict[int, Any] = {}
        self.pending: int | None = None

    def __enter__(self) -> DeferredSignals:
        if self._enabled and threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._defer)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        if self.pending is not None:
            self.deliver()

    def deliver(self) -> None:
        """Deliver the deferred signal, if any."""
        number, self.pending = self.pending, None
        self._restore()
        if number is not None:
            os.kill(os.getpid(), number)

    def _defer(self, number: int, _frame: FrameType | None) -> None:
        is_repeated, self.pending = self.pending is not None, number
        if is_repeated and self._repeat_stops:
            self.deliver()
        else:
            with contextlib.suppress(RuntimeError):  # the signal may interrupt a write to the same stream
                self._note("Stopping after this step and saving a checkpoint. Press Ctrl-C again to stop now.")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
