"""Tasks in this process, one after the other."""

from __future__ import annotations

from srframework.sweeps.scheduler import Died
from srframework.sweeps.worker import Outcome, Work, perform


class Here:
    """Does a task when it is waited for.

    Args:
        threads: Of each computation; None leaves it to torch.
    """

    slots = 1
    in_process = True

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._task: tuple[str, Work] | None = None

    def submit(self, name: str, work: Work) -> None:
        """Keep the task."""
        self._task = name, work

    def wait(self) -> list[tuple[str, Outcome | Died]]:
        """Do it; an interrupt goes through."""
        assert self._task is not None, "waited for without a task"
        if self._threads is not None:
            import torch

            torch.set_num_threads(self._threads)
        (name, work), self._task = self._task, None
        return [(name, perform(work))]

    def close(self) -> None:
        """Nothing is left to stop."""
