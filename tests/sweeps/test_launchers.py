"""Processes that do work, and what becomes of those that are killed. To read a recipe that is a pipe has no end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from srframework.contracts import INSTALLED, Job, JobResult, WorkerDied
from srframework.errors import UsageError
from srframework.sweeps import launchers
from srframework.sweeps.launchers.local import LocalLauncher, gpu_of
from srframework.sweeps.launchers.serial import SerialLauncher

MISSING = "missing/recipe.toml: expected a recipe file, got no such file"


@pytest.fixture
def work(tmp_path):
    """Job on an empty recipe, whose file is not there, or, with ``endless``, is never read to its end."""
    (tmp_path / "endless").mkdir()
    os.mkfifo(tmp_path / "endless/recipe.toml")

    def work(endless: bool = False) -> Job:
        run = "endless" if endless else "missing"
        return Job({}, "full", None, "store", INSTALLED, str(tmp_path), str(tmp_path / f"{run}.log"), users=(run,))

    return work


@pytest.fixture
def local() -> Iterator[LocalLauncher]:
    launcher = LocalLauncher()
    launcher.start(jobs=2, threads=1)
    yield launcher
    launcher.close()
    assert not multiprocessing.active_children()


def children() -> set[int]:
    return {process.pid for process in multiprocessing.active_children() if process.pid is not None}


def wait_until(happened) -> None:
    while not happened():
        time.sleep(0.02)


def begun(work: Job) -> bool:
    """Whether a worker is at it."""
    assert work.log is not None
    return Path(work.log).exists()


def test_in_this_process_work_is_done_where_it_is_said_to_be(work, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    launcher = SerialLauncher()
    launcher.start(None, threads=before + 1)
    launcher.submit("a", work())
    ((name, outcome),) = launcher.wait()
    assert torch.get_num_threads() == before + 1
    torch.set_num_threads(before)
    assert (name, launcher.slots) == ("a", 1)
    assert outcome.error.startswith(MISSING)
    launcher.close()


@pytest.mark.long
def test_each_slot_is_a_process_that_is_used_again(local, work):
    before = Path.cwd()
    for _ in range(2):
        local.submit("a", work())
        local.submit("b", work())
        ended = [*local.wait()]
        ended += local.wait() if len(ended) == 1 else []
        assert {name for name, _ in ended} == {"a", "b"}
        assert all(isinstance(outcome, JobResult) and outcome.error.startswith(MISSING) for _, outcome in ended)
    assert len(children()) == 2
    assert Path.cwd() == before


@pytest.mark.long
def test_a_worker_that_is_killed_takes_its_own_task_with_it_and_no_other(local, work):
    local.submit("endless", work(endless=True))
    (victim,) = children()
    local.submit("short", work())
    assert [name for name, _ in local.wait()] == ["short"]
    wait_until(lambda: begun(work(endless=True)))
    os.kill(victim, signal.SIGKILL)
    assert local.wait() == [("endless", WorkerDied("the worker process was killed by signal 9 (out of memory?)"))]
    local.submit("again", work())
    ((name, outcome),) = local.wait()
    assert (name, outcome.error.startswith(MISSING)) == ("again", True)


@pytest.mark.long
def test_a_worker_that_is_asked_to_end_has_died_too(local, work):
    local.submit("endless", work(endless=True))
    (victim,) = children()
    wait_until(lambda: begun(work(endless=True)))
    os.kill(victim, signal.SIGTERM)
    assert local.wait() == [("endless", WorkerDied("the worker process was stopped by signal 15"))]


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "asked to end"])
def test_a_worker_that_ends_while_it_has_nothing_to_do_is_replaced(local, work, how):
    local.submit("before", work())
    local.wait()
    (victim,) = children()
    os.kill(victim, how)
    wait_until(lambda: not children())
    local.submit("after", work())
    ((name, outcome),) = local.wait()
    assert (name, outcome.error.startswith(MISSING)) == ("after", True)
    (another,) = children()
    assert another != victim


@pytest.mark.long
def test_what_still_runs_is_stopped_at_once_when_the_launcher_is_closed(work, monkeypatch):
    # None is killed: a process that is not asked to end stays.
    monkeypatch.setattr("srframework.sweeps.launchers.local.PATIENCE", 100_000.0)
    launcher = LocalLauncher()
    launcher.start(jobs=2, threads=1)
    launcher.submit("endless", work(endless=True))
    launcher.submit("short", work())
    launcher.wait()
    launcher.close()
    assert not children()


PARENT = """
import sys
from srframework.contracts import INSTALLED, Job
from srframework.sweeps.launchers.local import LocalLauncher
import multiprocessing

if __name__ == "__main__":
    launcher = LocalLauncher()
    launcher.start(jobs=1, threads=1)
    job = Job({}, "full", None, "store", INSTALLED, sys.argv[1], "endless.log", users=("endless",))
    launcher.submit("endless", job)
    print(*[process.pid for process in multiprocessing.active_children()], flush=True)
    launcher.wait()
"""


@pytest.mark.long
def test_workers_end_with_their_parent_even_if_that_is_killed(work, tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    command = [sys.executable, str(tmp_path / "parent.py"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        wait_until(lambda: begun(work(endless=True)))
        parent.kill()
    wait_until(lambda: not Path(f"/proc/{worker}").exists())


PREPARED = """
from srframework.sweeps.launchers.local import prepare
prepare(0, 3)
import os, torch
print(torch.get_num_threads(), os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"])
"""


@pytest.mark.long
def test_a_worker_computes_with_the_threads_it_is_given():
    done = subprocess.run([sys.executable, "-c", PREPARED], capture_output=True, text=True, check=True)
    assert done.stdout == "3 3 3\n"


def test_serial_runs_one_job_at_a_time():
    with pytest.raises(UsageError) as caught:
        SerialLauncher().start(2, None)
    assert str(caught.value) == (
        "--launcher serial runs one job at a time (got --jobs 2); --launcher local runs several"
    )


@pytest.mark.parametrize(("said", "jobs", "threads"), [("3", 2, 3), ("", 2, 4), ("x", 3, 2), ("0", 100, 1)])
def test_threads_are_those_of_the_environment_or_a_share_of_the_cpus(monkeypatch, said, jobs, threads):
    monkeypatch.setattr(launchers, "cpus", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert launchers.threads_of_each(jobs) == threads


def test_there_is_a_cpu():
    assert 1 <= launchers.cpus() <= os.cpu_count()


@pytest.mark.parametrize(
    ("gpus", "visible", "given"),
    [(1, None, "000"), (2, None, "010"), (2, "3, 5", "353"), (3, "GPU-a,GPU-b,GPU-c", ["GPU-a", "GPU-b", "GPU-c"])],
)
def test_each_slot_has_a_gpu_in_turn(gpus, visible, given):
    assert [gpu_of(slot, gpus, visible) for slot in range(3)] == list(given)
