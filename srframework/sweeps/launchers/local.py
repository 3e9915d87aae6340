"""Run jobs in separate processes on this machine."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from srframework.contracts import Job, JobResult, Launcher, WorkerDied
from srframework.run.crash import sentence
from srframework.sweeps.launchers import threads_of_each
from srframework.sweeps.worker import run_job

PATIENCE = 10.0
"""Seconds that a process may use to stop before it is killed."""


class LocalLauncher(Launcher):
    """Runs one process per slot, so that a process that dies affects only its own job.

    Each process sees one GPU; processes use the GPUs in turn.
    """

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._workers: dict[int, _Worker] = {}

    def start(self, jobs: int | None, threads: int | None) -> None:
        """Set the number of slots and threads; each process starts with its first job."""
        self.slots = jobs or 1
        self._threads = threads or threads_of_each(self.slots)

    def submit(self, name: str, job: Job) -> None:
        """Send the job to the first idle process; start the process first if it does not exist or is dead."""
        assert self.slots is not None, "start comes first"
        slot = next(slot for slot in range(self.slots) if slot not in self._workers or self._workers[slot].name is None)
        worker = self._workers.get(slot)
        if worker is None or not worker.accepted(job):
            worker = self._workers[slot] = _Worker.start(slot, self._threads)
            worker.accepted(job)  # wait() detects a process that is already dead
        worker.name = name

    def wait(self) -> list[tuple[str, JobResult | WorkerDied]]:
        """Wait until at least one job ends."""
        busy = {slot: worker for slot, worker in self._workers.items() if worker.name is not None}
        ready = wait([each for worker in busy.values() for each in (worker.connection, worker.process.sentinel)])
        ended: list[tuple[str, JobResult | WorkerDied]] = []
        for slot, worker in busy.items():
            if worker.connection in ready or worker.process.sentinel in ready:
                result = worker.result()
                if isinstance(result, WorkerDied) and not worker.process.is_alive():
                    del self._workers[slot]
                assert worker.name is not None, "a busy worker has a job"
                ended.append((worker.name, result))
                worker.name = None
        return ended

    def close(self) -> None:
        """Ask all processes to stop; kill those that do not stop within :data:`PATIENCE` seconds."""
        for worker in self._workers.values():
            if worker.name is not None:
                worker.process.terminate()
            worker.connection.close()
        end = time.monotonic() + PATIENCE
        for worker in self._workers.values():
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()


@dataclass
class _Worker:
    """A process, our end of its pipe, and the name of its current job (None: idle)."""

    process: BaseProcess
    connection: Connection[Any, Any]
    name: str | None = field(default=None)

    @classmethod
    def start(cls, slot: int, threads: int) -> _Worker:
        # Spawned, not forked: a fork copies the locks of the threads that torch and Arrow have started.
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, slot, threads))
        process.start()
        theirs.close()
        return cls(process, ours)

    def accepted(self, job: Job) -> bool:
        """Send the job; return False if the process is dead."""
        if self.process.is_alive():
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.connection.send(job)
                return True
        self.connection.close()
        self.process.join()
        return False

    def result(self) -> JobResult | WorkerDied:
        """The result that the process sent, or a message about how the process ended."""
        with contextlib.suppress(EOFError, OSError):
            if self.connection.poll():
                received: JobResult | WorkerDied = self.connection.recv()
                return received
        self.connection.close()
        self.process.join()
        code = self.process.exitcode
        if code is None or code >= 0:
            return WorkerDied(f"the worker process ended unexpectedly with exit code {code}")
        cause = " (out of memory?)" if -code == signal.SIGKILL else ""
        return WorkerDied(f"the worker process was killed by signal {-code}{cause}")


# -- in the worker ---------------------------------------------------------------------------------

_working = threading.Event()


def _serve(connection: Connection[Any, Any], slot: int, threads: int) -> None:
    """Run jobs one after the other until the launcher closes the pipe."""
    # Ctrl-C and the end of a terminal signal all processes of the group; only the parent decides which stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_outlive, daemon=True).start()
    prepare(slot, threads)
    # The pipe breaks when the launcher closes; an interrupt may arrive just after a job has ended.
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            result = _result(connection.recv())
            try:
                connection.send(result)
            except (OSError, KeyboardInterrupt):
                raise
            except Exception as error:  # noqa: BLE001 -- a result that cannot be sent
                connection.send(JobResult(error=sentence(error)))


def prepare(slot: int, threads: int) -> None:
    """Set the threads and the GPU of this process; torch reads the environment when it is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    import torch

    torch.set_num_threads(threads)
    # The default lock of tqdm is shared by all processes of the machine; a killed process never releases it.
    importlib.import_module("tqdm").tqdm.set_lock(threading.RLock())
    if gpus := torch.cuda.device_count():  # does not initialize any GPU
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu_of(slot, gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))


def gpu_of(slot: int, gpus: int, visible: str | None) -> str:
    """The GPU of a slot, as a value for CUDA_VISIBLE_DEVICES.

    Args:
        slot: Slot number, counted from 0.
        gpus: Number of GPUs that this process may use, at least 1.
        visible: Value of CUDA_VISIBLE_DEVICES (numbers or UUIDs); None if it is not set.
    """
    names = range(gpus) if visible is None else visible.split(",")
    return str(names[slot % gpus]).strip()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    if not _working.is_set():
        os._exit(0)
    raise KeyboardInterrupt


def _outlive() -> None:
    """Stop this process when the parent ends, for any reason; otherwise it would keep the locks of the store."""
    parent = parent_process()
    assert parent is not None, "this is a worker"
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while _working.is_set() and time.monotonic() < end:
        time.sleep(0.05)
    os._exit(1)


def _result(job: Job) -> JobResult | WorkerDied:
    os.chdir(job.cwd)
    _working.set()
    try:
        return run_job(job)
    except KeyboardInterrupt:
        return WorkerDied("the worker process was stopped by signal 15")
    finally:
        _working.clear()
