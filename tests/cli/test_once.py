"""What a command does once, however many runs it has: parse the recipe file; and at most twice, build a pruner."""

from __future__ import annotations

from collections import Counter

import pytest
import tomli
from small_recipe import FULL, small_recipe, srnet

from srframework.recipe.model import Use

CLAIM = """
[claim]
statement = "It is dense."
checks = ["sparsity(full) <= 0"]
"""

RECIPE = small_recipe("Once", FULL, training="max_steps = 1")

GRID = ("--grid", "seed=1,2,3", "--grid", "training.learning_rate=1e-3,2e-3,3e-3,4e-3")


@pytest.fixture
def parsed(monkeypatch) -> Counter[str]:
    """How often each TOML text of several lines is parsed; an override is a line."""
    times: Counter[str] = Counter()
    loads = tomli.loads
    monkeypatch.setattr(tomli, "loads", lambda text, **more: times.update([text]) or loads(text, **more))
    return times


@pytest.mark.parametrize(
    "command",
    [
        ("validate",),
        ("run",),
        ("run", "--dry-run"),
        ("sweep", "--dry-run", *GRID),
        ("sweep", *GRID),
        ("claims", "--seeds", "1,2,3"),
    ],
    ids=" ".join,
)
def test_a_command_parses_its_recipe_once_and_no_other_text(perform, tmp_path, parsed, command):
    text = f"{RECIPE}{CLAIM}"
    (tmp_path / "recipe.toml").write_text(text)
    done = perform(command[0], "recipe.toml", *command[1:], cwd=tmp_path)
    assert done.code == 0, done.err
    assert {each: count for each, count in parsed.items() if "\n" in each} == {text: 1}


def test_a_run_builds_each_pruner_to_check_its_length_to_try_it_and_to_train(perform, tmp_path, monkeypatch):
    (tmp_path / "recipe.toml").write_text(f"{RECIPE}{srnet()}")
    built: list[str] = []
    build = Use.build
    monkeypatch.setattr(Use, "build", lambda use: built.append(use.registered.name) or build(use))
    done = perform("run", "recipe.toml", cwd=tmp_path)
    assert done.code == 0, done.err
    assert built.count("mask") == 3
