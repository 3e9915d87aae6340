"""Signals that end the program: what it leaves says so, and it ends with 130."""

from __future__ import annotations

import functools
import json
import os
import signal
from pathlib import Path

import pytest
from small_recipe import FULL, small_recipe
from torch.optim import AdamW

from srframework.run.directory import RunDirectory
from srframework.run.pipeline import Pipeline
from srframework.run.resources import Materials
from srframework.training import signals

RECIPE = small_recipe("signals", FULL, training="max_steps = 4")

MOMENTS = {
    "loading the data": (Materials, "__init__"),
    "before the stages": (Pipeline, "_fit_bias"),
    "in a step": (AdamW, "step"),
    "in a measurement": (Materials, "logits"),
    "after the stages": (RunDirectory, "finish"),
}
"""The signal comes as the method is called for the first time: nothing here depends on the time."""


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def sent_at(monkeypatch):
    """Send a signal to this process at a moment of a run; no such one that would end the tests."""

    def sent_at(moment: str, number: int) -> None:
        owner, name = MOMENTS[moment]
        method, sent = getattr(owner, name), []

        @functools.wraps(method)
        def signalled(*args, **more):
            if not sent:
                assert signal.getsignal(number) is not signal.SIG_DFL
                sent.append(os.kill(os.getpid(), number))
            return method(*args, **more)

        monkeypatch.setattr(owner, name, signalled)

    return sent_at


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        *[(signal.SIGTERM, moment) for moment in MOMENTS],
        *[(signal.SIGHUP, "in a step"), (signal.SIGINT, "in a step")],
    ],
)
def test_a_run_that_is_ended_by_a_signal_says_so(perform, home, sent_at, number, moment):
    before = signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    sent_at(moment, number)
    try:
        done = perform("run", "recipe.toml", "--out", "out", "--store", "store", cwd=home)
    finally:
        signal.signal(number, before)
    assert done.code == 130, done.err
    assert done.err.splitlines()[-1].startswith("Interrupted")
    said = home / "out" / "run.json"
    if moment == "loading the data":
        assert not said.exists()  # nor is there anything else
    else:
        assert json.loads(said.read_text())["state"] == "interrupted"
        assert not (home / "out" / "summary.json").exists()


def test_a_sweep_that_is_ended_by_a_signal_says_so(perform, home, sent_at):
    sent_at("in a step", signal.SIGTERM)
    args = ("--grid", "seed=1,2", "--out", "out", "--store", "store")
    assert perform("sweep", "recipe.toml", *args, cwd=home).code == 130
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
