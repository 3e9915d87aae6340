"""Recipes whose pruner has a ``pattern``."""

from __future__ import annotations

import json

import pytest
from small_recipe import small_recipe

from srframework.masks import Mask


@pytest.mark.parametrize("text", ["2:4", "1x4"])
def test_a_recipe_with_a_pattern_runs_and_counts_it_from_the_tensors(text, tmp_path, perform):
    stage = f"""
[[stages]]
name = "srnet"
op = "prune"
pruner = {{ use = "mask", sparsity = 0.5, pattern = "{text}" }}
loss = "std"
"""
    (tmp_path / "recipe.toml").write_text(small_recipe("patterns", stage, training="max_steps = 3"))
    done = perform("run", "recipe.toml", "--out", "out", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert json.loads(done.out)["stages"][0]["sparsity"] == 0.5
    for units in Mask.load(tmp_path / "out/stages/srnet/mask.safetensors").values():
        units = units.reshape(len(units), -1, 4)
        assert (units.sum(2) == 2).all() if text == "2:4" else (units.all(2) == units.any(2)).all()


def test_a_pattern_that_does_not_fit_the_model_ends_the_run_before_the_first_step(tmp_path, perform):
    stage = '\n[[stages]]\nname = "a"\nop = "prune"\npruner = { use = "omp", sparsity = 0.5, pattern = "1x5" }\n'
    (tmp_path / "recipe.toml").write_text(small_recipe("patterns", stage))
    done = perform("run", "recipe.toml", "--out", "out", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert 'pattern "1x5": expected matrices whose rows have a multiple of 5 entries, got 16 in bert.' in done.err
    assert not (tmp_path / "out" / "stages").exists()
