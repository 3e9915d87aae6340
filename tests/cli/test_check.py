"""``check`` runs the conformance checks of one component."""

from __future__ import annotations

import json

from click.testing import CliRunner

from srframework.cli import cli

PLUGIN = """
from srframework import Component, Debiaser, Options, hookimpl

class Nothing(Options):
    "None."

class Unreduced(Debiaser):
    def loss(self, inputs):
        return inputs.logits.sum(1)

@hookimpl
def srframework_debiasers():
    return [Component("unreduced", Nothing, Unreduced, "Broken.", "here")]
"""


def test_a_sound_component_exits_with_0():
    result = CliRunner().invoke(cli, ["check", "focal"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "debiaser/focal scalar_with_gradient: passed"
    outcomes = [line.split(": ")[1] for line in lines[:-1]]
    passed, other = outcomes.count("passed"), outcomes.count("not applicable")
    assert lines[-1] == f"{len(outcomes)} checks: {passed} passed, {other} not applicable"
    assert 'debiaser/focal bias_matters: not applicable: the debiaser does not require "bias"' in lines


def test_a_broken_component_of_a_file_exits_with_1(tmp_path):
    (tmp_path / "unreduced_loss.py").write_text(PLUGIN)
    result = CliRunner().invoke(cli, ["--plugin", str(tmp_path / "unreduced_loss.py"), "check", "unreduced", "--json"])
    assert result.exit_code == 1, result.output
    rows = {row["check"]: row for row in json.loads(result.stdout)}
    assert rows["scalar_with_gradient"]["outcome"] == "failed"
    assert "must return a scalar tensor" in rows["scalar_with_gradient"]["sentence"]


def test_no_library_shows_its_progress():
    result = CliRunner().invoke(cli, ["check", "encoder"])
    assert (result.exit_code, result.stderr) == (0, "")
