"""Mutated recipes and arguments get an answer: no traceback, the right exit code, short plain lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

HARNESS = Path(__file__).with_name("harness.py")
NEVER = 120
"""CPU seconds for one answer that only what never ends takes, also on a slow machine."""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What the harness found in some hundreds of examples, the same each time."""
    home = tmp_path_factory.mktemp("fuzz")
    done = subprocess.run(
        [sys.executable, str(HARNESS), "--examples", "400", "--limit", str(NEVER), "--json", str(home / "report.json")],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(home)},
        check=False,
    )
    assert (home / "report.json").exists(), done.stdout + done.stderr
    return json.loads((home / "report.json").read_text())


def test_every_answer_is_right(report):
    assert report["all"] == []


def test_there_were_valid_examples_and_refused_ones_of_every_command(report):
    assert report["examples"] >= 400
    assert report["answers"].keys() >= {"validate: 0", "validate: 2", "run: 0", "run: 2", "sweep: 0", "sweep: 2"}
    assert report["answers"]["validate: 0"] >= 20
