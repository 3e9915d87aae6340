"""Tasks on a Ray cluster, or on one that is started for them on this machine."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any

from srframework.errors import UsageError
from srframework.sweeps.launchers import cpus
from srframework.sweeps.scheduler import Died
from srframework.sweeps.worker import Outcome, Work, perform

RETRIES = 3
"""How often Ray starts a task again whose worker died."""

PATIENCE = 10.0
"""Seconds in which a task that is told to stop may put its things in order."""

_QUIET = {
    "RAY_COLOR_PREFIX": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what a future Ray does anyway, and warns about until then
}


class OnRay:
    """A Ray task for each.

    Args:
        address: Of the cluster, as ``ray.init`` takes it; None for ``$RAY_ADDRESS``, or, without it, a cluster of this
            machine alone, which goes when the sweep does. The store and the runs must be on a file
            system that all of its machines see under one path.
        jobs: How many tasks at once; None for as many as the cluster takes.
        threads: Of each task, and the CPUs that it asks for.

    Where the cluster has GPUs, a task asks for one. Until :meth:`close`, what is written to stdout goes to stderr.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """

    in_process = False

    def __init__(self, address: str | None, jobs: int | None, threads: int) -> None:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError:
            raise UsageError("--launcher ray: Ray is not installed; pip install 'srframework[ray]'") from None
        self._ray = ray
        self.slots = jobs
        self._names: dict[Any, str] = {}
        address = address or os.environ.get("RAY_ADDRESS") or "local"
        here = {"num_cpus": max(cpus(), threads * (jobs or 1)), "include_dashboard": False}
        try:
            ray.init(
                address=address, log_to_driver=False, logging_level="ERROR", **(here if address == "local" else {})
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UsageError(f"--address {address}: expected a Ray cluster, got none: {reason}") from error
        # Ray tells of a worker that died on stdout, which is for results.
        self._redirected = contextlib.redirect_stdout(sys.stderr)
        self._redirected.__enter__()
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        self._remote = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=RETRIES)(_perform)
        self._threads = threads

    def submit(self, name: str, work: Work) -> None:
        """Give the task to the cluster, which starts it when there is room."""
        reference = self._remote.options(name=f"srframework {name}").remote(work, self._threads)
        self._names[reference] = name

    def wait(self) -> list[tuple[str, Outcome | Died]]:
        """Wait for the first that ends."""
        done, _ = self._ray.wait(list(self._names))
        return [(self._names.pop(reference), self._outcome(reference)) for reference in done]

    def _outcome(self, reference: Any) -> Outcome:
        crashes = (self._ray.exceptions.WorkerCrashedError, self._ray.exceptions.NodeDiedError)
        try:
            outcome: Outcome = self._ray.get(reference)
        except self._ray.exceptions.OutOfMemoryError:
            return Outcome(error="Ray ended the worker process, since its machine was out of memory")
        except crashes:
            return Outcome(error=f"the worker process died {RETRIES + 1} times (out of memory?)")
        except self._ray.exceptions.RayError as error:
            return Outcome(error=f"Ray: {str(error).strip().splitlines()[-1]}")
        return outcome

    def close(self) -> None:
        """Stop what still runs; a cluster that was there before stays."""
        for reference in self._names:
            self._ray.cancel(reference)
        if self._names:
            self._ray.wait(list(self._names), num_returns=len(self._names), timeout=PATIENCE)
        self._ray.shutdown()
        self._redirected.__exit__(None, None, None)


def _perform(work: Work, threads: int) -> Outcome:
    """In the worker."""
    os.chdir(work.cwd)
    import torch

    torch.set_num_threads(threads)
    return perform(work)
