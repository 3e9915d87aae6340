"""Run jobs in this process, one after the other."""

from __future__ import annotations

from typing import Any

from srframework.contracts import Job, JobResult, Launcher, WorkerDied
from srframework.errors import UsageError
from srframework.sweeps.worker import run_job


class SerialLauncher(Launcher):
    """Runs the job inside :meth:`wait`."""

    slots = 1
    in_process = True

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._submitted: tuple[str, Job] | None = None

    def start(self, jobs: int | None, threads: int | None) -> None:
        """Set the number of torch threads, if given."""
        if jobs not in (None, 1):
            raise UsageError(
                f"--launcher serial runs one job at a time (got --jobs {jobs}); --launcher local runs several"
            )
        if threads is not None:
            import torch

            torch.set_num_threads(threads)

    def submit(self, name: str, job: Job) -> None:
        """Store the job until :meth:`wait`."""
        self._submitted = name, job

    def wait(self) -> list[tuple[str, JobResult | WorkerDied]]:
        """Run the job; an interrupt is not caught."""
        assert self._submitted is not None, "submit comes first"
        (name, job), self._submitted = self._submitted, None
        return [(name, run_job(job))]
