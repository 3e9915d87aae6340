"""Submit tasks to a launcher in the order of their dependencies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from heapq import heappop, heappush

from srframework.contracts import Job, JobResult, Launcher, WorkerDied

RETRIES = 2
"""How often a task restarts after its worker died."""


@dataclass(frozen=True)
class Task:
    """A job with its dependencies.

    Attributes:
        name: Unique name.
        job: The job.
        needs: Names of the tasks that this task depends on; they come before it.
        salvage: Job to run instead if a dependency failed; its files are useful, but the task counts as failed.
            None: run nothing.
    """

    name: str
    job: Job
    needs: tuple[str, ...] = ()
    salvage: Job | None = None


@dataclass
class Events:
    """Callbacks of the scheduler.

    Attributes:
        started: A task was submitted to the launcher.
        lost: The worker of a task died; the task restarts.
        ended: A task is done or has failed, or a dependency of it has failed.
    """

    started: Callable[[Task], None] = lambda _: None
    lost: Callable[[Task, str], None] = lambda *_: None
    ended: Callable[[Task, JobResult], None] = lambda *_: None


def run(tasks: Sequence[Task], launcher: Launcher, events: Events | None = None) -> dict[str, JobResult]:
    """Run all tasks, each after its dependencies; among tasks that are ready, list order decides.

    If a task fails, the tasks that depend on it fail with the same error; all other tasks still run.

    Args:
        tasks: Each after its dependencies.
        launcher: A started launcher; it stays open.
        events: Callbacks.

    Returns:
        The outcome of every task, by task name.
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
        """Positions of the tasks whose dependencies are done, as a heap."""
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
        """Submit the tasks that are ready; tasks without a job to run fail here, which can make further tasks ready."""
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
        """The error of the first dependency that failed, or None."""
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
