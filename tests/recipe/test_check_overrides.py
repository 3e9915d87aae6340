"""Overrides are checked as the file is."""

from __future__ import annotations

import pytest
from checked_recipe import MASK, RECIPE, SYNTHETIC, keys

from srf_datasets.synthetic_options import SyntheticOptions
from srf_pruners.mask_options import MaskOptions


def test_overrides_are_checked_as_the_file_is(read):
    recipe = read(
        RECIPE,
        "seed=7",
        "backbone.use=bert-base",
        "training.epochs=2",
        "stages.srnet.epochs=5",
        "stages.0.learning_rate=1e-3",
        "stages.srnet.pruner={ use = 'imp', sparsity = 0.4 }",
    )
    assert (recipe.seed, recipe.backbone.registered.name) == (7, "bert-base")
    assert [stage.training.epochs for stage in recipe.stages] == [2, 5]
    assert [stage.training.learning_rate for stage in recipe.stages] == [1e-3, 5e-5]
    assert recipe.stages[1].pruner.options.sparsity == 0.4


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("seed=x", "seed: must be an integer (got 'x')"),
        ("stages.srnet.pruner.sparsity=1", f"stages.srnet.pruner.sparsity: must be less than 1 (got 1){MASK}"),
        (
            "stages.1.pruner.sparsty=0.1",
            f"stages.srnet.pruner.sparsty: unknown key; did you mean 'sparsity'? Choices: {keys(MaskOptions)}{MASK}",
        ),
        (
            "stages.srnet.weights=fulll",
            "stages.srnet.weights: no stage is named 'fulll'; did you mean 'full'? Choices: full, pretrained",
        ),
        (
            "dataset.zzz.strength=1",
            f"dataset.zzz: unknown key; choices: {keys(SyntheticOptions)}{SYNTHETIC}",
        ),
    ],
)
def test_a_problem_in_an_override_names_the_override(problems, override, problem):
    assert problems(RECIPE, override) == [f"--set {override}: {problem}"]


def test_a_wrong_override_is_reported_before_the_file_is_checked(problems):
    assert problems(RECIPE.replace("tiny", "tinny"), "stages.x.op=train") == [
        "--set stages.x.op=train: stages.x.op: no stage is named 'x'; choices: full, srnet"
    ]
