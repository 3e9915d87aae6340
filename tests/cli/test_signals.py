"""Signals that end the program: what it leaves says so, and it ends with 130."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from srframework import signals

RECIPE = """
name = "signals"
schema = 1
backbone = { use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }
dataset = { use = "synthetic", train_size = 24, dev_size = 12, ood_size = 9 }
training = { batch_size = 8, max_steps = 4 }
stages = [{ name = "full", op = "train", loss = "std" }]
"""

# The signal comes as the named method is called for the first time: nothing here depends on the time.
SCRIPT = """
import os, sys
from {module} import {owner}
from srframework.cli import main
method, sent = {owner}.{name}, []
def signalled(*args, **more):
    if not sent:
        sent.append(os.kill(os.getpid(), {number}))
    return method(*args, **more)
{owner}.{name} = signalled
main()
"""

MOMENTS = {
    "loading the data": ("srframework.materials", "Materials", "__init__"),
    "before the stages": ("srframework.pipeline", "Pipeline", "_fit_bias"),
    "in a step": ("torch.optim", "AdamW", "step"),
    "in a measurement": ("srframework.materials", "Materials", "logits"),
    "after the stages": ("srframework.runs", "RunDirectory", "finish"),
}


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def start(home: Path, moment: str, number: int, *args: str) -> subprocess.CompletedProcess[str]:
    module, owner, name = MOMENTS[moment]
    script = textwrap.dedent(SCRIPT.format(module=module, owner=owner, name=name, number=int(number)))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SRFRAMEWORK_")}

    def mind() -> None:  # a shell's background job ignores interrupts, and so does all that it starts
        for each in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)

    return subprocess.run(
        [sys.executable, "-c", script, *args, "--store", "store"],
        cwd=home,
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        preexec_fn=mind,
        check=False,
    )


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        *[(signal.SIGTERM, moment) for moment in MOMENTS],
        *[(signal.SIGHUP, "in a step"), (signal.SIGINT, "in a step")],
    ],
)
def test_a_run_that_is_ended_by_a_signal_says_so(home, number, moment):
    done = start(home, moment, number, "run", "recipe.toml", "--out", "out")
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1] == "interrupted"
    assert "Traceback" not in done.stderr
    said = home / "out" / "run.json"
    if moment == "loading the data":
        assert not said.exists()  # nor is there anything else
    else:
        assert json.loads(said.read_text())["state"] == "interrupted"
        assert not (home / "out" / "summary.json").exists()


def test_a_sweep_that_is_ended_by_a_signal_says_so(home):
    done = start(home, "in a step", signal.SIGTERM, "sweep", "recipe.toml", "--grid", "seed=1,2", "--out", "out")
    assert done.returncode == 130, done.stderr
    states = [json.loads((home / "out" / f"seed={seed}" / "run.json").read_text())["state"] for seed in (1, 2)]
    assert states == ["interrupted", "waiting"]


def test_what_ignores_a_signal_goes_on_ignoring_it():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.terminable():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_handlers_are_those_of_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), signals.terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_shield_keeps_all_signals_until_its_end():
    done = []
    with signals.terminable():
        try:
            with signals.shielded():
                for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):
                    os.kill(os.getpid(), number)
                done.append("all of it")
        except KeyboardInterrupt:
            done.append("then the signal")
    assert done == ["all of it", "then the signal"]
