"""Two commands that work into one directory at the same time: they share it, or the second is told that it is taken."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_recipe import FULL, small_recipe

from srframework.report.runs import state_of_unfinished
from srframework.run import directory as runs
from srframework.run import directory_lock, pipeline
from srframework.run.pipeline import Pipeline
from srframework.run.stage_results import StageResults

CLAIM = """
[claim]
statement = "as good"
checks = ["id(full) >= 0"]
"""
RECIPE = small_recipe("at once", FULL, CLAIM)

HELD = """
import sys
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "other.toml").write_text(RECIPE.replace("at once", "other"))
    return tmp_path


@pytest.fixture
def hold() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Hold the lock of a directory in another process, until it is sent a line."""
    started = []

    def hold(path: Path) -> subprocess.Popen[str]:
        path.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", HELD, str(path / ".lock")]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield hold
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def meanwhile(monkeypatch) -> Callable[[Callable[[], object]], None]:
    """Do something after a command has looked at its directory first, and before it locks it."""

    def meanwhile(do: Callable[[], object]) -> None:
        left, locked = [do], runs.locked

        def late(path, *args, **more):
            if left:
                left.pop()()
            return locked(path, *args, **more)

        for module in ("srframework.run.directory", "srframework.run.directory_lock", "srframework.sweeps.directory"):
            monkeypatch.setattr(f"{module}.locked", late)

    return meanwhile


COMMANDS = {
    "run": ("run", "other.toml"),
    "run with an option": ("run", "recipe.toml", "--set", "training.max_steps=1"),
    "sweep": ("sweep", "recipe.toml", "--grid", "seed=7,8"),
    "claims": ("claims", "other.toml", "--seeds", "1"),
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("first", "second"),
    [
        *[(each, each) for each in COMMANDS],
        *[
            ("run", "sweep"),
            ("sweep", "run"),
            ("sweep", "claims"),
            ("claims", "run"),
            ("claims with an option", "claims"),
        ],
    ],
)
def test_the_second_is_refused_though_the_directory_was_new_when_it_looked(perform, home, meanwhile, first, second):
    same = first == second
    more = {"run": ("--set", "seed=5"), "sweep": ("--set", "seed=5", "--grid", "training.max_steps=1,2")}
    args = COMMANDS.get(first, ("claims", "other.toml", "--seeds", "1", "--set", "training.max_steps=1"))
    before: dict[Path, bytes] = {}

    def other() -> None:
        replaced = (args[0], "recipe.toml", *more.get(first, ("--set", "training.weight_decay=0.5"))) if same else args
        if same and first == "claims":
            replaced = ("claims", "other.toml", "--seeds", "1", "--set", "training.max_steps=1")
        done = perform(*replaced, "--out", "out", "--store", "store", cwd=home)
        assert done.code == 0, done.err
        before.update({path: path.read_bytes() for path in (home / "out").rglob("*") if path.is_file()})

    meanwhile(other)
    done = perform(*COMMANDS[second], "--out", "out", "--store", "store", cwd=home)
    assert done.code == 2, done.err
    assert "error: --out out" in done.err
    assert {path: path.read_bytes() for path in before if path.name != ".lock"} == {
        path: content for path, content in before.items() if path.name != ".lock"
    }


def test_the_second_of_two_that_are_alike_takes_the_stages_from_the_store(perform, home, meanwhile):
    first = []
    meanwhile(lambda: first.append(perform("run", "recipe.toml", "--out", "out", "--store", "s", "--json", cwd=home)))
    second = perform("run", "recipe.toml", "--out", "out", "--store", "s", "--json", cwd=home)
    assert (first[0].code, second.code) == (0, 0)
    assert json.loads(first[0].out) == json.loads(second.out)
    assert "reused cached result" in second.err
    assert "reused cached result" not in first[0].err


def test_who_waits_for_a_directory_that_becomes_another_s_does_not_wait_for_its_end(perform, home, hold, monkeypatch):
    """The other process locks it first, and says a moment later what it is."""
    hold(home / "out")
    monkeypatch.setattr(directory_lock, "POLL_SECONDS", 0.01)
    check, looks = runs.check_vacant, []

    def checked(path, *args):
        looks.append(path)
        if len(looks) == 4:
            (home / "out" / "recipe.toml").write_text("name = 'another'")
        return check(path, *args)

    monkeypatch.setattr(runs, "check_vacant", checked)
    done = perform("run", "recipe.toml", "--out", "out", "--store", "store", cwd=home)
    assert done.code == 2
    assert "waiting for another process that works in out" in done.err
    assert "error: --out out: this directory has a run of another recipe (" in done.err


# -- what a directory says of its run ---------------------------------------------------------------


def test_running_is_told_from_killed_by_the_lock(home, hold):
    run = home / "run"
    process = hold(run)
    (run / "run.json").write_text('{"state": "running"}')
    assert state_of_unfinished(str(run)) == "running"
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "released\n"
    assert state_of_unfinished(str(run)) == "killed"
    (run / ".lock").unlink()
    assert state_of_unfinished(str(run)) == "killed"


def test_results_name_a_run_that_was_killed(perform, home, hold):
    assert perform("run", "recipe.toml", "--out", "runs/good", "--store", "store", cwd=home).code == 0
    for name in ("killed", "running"):
        (home / "runs" / name).mkdir()
        (home / "runs" / name / "run.json").write_text('{"state": "running"}')
    hold(home / "runs" / "running")
    done = perform("results", cwd=home)
    assert done.code == 0
    assert "2 unfinished runs: runs/killed (killed), runs/running (running)" in done.err


@pytest.mark.long
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit(3), GeneratorExit, MemoryError, RuntimeError("x")])
@pytest.mark.parametrize(
    ("owner", "where"),
    [(Pipeline, "_fit_bias"), (StageResults, "train"), (StageResults, "measure"), (pipeline, "place_stage")],
)
def test_however_a_run_ends_run_json_says_so(home, owner, where, error, monkeypatch, perform):
    def ends(*_):
        raise error

    monkeypatch.setattr(owner, where, ends)
    with contextlib.suppress(
        RuntimeError, MemoryError, GeneratorExit
    ):  # what the command makes of it is another matter
        perform("run", "recipe.toml", "--out", "out", "--store", "store", cwd=home)
    said = json.loads((home / "out" / "run.json").read_text())["state"]
    assert said == ("interrupted" if error is KeyboardInterrupt else "failed")


def test_an_interrupt_after_the_end_takes_nothing_back(home, monkeypatch, perform):
    finish = runs.RunDirectory.finish

    def finished(self, *args):
        finish(self, *args)
        raise KeyboardInterrupt

    monkeypatch.setattr(runs.RunDirectory, "finish", finished)
    assert perform("run", "recipe.toml", "--out", "out", "--store", "store", cwd=home).code == 130
    assert json.loads((home / "out" / "run.json").read_text())["state"] == "finished"
    assert (home / "out" / "summary.json").exists()
