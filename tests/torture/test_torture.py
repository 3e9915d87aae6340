"""A run that is killed at random moments, again and again, ends with the bits of one that never was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("harness.py")
KINDS = {"training", "evaluation", "checkpoint", "prune", "result", "store", "run directory", "time"}

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="the harness forks, and looks into /proc"),
]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the harness said of 20 kills."""
    home = tmp_path_factory.mktemp("torture")
    done = subprocess.run(
        [sys.executable, str(HARNESS), "--kills", "20", "--seed", "2", "--json", str(home / "told.json")],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(home)},
        check=False,
    )
    assert (home / "told.json").exists(), done.stdout + done.stderr
    return json.loads((home / "told.json").read_text()) | {
        "code": done.returncode,
        "printed": done.stdout,
        "home": home,
    }


def test_every_run_ends_with_the_bits_of_one_that_was_never_killed(told):
    assert told["wrong"] == []
    assert told["code"] == 0
    assert told["printed"].splitlines()[-1] == "all equal"


def test_the_kills_hit_every_kind_of_moment(told):
    assert set(told["kills"]) == KINDS
    assert sum(told["kills"].values()) == told["resumes"] == 20
    assert len(told["runs"]) == 2


def test_trainings_went_on_from_checkpoints(told):
    assert told["went_on"] >= 3
    assert told["redone"] <= 2 * told["resumes"]


@pytest.mark.parametrize("broken", ["checkpoints", "optimizer", "streams", "sums"])
def test_a_resume_that_is_broken_is_noticed(told, broken):
    assert broken in told["noticed"]


def test_bits_of_drafts_were_flipped_and_found(told):
    assert sum(told["flips"].values()) >= 5
    assert len(told["flips"]) >= 3
    assert told["found"] >= 1


def test_nothing_is_left_lying_about(told):
    assert [each.name for each in told["home"].iterdir()] == ["told.json"]
