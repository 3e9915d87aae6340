"""Plugins that are broken before a run begins: options, factories, and plugins that are not there."""

from __future__ import annotations

import re

import pytest
from broken_plugin import LOSS, blamed

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

CHECKS = {
    "model validator": "@model_validator(mode='after')\ndef check(self):\n    fail(TypeError)",
    "field validator": "@field_validator('depth')\ndef check(cls, value):\n    raise KeyError(value)",
    "exit": "@model_validator(mode='before')\ndef check(cls, table):\n    raise SystemExit(2)",
    "default factory": "x: int = Field(default_factory=lambda: fail(RuntimeError), description='X.')",
    "default of another type": "x: int = Field('three', description='X.')",
    "default out of range": "x: float = Field(2.0, le=1, description='X.')",
    "default that is no TOML": "x: float = Field(float('nan'), description='X.')",
}


NEEDS = {
    "raises": "lambda options: fail(AttributeError)",
    "exits": "lambda options: exit(0)",
    "none": "lambda options: None",
    "a string": "lambda options: 'bias'",
    "numbers": "lambda options: [1, 2]",
    "one none": "lambda options: ['bias', None]",
    "a generator that raises": "lambda options: (fail() for _ in 'ab')",
    "no end": "lambda options: iter(int, 1)",
    "no arguments": "lambda: ()",
}


@pytest.mark.parametrize("command", ["validate", "run"])
@pytest.mark.parametrize("options", CHECKS.values(), ids=CHECKS)
def test_options_that_cannot_be_checked_are_the_plugins_fault(zoo, options, command):
    done = zoo("debiaser", body=LOSS, options=options, command=(command,))
    assert (done.code, "Traceback" in done.err) == (3, False), done.err
    assert "zoo.toml:" in done.err
    assert "stages.only.loss" in done.err
    assert "debiaser 'mine' of zoo 1.2" in done.err


def test_a_validator_that_refuses_a_value_is_no_fault_of_the_plugin(zoo):
    options = "@model_validator(mode='after')\ndef check(self):\n    raise ValueError('a depth that is odd')"
    done = zoo("debiaser", body=LOSS, options=options, command=("validate",))
    assert done.code == 2
    assert "a depth that is odd" in done.err


@pytest.mark.parametrize("what", ["requires", "provides"])
@pytest.mark.parametrize("needs", NEEDS.values(), ids=NEEDS)
def test_needs_that_are_none_are_the_plugins_fault(zoo, needs, what):
    kind = "debiaser" if what == "requires" else "dataset"
    done = zoo(kind, body=LOSS if what == "requires" else "pass", fields=f"{what}={needs}", command=("validate",))
    assert (done.code, "Traceback" in done.err) == (3, False), done.err
    assert f"{kind} 'mine' of zoo 1.2: its {what}" in done.err
    assert ("stages.only" in done.err) == (what == "requires")


FACTORIES = {
    "returns none": "lambda options: None",
    "returns a class": "lambda options: Mine",
    "returns another contract": "lambda options: TinyBert(options)",
    "takes nothing": "lambda: None",
    "exits": "lambda options: exit(0)",
    "abstract": "Debiaser",
    "nowhere": "'no_module_of_this_name:Mine'",
    "no attribute": "'srf_debiasers:Mine'",
    "no class": "'srf_debiasers:__name__'",
    "a module that raises": "'zoo_raising:Mine'",
    "a module that exits": "'zoo_exiting:Mine'",
    "a module that imports what is not there": "'zoo_importing:Mine'",
    "a module that is no Python": "'zoo_syntax:Mine'",
}


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
def test_a_factory_that_makes_nothing_is_the_plugins_fault(zoo, factory):
    for name, code in {
        "raising": "raise AttributeError('inside')", "exiting": "raise SystemExit(0)",
        "importing": "import no_such_module_at_all", "syntax": "def (:",
    }.items():  # fmt: skip
        (zoo.work.parent / "site" / f"zoo_{name}.py").write_text(code)
    done = zoo("debiaser", body=LOSS, fields=f"factory={factory}")
    blamed(done, "debiaser", True)


def test_an_object_that_cannot_be_looked_at_is_the_plugins_fault(zoo):
    done = zoo("debiaser", body=LOSS + "def __getattribute__(self, name):\n    raise RuntimeError(name)\n")
    blamed(done, "debiaser", True)


# -- a plugin that is not there --------------------------------------------------------------------


@pytest.mark.parametrize("use", ["mine", "zoo/mine", "Zoo/mine"])
@pytest.mark.parametrize(
    "command", [("validate",), ("run",), ("run", "--dry-run"), ("sweep", "--grid", "seed=1,2")], ids=" ".join
)
def test_a_recipe_that_names_a_component_of_a_plugin_that_failed_ends_with_3(zoo, use, command):
    done = zoo("pruner", use=use, code="raise RuntimeError('no luck')", command=(command[0],), args=command[1:])
    assert (done.code, "Traceback" in done.err) == (3, False), done.err
    told = [line for line in done.err.splitlines() if not line.startswith("warning: ")]
    assert re.search(r"plugin 'mine' of zoo 1.2 failed to load: RuntimeError: no luck", "".join(told))
    assert "stages.only.pruner" in "".join(told)


def test_show_of_a_component_of_a_plugin_that_failed_ends_with_3(zoo):
    done = zoo("pruner", code="raise RuntimeError('no luck')", command=("show", "pruner/mine"), recipe=False)
    assert done.code == 3
    assert "failed to load: RuntimeError: no luck" in done.err.splitlines()[-1]


def test_a_name_that_the_failed_plugin_has_is_its_own_though_it_is_near_another(zoo):
    done = zoo("pruner", use="mask2", code="raise RuntimeError('no luck')\nNAME = 'mask2'", command=("validate",))
    assert done.code == 3


def test_a_misspelt_name_stays_a_mistake_while_another_plugin_is_broken(zoo):
    done = zoo("pruner", use="maskk", code="raise RuntimeError('no luck')", command=("validate",))
    assert done.code == 2
    assert "did you mean 'mask'?" in done.err


def test_what_a_blocked_plugin_has_is_told_to_be_blocked(zoo):
    zoo.install("pruner")
    zoo.recipe("pruner")
    done = zoo.perform("--disable", "zoo", "validate", "zoo.toml", cwd=zoo.work)
    assert done.code == 2
    assert "plugin 'mine' of zoo 1.2 is disabled" in done.err
