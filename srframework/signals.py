"""Signals that are to stop a training: held back until what it needs to go on is written."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class HeldSignals:
    """SIGINT (Ctrl-C) and SIGTERM (what a cluster sends before it kills), while this is entered.

    The first is kept until :meth:`deliver`; a second is delivered at once, since somebody is in a hurry. Nothing is
    held outside the main thread, where Python handles none.

    Args:
        note: Told when one is kept.
        holding: Whether to hold any.
    """

    def __init__(self, note: Callable[[str], None], holding: bool = True) -> None:
        self._note, self._holding = note, holding
        self._before: dict[int, Any] = {}
        self.held: int | None = None

    def __enter__(self) -> HeldSignals:
        if self._holding and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
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
        hurry, self.held = self.held is not None, number
        if hurry:
            self.deliver()
        else:
            with contextlib.suppress(RuntimeError):  # of a stream that is just being written to
                self._note("stopping: a checkpoint is written after this step; once more stops at once")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
