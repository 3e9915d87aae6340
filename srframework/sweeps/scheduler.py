"""In which order tasks that build on one another are done: nothing here knows where they run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from heapq import heappop, heappush

from srframework.contracts import Job, JobResult, Launcher, WorkerDied

RETRIES = 2
"""How often a task is started again whose worker died."""


@dataclass(frozen=True)
class Task:
    """A piece of work.

    Attributes:
        name: Unlike that of any other task.
        job: What to do.
        needs: The names of the tasks that it builds on, which come before it.
        salvage: Done instead where one of those failed, for what it leaves: the task has failed all the same.
            None: nothing is done.
    """

    name: str
    job: Job
    needs: tuple[str, ...] = ()
    salvage: Job | None = None


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
    ended: Callable[[Task, JobResult], None] = lambda *_: None


def run(tasks: Sequence[Task], launcher: Launcher, events: Events | None = None) -> dict[str, JobResult]:
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


class _Run:
    def __init__(self, tasks: Sequence[Task], launcher: Launcher, events: Events) -> None:
        self.tasks, self.launcher, self.events = tasks, launcher, events
        self.outcomes: dict[str, JobResult] = {}
        self.places = {task.name: place for place, task in enumerate(tasks)}
        self.sorter = TopologicalSorter({task.name: task.needs for task in tasks})
        self.sorter.prepare()
        self.ready: list[int] = []
        """The places of tasks that wait for the launcher alone, as a heap."""
        self.running = 0
        self.deaths: Counter[str] = Counter()

    def all(self) -> dict[str, JobResult]:
        self._start()
        while self.running:
            for name, outcome in self.launcher.wait():
                self._ended(self.tasks[self.places[name]], outcome)
            self._start()
        return self.outcomes

    def _start(self) -> None:
        """Start what can start; a task that nothing is to be done for fails here, and those after it see that."""
        while names := self.sorter.get_ready():
            for name in names:
                task = self.tasks[self.places[name]]
                error = self._inherited(task)
                if error is not None and task.salvage is None:
                    self._settle(task, JobResult(error=error))
                else:
                    heappush(self.ready, self.places[name])
        while self.ready and (self.launcher.slots is None or self.running < self.launcher.slots):
            task = self.tasks[heappop(self.ready)]
            self.running += 1
            self.events.started(task)
            self._submit(task)

    def _inherited(self, task: Task) -> str | None:
        """The error of the first task that failed among those that the task needs."""
        return next((error for name in task.needs if (error := self.outcomes[name].error) is not None), None)

    def _submit(self, task: Task) -> None:
        failed = self._inherited(task) is not None
        self.launcher.submit(task.name, task.salvage if failed and task.salvage is not None else task.job)

    def _ended(self, task: Task, outcome: JobResult | WorkerDied) -> None:
        inherited = self._inherited(task)
        if isinstance(outcome, WorkerDied):
            self.deaths[task.name] += 1
            if self.deaths[task.name] <= RETRIES and inherited is None:
                self.events.lost(task, outcome.why)
                self._submit(task)
                return
            outcome = JobResult(error=outcome.why)
        if inherited is not None:
            outcome = JobResult(error=inherited, computed=outcome.computed)
        self.running -= 1
        self._settle(task, outcome)

    def _settle(self, task: Task, outcome: JobResult) -> None:
        self.outcomes[task.name] = outcome
        self.sorter.done(task.name)
        self.events.ended(task, outcome)
