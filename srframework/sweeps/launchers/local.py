"""Tasks in processes of their own, on this machine."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from types import FrameType

from srframework.run.crash import sentence
from srframework.sweeps.scheduler import Died
from srframework.sweeps.worker import Outcome, Work, perform

PATIENCE = 10.0
"""Seconds in which a process that is told to stop may put its things in order."""


class Local:
    """A process for each slot, so that one that dies takes no task with it but its own.

    Args:
        jobs: How many tasks at once.
        threads: Of each process.

    Of several GPUs each process sees one, in turn.
    """

    in_process = False

    def __init__(self, jobs: int, threads: int) -> None:
        self.slots = jobs
        self._threads = threads
        self._idle = list(range(jobs))
        self._workers: dict[int, _Worker] = {}
        self._busy: dict[Future[Outcome | Died], tuple[str, int]] = {}

    def submit(self, name: str, work: Work) -> None:
        """Give the task to the first process that has none; it is started if need be, also in place of a dead one."""
        slot = self._idle.pop(0)
        self._busy[self._begin(slot, work)] = name, slot

    def _begin(self, slot: int, work: Work) -> Future[Outcome | Died]:
        if slot in self._workers:
            with contextlib.suppress(BrokenProcessPool):  # the process died since its last task: it takes none with it
                return self._workers[slot].executor.submit(_perform, work)
            self._workers.pop(slot).executor.shutdown()
        self._workers[slot] = _Worker.start(slot, self._threads)
        return self._workers[slot].executor.submit(_perform, work)

    def wait(self) -> list[tuple[str, Outcome | Died]]:
        """Wait for the first that ends."""
        done, _ = wait(self._busy, return_when=FIRST_COMPLETED)
        ended: list[tuple[str, Outcome | Died]] = []
        for future in done:
            name, slot = self._busy.pop(future)
            self._idle = sorted([*self._idle, slot])
            try:
                ended.append((name, future.result()))
            except BrokenProcessPool:
                ended.append((name, Died(self._workers.pop(slot).epitaph())))
            except Exception as error:  # noqa: BLE001 -- such as an outcome that cannot be sent
                ended.append((name, Outcome(error=sentence(error))))
        return ended

    def close(self) -> None:
        """Stop all processes: ask them first, and kill those that do not end within :data:`PATIENCE`."""
        for _, slot in self._busy.values():
            self._workers[slot].process.terminate()
        killers = [threading.Timer(PATIENCE, worker.process.kill) for worker in self._workers.values()]
        for killer in killers:
            killer.start()
        for worker, killer in zip(self._workers.values(), killers, strict=True):
            worker.executor.shutdown(cancel_futures=True)
            killer.cancel()
        self._workers.clear()
        self._busy.clear()


@dataclass(frozen=True)
class _Worker:
    executor: ProcessPoolExecutor
    process: BaseProcess

    @classmethod
    def start(cls, slot: int, threads: int) -> _Worker:
        # Spawned, not forked: a fork copies the locks of the threads that torch and Arrow have started.
        before = set(active_children())
        executor = ProcessPoolExecutor(1, get_context("spawn"), initializer=_enter, initargs=(slot, threads))
        executor.submit(os.getpid)  # the process starts with the first thing there is to do
        (process,) = set(active_children()) - before
        return cls(executor, process)

    def epitaph(self) -> str:
        """How the process ended, as a sentence."""
        self.executor.shutdown()  # waits for the process, whose exit code is known from then on
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"the worker process ended by itself, with exit code {code}"
        cause = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"the worker process was killed by signal {-code}{cause}"


# -- in the worker ---------------------------------------------------------------------------------

_working = threading.Event()


def _enter(slot: int, threads: int) -> None:
    """What a new process does first; torch reads the environment when it is imported."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says what is to stop
    if hasattr(signal, "SIGHUP"):  # as does that of a terminal that is closed
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_outlive, daemon=True).start()
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


def _perform(work: Work) -> Outcome | Died:
    os.chdir(work.cwd)
    _working.set()
    try:
        return perform(work)
    except KeyboardInterrupt:
        return Died("the worker process was told to stop by signal 15")
    finally:
        _working.clear()
