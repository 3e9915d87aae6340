"""The last evaluation of a training is that of the result: it is not computed a second time, and changes no bit."""

from __future__ import annotations

import functools

import pytest
from small_recipe import FULL, small_recipe, srnet

from srframework.recipe.check import load_recipe
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.run import resources, stage_results
from srframework.run.api import run_recipe
from srframework.run.options import RunOptions

IMP = """
[[stages]]
name = "imp"
op = "prune"
weights = "full"
pruner = { use = "imp", sparsity = 0.4, step = 0.2, interval = 0.25, levels = "all" }
loss = "std"
"""
RISING = """
[[stages]]
name = "rising"
op = "prune"
weights = "full"
pruner = { use = "mask", sparsity = 0.6, schedule = "cubic", initial_sparsity = 0.2 }
loss = "std"
"""
ONE_SHOT = """
[[stages]]
name = "at-once"
op = "prune"
weights = "full"
pruner = { use = "omp", sparsity = 0.5 }
loss = "std"
"""
TRAINING = "max_steps = 4, eval_every = 2, learning_rate = 0.01"
DEV, OOD = 12, 9
"""Examples of the splits of the small recipe."""


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """Run a recipe; return the number of examples of each prediction, and the files with figures and predictions."""

    def run(name, *stages, training=TRAINING):
        path = tmp_path / f"{name}.toml"
        path.write_text(small_recipe("Once", *stages, training=training))
        sizes = []
        predict = resources.predict

        def counting(model, tokenized, *rest):
            sizes.append(len(tokenized))
            return predict(model, tokenized, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(resources, "predict", counting)
            out = tmp_path / name
            run_recipe(load_recipe(path, Registry(discover())), tmp_path / f"store-{name}", RunOptions(out))
        kept = [each for each in out.rglob("*") if each.name == "figures.json" or each.parent.name == "predictions"]
        return sizes, {str(each.relative_to(out)): each.read_bytes() for each in kept}

    return run


def twice(evaluated, monkeypatch, *stages, **options):
    """Run stages, then run them with nothing handed from the training to the evaluation."""
    once = evaluated("once", *stages, **options)
    measure = stage_results.measure
    monkeypatch.setattr(stage_results, "measure", functools.wraps(measure)(lambda *given: measure(*given[:-1], {})))
    return once, evaluated("again", *stages, **options)


def test_dev_is_evaluated_once_after_the_last_step(evaluated, monkeypatch):
    (once, kept), (again, same) = twice(evaluated, monkeypatch, FULL)
    assert once == [DEV, DEV, OOD], "at steps 2 and 4, then OOD alone"
    assert again == [DEV, DEV, DEV, OOD]
    assert kept == same


def test_with_eval_ood_the_result_needs_no_further_evaluation(evaluated, monkeypatch):
    training = f"{TRAINING}, eval_ood = true"
    (once, kept), (_, same) = twice(evaluated, monkeypatch, FULL, training=training)
    assert once == [DEV, OOD, DEV, OOD]
    assert kept == same


@pytest.mark.parametrize("eval_ood", ["false", "true"])
@pytest.mark.parametrize("stage", [srnet(), IMP, RISING, ONE_SHOT], ids=["mask", "imp", "rising", "at-once"])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_predictions_and_figures_are_those_of_the_saved_model(evaluated, monkeypatch, stage, eval_ood, keep):
    training = f'{TRAINING}, eval_ood = {eval_ood}, keep = "{keep}"'
    (once, kept), (again, same) = twice(evaluated, monkeypatch, FULL, stage, training=training)
    assert kept == same
    assert len(once) < len(again)
