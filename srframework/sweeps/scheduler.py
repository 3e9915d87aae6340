"""In which order tasks that build on one another are done: nothing here knows where they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from srframework.sweeps.worker import Outcome, Work

RETRIES = 2
"""How often a task is started again whose worker died."""


@dataclass(frozen=True)
class Task:
    """A piece of work.

    Attributes:
        name: Unlike that of any other task.
        work: What to do.
        needs: The names of the tasks that it builds on, which come before it.
        salvage: Done instead where one of those failed, for what it leaves: the task has failed all the same.
            None: nothing is done.
    """

    name: str
    work: Work
    needs: tuple[str, ...] = ()
    salvage: Work | None = None


@dataclass(frozen=True)
class Died:
    """The process that did a task went away before it was done; ``why`` is a sentence."""

    why: str


class Launcher(Protocol):
    """Where tasks run."""

    @property
    def slots(self) -> int | None:
        """How many tasks it takes at once; None for as many as there are."""

    @property
    def in_process(self) -> bool:
        """Whether it works in this process, which shows the progress itself."""

    def submit(self, name: str, work: Work) -> None:
        """Take a task, to be done as soon as may be; at most ``slots`` are with it at a time."""

    def wait(self) -> list[tuple[str, Outcome | Died]]:
        """Wait until a task has ended, and give all that have, by their names."""

    def close(self) -> None:
        """Stop whatever still runs, and let go of everything."""


@dataclass
class Events:
    """Whom the scheduler tells.

    Attributes:
        started: A task is with the launcher.
        lost: Its worker died, and it starts again.
        ended: It is done, or has failed; tasks that fail for what they build on end too.
    """

    started: Callable[[Task], None] = lambda _: None
    lost: Callable[[Task, str], None] = lambda *_: None
    ended: Callable[[Task, Outcome], None] = lambda *_: None


def run(tasks: Sequence[Task], launcher: Launcher, events: Events | None = None) -> dict[str, Outcome]:
    """Do all tasks, each after those that it needs; of those that can start, the first in the list first.

    A task that fails fails those that need it, with its own error; everything else goes on.

    Args:
        tasks: Each after those that it needs.
        launcher: Left open.
        events: Whom to tell.

    Returns:
        The outcome of every task, by its name.
    """
    return _Run(tasks, launcher, events or Events()).all()


@dataclass
class _Run:
    tasks: Sequence[Task]
    launcher: Launcher
    events: Events
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    started: dict[str, Task] = field(default_factory=dict)
    deaths: dict[str, int] = field(default_factory=dict)

    def all(self) -> dict[str, Outcome]:
        while len(self.outcomes) < len(self.tasks):
            self._start()
            if len(self.outcomes) == len(self.tasks):
                break
            for name, outcome in self.launcher.wait():
                self._ended(self.started[name], outcome)
        return self.outcomes

    def _start(self) -> None:
        """Start what can start; a task that nothing is to be done for fails here, and those after it see that."""
        for task in self.tasks:
            settled = task.name in self.outcomes or task.name in self.started
            if settled or not all(name in self.outcomes for name in task.needs):
                continue
            error = self._inherited(task)
            if error is not None and task.salvage is None:
                self._settle(task, Outcome(error=error))
            elif self.launcher.slots is None or self._running() < self.launcher.slots:
                self.started[task.name] = task
                self.events.started(task)
                self._submit(task)

    def _running(self) -> int:
        return len(self.started.keys() - self.outcomes.keys())

    def _inherited(self, task: Task) -> str | None:
        """The error of the first task that failed among those that the task needs."""
        return next((error for name in task.needs if (error := self.outcomes[name].error) is not None), None)

    def _submit(self, task: Task) -> None:
        failed = self._inherited(task) is not None
        self.launcher.submit(task.name, task.salvage if failed and task.salvage is not None else task.work)

    def _ended(self, task: Task, outcome: Outcome | Died) -> None:
        inherited = self._inherited(task)
        if isinstance(outcome, Died):
            deaths = self.deaths[task.name] = self.deaths.get(task.name, 0) + 1
            if deaths <= RETRIES and inherited is None:
                self.events.lost(task, outcome.why)
                self._submit(task)
                return
            outcome = Outcome(error=outcome.why)
        if inherited is not None:
            outcome = Outcome(error=inherited, computed=outcome.computed)
        self._settle(task, outcome)

    def _settle(self, task: Task, outcome: Outcome) -> None:
        self.outcomes[task.name] = outcome
        self.events.ended(task, outcome)
