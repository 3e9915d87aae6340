"""What follows from the options of a recipe: defaults, what is left out, what a stage needs."""

from __future__ import annotations

import pytest
from checked_recipe import PAIRS, RECIPE

from srframework.recipe.model import Reference


@pytest.mark.parametrize(
    ("overrides", "best_after"),
    [
        ([], [0.0, 0.7]),
        (["stages.srnet.weights=pretrained"], [0.0, 0.0]),
        (["training.best_after=0.5"], [0.5, 0.5]),
        (["stages.srnet.best_after=0"], [0.0, 0.0]),
        (["stages.srnet.pruner=imp"], [0.0, 0.0]),
        (["stages.srnet.pruner=imp-rw"], [0.0, 0.0]),
        (["stages.srnet.pruner={ use = 'omp', sparsity = 0.5 }"], [0.0, 0.0]),
        (["stages.srnet.pruner={ use = 'random', sparsity = 0.5 }"], [0.0, 0.0]),
        (["stages.srnet.pruner={ use = 'omp', sparsity = 0.5 }", "training.best_after=0.5"], [0.5, 0.5]),
    ],
)
def test_the_best_checkpoint_of_a_masked_fine_tuned_model_comes_late(read, overrides, best_after):
    assert [stage.training.best_after for stage in read(RECIPE, *overrides).stages] == best_after


def test_patience_is_for_the_stages_that_train(read, problems):
    recipe = read(RECIPE, "training.patience=2")
    assert [stage.training.patience for stage in recipe.stages] == [2, None]
    assert [stage.training.patience for stage in read(RECIPE, "stages.full.patience=3").stages] == [3, None]
    [problem] = problems(RECIPE, "stages.srnet.patience=2")
    assert problem.endswith(
        "stages.srnet.patience: expected no patience in a stage with op = 'prune': "
        "its pruner needs all steps of the stage"
    )
    [problem] = problems(RECIPE, "training.patience=0")
    assert "training.patience" in problem


def test_the_only_bias_model_without_required_options_is_the_default(read):
    recipe = read()
    assert recipe.bias.registered.name == "bias-logistic"
    assert [stage.needs_bias for stage in recipe.stages] == [False, True]


def test_a_bias_model_that_no_stage_needs_is_left_out(read):
    assert read(RECIPE, "stages.srnet.loss.use=std", "bias.use=bias-logistic").bias is None


def test_bias_from_a_file_works_on_data_without_spurious_features(read):
    text = RECIPE.replace('[dataset]\nuse = "synthetic"\n', PAIRS)
    assert read(text, "bias={ use = 'bias-file', path = 'd.tsv' }").bias.options.path == "d.tsv"


def test_spurious_features_depend_on_the_options_of_the_data_set(read, problems):
    text = RECIPE.replace('[dataset]\nuse = "synthetic"\n', PAIRS)
    assert read(text, "dataset.features=overlap").bias.registered.name == "bias-logistic"
    (problem,) = problems(text, "dataset.features=overlap", "dataset.text_b=")
    assert "stages.srnet.loss.use: debiaser 'poe' needs a bias model" in problem


def test_evaluators_are_those_of_the_data_set_and_those_listed_each_once(read):
    names = [use.registered.name for use in read(RECIPE, "evaluators=['f1', 'accuracy', 'f1']").evaluators]
    assert names == ["f1", "accuracy", "sparsity"]


def test_ood_training_examples_that_every_stage_wants_are_reported_stage_by_stage(problems, read):
    said = [problem.split(": ")[:2] for problem in problems(RECIPE, "training.ood_train=2")]
    assert said == [["r.toml:10", "stages.full.ood_train"], ["r.toml:15", "stages.srnet.ood_train"]]
    recipe = read(RECIPE, "training.ood_train=2", "dataset.ood_train_size=3")
    assert [stage.training.ood_train for stage in recipe.stages] == [2, 2]


@pytest.mark.parametrize("teacher", ["full", "full@3"])
def test_a_teacher_is_a_stage_that_comes_first(read, teacher):
    recipe = read(
        RECIPE, f"stages.srnet.loss={{ use = 'confreg', teacher = '{teacher}' }}", "stages.srnet.weights=pretrained"
    )
    assert [stage.name for stage in recipe.stages] == ["full", "srnet"]
    assert list(recipe.stages[1].references()) == [("loss.teacher", Reference.parse(teacher))]
    assert recipe.points_kept("full") == ({"3"} if "@" in teacher else frozenset())


def test_a_variant_and_a_sweep_are_no_part_of_the_recipe_that_they_give(read):
    text = RECIPE.replace("schema = 1", 'schema = 1\nvariant = "b"\nvariants.b.seed = 4\nsweep.seed = [5, 6]')
    recipe = read(text)
    assert recipe.seed == 4
    assert {"variant", "variants", "sweep"}.isdisjoint(recipe.table())
    assert read(text, "variant=b", "seed=9").seed == 9


def test_an_evaluator_that_needs_a_bias_model_gets_the_default_one(read, problems):
    recipe = read(RECIPE, "stages.srnet.loss.use=std", "evaluators=['bias-groups']")
    assert recipe.bias.registered.name == "bias-logistic"
    text = RECIPE.replace('[dataset]\nuse = "synthetic"\n', PAIRS)
    (problem,) = problems(
        text, "stages.srnet.loss.use=std", "dataset.text_b=", "evaluators=['bias-groups']", "dataset.features=overlap"
    )
    assert (
        "evaluators: evaluator 'bias-groups' needs a bias model; bias model 'bias-logistic' needs spurious features"
        in problem
    )
