"""Evaluations are in fp32 unless the recipe asks for bf16."""

from __future__ import annotations

import numpy as np
import pytest
from accelerate import Accelerator
from small_recipe import FULL, small_recipe

from srframework.recipe.check import load_recipe
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.run.identity import signatures
from srframework.run.resources import Materials


@pytest.fixture
def recipe(tmp_path):
    def load(training):
        (tmp_path / "recipe.toml").write_text(small_recipe("Precision", FULL, training=training))
        return load_recipe(tmp_path / "recipe.toml", Registry(discover()))

    return load


def test_bf16_gives_almost_the_same_logits_and_fp32_is_the_default(recipe):
    def logits(training):
        materials = Materials(found := recipe(training), Accelerator())
        return materials.logits(materials.fresh().model, materials.task.dev, found.stages[0])

    plain, single, half = (
        logits(f"max_steps = 1{more}") for more in ("", ', precision = "bf16"', ', eval_precision = "bf16"')
    )
    assert np.array_equal(plain, single)
    assert half.dtype == np.float32
    assert not np.array_equal(plain, half)
    assert np.allclose(plain, half, atol=0.02)


def test_only_bf16_adds_to_the_key(recipe):
    plain, single, half = (
        signatures(recipe(f"max_steps = 1{more}"))["full"]
        for more in ("", ', eval_precision = "fp32"', ', eval_precision = "bf16"')
    )
    assert plain == single != half
