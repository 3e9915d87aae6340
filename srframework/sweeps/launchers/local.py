"""Jobs in processes of their own, on this machine."""

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
"""Seconds that a process has to end after it was told to stop."""


class LocalLauncher(Launcher):
    """A process for each slot, so that one that dies fails no job but its own.

    Of several GPUs each process sees one, in turn.
    """

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._workers: dict[int, _Worker] = {}

    def start(self, jobs: int | None, threads: int | None) -> None:
        """Take note; a process starts with its first job."""
        self.slots = jobs or 1
        self._threads = threads or threads_of_each(self.slots)

    def submit(self, name: str, job: Job) -> None:
        """Give the job to the first process that has none; it is started if need be, also in place of a dead one."""
        assert self.slots is not None, "start comes first"
        slot = next(slot for slot in range(self.slots) if slot not in self._workers or self._workers[slot].name is None)
        worker = self._workers.get(slot)
        if worker is None or not worker.took(job):
            worker = self._workers[slot] = _Worker.start(slot, self._threads)
            worker.took(job)  # one that is dead already is found by wait
        worker.name = name

    def wait(self) -> list[tuple[str, JobResult | WorkerDied]]:
        """Wait for the first that ends."""
        busy = {slot: worker for slot, worker in self._workers.items() if worker.name is not None}
        ready = wait([each for worker in busy.values() for each in (worker.connection, worker.process.sentinel)])
        ended: list[tuple[str, JobResult | WorkerDied]] = []
        for slot, worker in busy.items():
            if worker.connection in ready or worker.process.sentinel in ready:
                result = worker.result()
                if isinstance(result, WorkerDied) and not worker.process.is_alive():
                    del self._workers[slot]
                assert worker.name is not None, "it is busy"
                ended.append((worker.name, result))
                worker.name = None
        return ended

    def close(self) -> None:
        """Stop all processes: ask them first, and kill those that do not end within :data:`PATIENCE`."""
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
    """A process, this end of its pipe, and the name of the job that it has."""

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

    def took(self, job: Job) -> bool:
        """Send the job; False where the process is dead."""
        if self.process.is_alive():
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.connection.send(job)
                return True
        self.connection.close()
        self.process.join()
        return False

    def result(self) -> JobResult | WorkerDied:
        """What the process sent, or how it ended, as a sentence."""
        with contextlib.suppress(EOFError, OSError):
            if self.connection.poll():
                received: JobResult | WorkerDied = self.connection.recv()
                return received
        self.connection.close()
        self.process.join()
        code = self.process.exitcode
        if code is None or code >= 0:
            return WorkerDied(f"the worker process ended by itself, with exit code {code}")
        cause = " (out of memory?)" if -code == signal.SIGKILL else ""
        return WorkerDied(f"the worker process was killed by signal {-code}{cause}")


# -- in the worker ---------------------------------------------------------------------------------

_working = threading.Event()


def _serve(connection: Connection[Any, Any], slot: int, threads: int) -> None:
    """What a worker process does: one job after the other, until nobody sends any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says what is to stop
    if hasattr(signal, "SIGHUP"):  # as does that of a terminal that is closed
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_outlive, daemon=True).start()
    prepare(slot, threads)
    # The pipe breaks when the launcher is closed; an interrupt may come just after a job has ended.
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
    """Give this process its threads and its GPU; torch reads the environment when it is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    import torch

    torch.set_num_threads(threads)
    # Its own lock is one of the whole machine, which nobody frees where a process is killed.
    importlib.import_module("tqdm").tqdm.set_lock(threading.RLock())
    if gpus := torch.cuda.device_count():  # asks the driver's library, and starts nothing on any of them
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu_of(slot, gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))


def gpu_of(slot: int, gpus: int, visible: str | None) -> str:
    """The GPU of a slot, as CUDA_VISIBLE_DEVICES names it.

    Args:
        slot: Counted from 0.
        gpus: How many this process may use, at least 1.
        visible: What CUDA_VISIBLE_DEVICES says: numbers or UUIDs; None where it is not set.
    """
    names = range(gpus) if visible is None else visible.split(",")
    return str(names[slot % gpus]).strip()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    if not _working.is_set():
        os._exit(0)
    raise KeyboardInterrupt


def _outlive() -> None:
    """End with the parent, however it ended: what goes on would hold the locks of the store."""
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
        return WorkerDied("the worker process was told to stop by signal 15")
    finally:
        _working.clear()
