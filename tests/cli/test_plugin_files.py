"""``--plugin FILE``, ``--disable NAME``, strict plugins, and recipes that require plugins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_recipe import FULL, small_recipe

LOSS = """
import torch
from torch.nn import functional as F
from srframework import Component, Debiaser, Options, hookimpl

class Half(Debiaser):
    def loss(self, inputs):
        return 0.5 * F.cross_entropy(inputs.logits, inputs.labels)

@hookimpl
def srframework_debiasers():
    return [Component(name="half", options=Options, factory={factory}, summary="Half of std.", source="here")]
"""
LIGHT = """
from srframework import Component, Options, hookimpl

@hookimpl
def srframework_debiasers():
    return [Component(name="half", options=Options, factory="nowhere:Half", summary="Half.", source="here")]
"""
BROKEN = "raise RuntimeError('no luck')"
REQUIRES = 'requires = ["{}"]\n'


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("factory", ["Half", '"halves:Half"'])
def test_a_file_is_a_plugin_in_this_process_and_in_the_workers_of_a_sweep(work, perform, factory):
    (work / "halves.py").write_text(LOSS.format(factory=factory))
    recipe = small_recipe("halves", FULL.replace("std", "half"))
    (work / "recipe.toml").write_text(recipe)
    missing = perform("validate", "recipe.toml", cwd=work)
    assert missing.code == 2
    assert "no debiaser is named 'half'" in missing.err
    listed = perform("--plugin", "halves.py", "plugins", "--json", cwd=work)
    [row] = [row for row in json.loads(listed.out) if row["plugin"] == "halves"]
    assert (row["dist"], row["state"], row["entry point"]) == ("halves", "loaded", str(work / "halves.py"))
    grid = ("--grid", "seed=1,2", "--jobs", "2")
    swept = perform("--plugin", "halves.py", "sweep", "recipe.toml", *grid, "--json", cwd=work)
    assert swept.code == 0, swept.err
    ran = perform("--plugin", "halves.py", "run", "recipe.toml", "--set", "seed=1", "--json", cwd=work)
    [stage] = json.loads(ran.out)["stages"]
    assert stage["name"] == "full"
    assert "1 stage (1 cached), 0 steps" in ran.err


@pytest.mark.parametrize(
    ("name", "code", "failure"),
    [
        ("broken.py", BROKEN, "RuntimeError: no luck"),
        ("json.py", LIGHT, "another module is named 'json'"),
        (
            "my-plugin.py",
            LIGHT,
            "the file name 'my-plugin.py' is no name of a module; expected one such as my_plugin.py",
        ),
        ("empty.py", "", "implements no hook"),
    ],
)
def test_a_file_that_is_no_plugin_is_told_in_one_line(work, perform, name, code, failure):
    (work / name).write_text(code)
    stem = Path(name).stem
    done = perform("--plugin", name, "list", "debiaser", cwd=work)
    assert (done.code, len(done.err.splitlines())) == (0, 1)
    assert done.err.startswith(f"warning: plugin {stem!r} of {name} failed to load: {failure}")


def test_a_file_that_does_not_exist_is_bad_usage(work, perform):
    done = perform("--plugin", "missing.py", "list", cwd=work)
    assert done.code == 2
    assert "'missing.py' does not exist" in done.err


def test_strict_plugins_make_a_failure_an_error(work, perform, monkeypatch):
    (work / "broken.py").write_text(BROKEN)
    monkeypatch.setenv("SRFRAMEWORK_STRICT_PLUGINS", "1")
    done = perform("--plugin", "broken.py", "list", cwd=work)
    assert (done.code, done.out) == (3, "")
    failure = "plugin 'broken' of broken.py failed to load: RuntimeError: no luck"
    assert done.err == f"error: {failure} ($SRFRAMEWORK_STRICT_PLUGINS is set)\n"
    assert perform("--plugin", "broken.py", "plugins", cwd=work).code == 0  # shows what is wrong
    assert perform("--plugin", "broken.py", "--disable", "broken", "list", cwd=work).code == 0


def test_plugins_can_be_listed_without_one(work, perform):
    listed = perform("plugins", "--disable", "pruners", "--json", cwd=work)
    states = {row["plugin"]: row["state"] for row in json.loads(listed.out)}
    assert states["pruners"] == "disabled"
    assert set(states.values()) == {"loaded", "disabled"}


@pytest.mark.parametrize("names", ["pruners,debiasers", "pruners debiasers", " pruners, debiasers "])
def test_the_environment_variable_disables_several_plugins(work, perform, monkeypatch, names):
    monkeypatch.setenv("SRFRAMEWORK_DISABLE_PLUGINS", names)
    listed = perform("plugins", "--json", cwd=work)
    disabled = {row["plugin"] for row in json.loads(listed.out) if row["state"] == "disabled"}
    assert (disabled, listed.err) == ({"pruners", "debiasers"}, "")


@pytest.mark.parametrize(
    ("requires", "options", "code", "message"),
    [
        ("srframework>=0.1", (), 0, ""),
        ("SRFramework", (), 0, ""),
        ("halves", ("--plugin", "halves.py"), 0, ""),
        ("halves>=0.2", ("--plugin", "halves.py"), 3, "the recipe requires halves>=0.2; got halves 0"),
        ("halves", (), 3, "the recipe requires halves; no plugin named halves is installed"),
        ("srframwork", (), 3, "no plugin named srframwork is installed; did you mean 'srframework'?"),
        (
            "halves",
            ("--plugin", "halves.py", "--disable", "halves"),
            3,
            "the recipe requires halves; halves is disabled",
        ),
        ("broken", ("--plugin", "broken.py"), 3, "plugin 'broken' of broken.py failed to load: RuntimeError: no luck"),
        ("halves >", (), 2, "expected a distribution and its versions, such as 'my-plugin>=0.2'; got 'halves >'"),
        ("halves @ file:///x", (), 2, "such as 'my-plugin>=0.2'; got 'halves @ file:///x'"),
    ],
)
def test_a_recipe_requires_plugins(work, perform, requires, options, code, message):
    (work / "halves.py").write_text(LIGHT)
    (work / "broken.py").write_text(BROKEN)
    (work / "recipe.toml").write_text(REQUIRES.format(requires) + small_recipe("needy", FULL))
    done = perform(*options, "validate", "recipe.toml", cwd=work)
    assert done.code == code, done.err
    if code:
        assert "recipe.toml:1: requires[0]: " in done.err
        assert message in done.err


def test_the_resolved_recipe_keeps_its_requirements(work, perform):
    (work / "recipe.toml").write_text(REQUIRES.format("srframework>=0.1") + small_recipe("needy", FULL))
    shown = perform("run", "recipe.toml", "--dry-run", "--full", cwd=work)
    assert shown.code == 0
    assert 'requires = [\n    "srframework>=0.1",\n]' in shown.out
