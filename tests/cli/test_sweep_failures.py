"""`srframework sweep` when a stage fails, and when the sweep or one of its workers is stopped."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_sweep import figures, reports

from srframework.contracts import JobResult

DIVERGES = (
    *("--set", "training.max_grad_norm=0", "--set", "training.max_steps=4"),
    *("--grid", "stages.full.learning_rate=1e-3,1e30", "--grid", "stages.srnet.pruner.sparsity=0.2,0.5"),
)


@pytest.mark.long
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_stage_that_fails_fails_the_runs_that_have_it_and_no_other(sweep, home, jobs):
    out = f"diverges-{jobs}"
    done = sweep(*DIVERGES, "--out", out, "--store", f"{out}-store", "--jobs", jobs, "--json")
    assert done.code == 1
    assert done.lines[-1] == f"error: 2 of 4 runs failed; {out}/sweep.json says why"
    found = json.loads(done.out)
    assert found == reports(home / out)
    good, bad = found[:2], found[2:]
    assert all("error" not in report for report in good)
    for report in bad:
        assert set(report) == {"values", "run", "error", "log"}
        assert report["error"].startswith("the loss is ")
        state = json.loads((home / report["run"] / "run.json").read_text())
        assert (state["state"], state["error"]) == ("failed", report["error"])
        label = f"learning_rate=1e+30, sparsity={report['values']['stages.srnet.pruner.sparsity']}"
        assert f"error: {label}: {report['error']}" in done.lines
        assert not (home / report["run"] / "results.json").exists()
    logs = {report["log"] for report in bad}
    if jobs == "1":
        assert logs == {None}
    else:
        (log,) = logs  # the stage that failed has one, and it failed once
        assert Path(log).name.startswith("full-")
        assert "the loss is " in (home / log).read_text()
    assert done.err.count(": the loss is ") == (2 if jobs == "1" else 3)
    assert "Traceback" not in done.err


# -- what is killed ----------------------------------------------------------------------------------


def test_an_interrupt_ends_the_sweep_and_what_is_finished_is_on_disk(sweep, home, monkeypatch):
    here, seen = importlib.import_module("srframework.sweeps.launchers.serial"), []

    def interrupted(work):
        path = home / "interrupted/sweep.json"
        seen.append([each["values"] for each in json.loads(path.read_text())] if path.exists() else None)
        if work.recipe["seed"] == 3:
            raise KeyboardInterrupt
        return JobResult({"run": work.out, "stages": []})

    monkeypatch.setattr(here, "run_job", interrupted)
    done = sweep("--grid", "seed=1,2,3,4", "--out", "interrupted", "--json")
    assert (done.code, done.out) == (130, "")
    assert seen == [None, [{"seed": 1}], [{"seed": 1}, {"seed": 2}]]
    assert [report["values"] for report in reports(home / "interrupted")] == [{"seed": 1}, {"seed": 2}]


LONG = ("--set", "training.max_steps=60", "--set", "training.eval_every=30", "--set", "training.checkpoint_steps=5")


@pytest.fixture
def start(home) -> Callable[..., subprocess.Popen[str]]:
    """Start the command in a process, and a group of processes, of its own."""

    def start(*args: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "srframework", "sweep", "recipe.toml", *LONG, *args],
            cwd=home,
            env=os.environ | {"OMP_NUM_THREADS": "1", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell's background job, and so all that it starts, ignores interrupts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    return start


def workers(parent: int) -> list[int]:
    """The processes that are spawned to work for another."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                command = (path.parent / "cmdline").read_bytes()
                found += [int(path.parent.name)] if b"spawn_main" in command else []
        except OSError:
            continue  # it has ended meanwhile
    return found


@pytest.fixture(scope="module")
def undisturbed(sweep, home):
    """What a sweep comes to that nobody kills."""
    done = sweep(*LONG, "--grid", "seed=1,2", "--out", "undisturbed", "--store", "undisturbed-store", "--json")
    assert done.code == 0, done.err
    return figures(json.loads(done.out))


@pytest.mark.long
def test_a_worker_that_is_killed_is_replaced_and_nothing_is_missing(home, start, undisturbed, pause, wait_until):
    args = ("--grid", "seed=1,2", "--out", "killed", "--store", "killed-store", "--jobs", "2", "--json")
    process = start(*args, **pause.variables)
    wait_until(lambda: list(home.glob("killed-store/work/*/**/[0-9]*/sums.json")), process)
    for victim in workers(process.pid):
        os.kill(victim, signal.SIGKILL)
    pause.end()
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert figures(json.loads(out)) == undisturbed
    assert "the worker process was killed by signal 9 (out of memory?); it is started again" in err
    assert "Traceback" not in err
    assert "resource_tracker" not in err
    logs = [path.read_text() for path in (home / "killed/logs").iterdir()]
    assert any("resumes from the checkpoint at step " in log for log in logs)


@pytest.mark.long
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_is_stopped_leaves_no_process_and_goes_on_where_it_was(
    sweep, home, start, undisturbed, pause, wait_until, sign
):
    name = f"stopped-{sign.name}"
    args = ("--grid", "seed=1,2", "--out", name, "--store", f"{name}-store", "--jobs", "2", "--json")
    process = start(*args, **pause.variables)
    wait_until(lambda: list(home.glob(f"{name}-store/work/*/**/[0-9]*/sums.json")), process)
    left = workers(process.pid)
    process.send_signal(sign)
    pause.end()
    out, err = process.communicate()
    assert out == ""
    if sign == signal.SIGINT:
        assert process.returncode == 130
        assert err.splitlines()[-1] == f"Interrupted. Run the same command to resume ({name})."
        assert "Traceback" not in err
    while any(Path(f"/proc/{worker}").exists() for worker in left):
        time.sleep(0.05)
    done = sweep(*LONG, *args)
    assert done.code == 0, done.err
    assert figures(json.loads(done.out)) == undisturbed
