"""Signals that are to stop a process: it puts its things in order first; a training writes what it needs to go on."""

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
"""Ctrl-C, what a cluster sends before it kills, and what a terminal sends that is closed."""


@contextmanager
def terminable() -> Iterator[None]:
    """Have SIGTERM and SIGHUP interrupt this block as Ctrl-C does, where they would end the process at once."""
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
    """Keep signals that are to stop this process until the end of the block, which is short."""
    with DeferredSignals(lambda _: None, hurry=False):
        yield


class DeferredSignals:
    """The signals of :data:`ENDING`, while this is entered.

    The first is kept until :meth:`deliver`; a second is delivered at once, since somebody is in a hurry. Nothing is
    held outside the main thread, where Python handles none.

    Args:
        note: Told when one is kept.
        holding: Whether to hold any.
        hurry: Whether a second one is delivered at once.
    """

    def __init__(self, note: Callable[[str], None], holding: bool = True, hurry: bool = True) -> None:
        self._note, self._holding, self._hurry = note, holding, hurry
        self._before: dict[int, Any] = {}
        self.held: int | None = None

    def __enter__(self) -> DeferredSignals:
        if self._holding and threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._hold)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        if self.held is not None:
            self.deliver()

    def deliver(self) -> None:
        """Let the signal that is held have its effect, if there is one."""
        number, self.held = self.held, None
        self._restore()
        if number is not None:
            os.kill(os.getpid(), number)

    def _hold(self, number: int, _frame: FrameType | None) -> None:
        hurry, self.held = self._hurry and self.held is not None, number
        if hurry:
            self.deliver()
        else:
            with contextlib.suppress(RuntimeError):  # of a stream that is just being written to
                self._note("Stopping after this step and saving a checkpoint. Press Ctrl-C again to stop now.")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
