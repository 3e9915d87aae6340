"""Runs jobs on a Ray cluster, or on a new one on this machine."""

from __future__ import annotations

import importlib
import os
from typing import Any

from srf_ray.options import RayOptions
from srframework import Job, JobResult, Launcher, UsageError, WorkerDied, run_job

PATIENCE = 10.0
"""Seconds that a job has to stop after it was cancelled."""

_QUIET = {
    "RAY_COLOR_PREFIX": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the default of future versions; avoids a warning
}


class RayLauncher(Launcher):
    """Runs each job as a Ray task. If the cluster has GPUs, each task uses one."""

    options: RayOptions

    def __init__(self, options: RayOptions) -> None:
        super().__init__(options)
        self._ray: Any = None
        self._names: dict[Any, str] = {}

    def start(self, jobs: int | None, threads: int | None) -> None:
        """Connect to the cluster, or start one.

        Args:
            jobs: Maximum number of parallel jobs; None: as many as fit on the cluster.
            threads: Threads of each job, and CPUs to ask for; None: $OMP_NUM_THREADS, or the CPUs of this
                machine divided by ``jobs``; 1 if ``jobs`` is None too.

        Raises:
            UsageError: Ray is not installed, or the cluster cannot be reached.
        """
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError:
            raise UsageError("--launcher ray: Ray is not installed; pip install 'srframework[ray]'") from None
        self.slots = jobs
        self._threads = threads or (_share(jobs) if jobs else 1)
        address = self.options.address or os.environ.get("RAY_ADDRESS") or "local"
        here = {"num_cpus": max(_cpus(), self._threads * (jobs or 1)), "include_dashboard": False}
        try:
            ray.init(
                address=address, log_to_driver=False, logging_level="ERROR", **(here if address == "local" else {})
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UsageError(
                f"--launcher-option address={address}: the Ray cluster cannot be reached: {reason}"
            ) from error
        self._ray = ray
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        # No retries by Ray: the scheduler resubmits the job of a worker that died.
        self._remote = ray.remote(num_cpus=self._threads, num_gpus=gpus, max_retries=0)(_run)

    def submit(self, name: str, job: Job) -> None:
        """Submit the job; the cluster starts it when it has free CPUs."""
        reference = self._remote.options(name=f"srframework {name}").remote(job, self._threads)
        self._names[reference] = name

    def wait(self) -> list[tuple[str, JobResult | WorkerDied]]:
        """Wait for the first job that ends."""
        done, _ = self._ray.wait(list(self._names))
        return [(self._names.pop(reference), self._result(reference)) for reference in done]

    def _result(self, reference: Any) -> JobResult | WorkerDied:
        errors = self._ray.exceptions
        try:
            result: JobResult = self._ray.get(reference)
        except errors.OutOfMemoryError:
            return WorkerDied("Ray stopped the worker process because its machine was out of memory")
        except (errors.WorkerCrashedError, errors.NodeDiedError):
            return WorkerDied("the worker process died (out of memory?)")
        except errors.RayError as error:
            return JobResult(error=f"Ray: {str(error).strip().splitlines()[-1]}")
        return result

    def close(self) -> None:
        """Stop the running jobs, and the cluster if it was started here."""
        if self._ray is None:
            return
        for reference in self._names:
            self._ray.cancel(reference)
        if self._names:
            self._ray.wait(list(self._names), num_returns=len(self._names), timeout=PATIENCE)
        self._ray.shutdown()


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _share(jobs: int) -> int:
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else max(1, _cpus() // jobs)


def _run(job: Job, threads: int) -> JobResult:
    """Run a job in the worker process."""
    os.chdir(job.cwd)
    import torch

    torch.set_num_threads(threads)
    return run_job(job)
