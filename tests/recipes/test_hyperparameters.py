"""The resolved paper recipes say what the paper's App. B.3 says."""

from __future__ import annotations

import pytest

from srframework.recipe.model import Recipe, Stage, shipped
from srframework.recipe.sweep import load_cells
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry

REGISTRY = Registry(discover())
PAPER = [name for name in shipped() if name.startswith("paper/")]
TASKS = ("nli", "paraphrase", "fact-verification")

OF_TASK = {
    "nli": {"learning_rate": 5e-5, "warmup_steps": 3600, "eval_every": 1000, "clip": "global"},
    "paraphrase": {"learning_rate": 2e-5, "warmup_steps": 3400, "eval_every": 1000, "clip": "per-tensor"},
    "fact-verification": {"learning_rate": 2e-5, "warmup_steps": 0, "eval_every": 500, "clip": "global"},
}
OF_ALL = {
    "batch_size": 32,
    "max_length": 128,
    "max_grad_norm": 1.0,
    "adam_epsilon": 1e-8,
    "weight_decay": 0.0,
    "max_steps": None,
    "gradient_accumulation": 1,
    "keep": "best",
}
FULL_EPOCHS = {
    "nli": {"std": 3, "reweight": 3, "poe": 5, "confreg": 5},
    "paraphrase": {"std": 3, "reweight": 3, "poe": 3, "confreg": 3},
    "fact-verification": {"std": 3, "reweight": 3, "poe": 3, "confreg": 3},
}
PRUNE_EPOCHS = {"nli": 5, "paraphrase": 7, "fact-verification": 7}
UPPER_BOUND_EPOCHS = {
    "nli": {0.2: 3, 0.5: 3, 0.7: 3, 0.9: 7},
    "paraphrase": {0.2: 5, 0.5: 5, 0.7: 5, 0.9: 5},
    "fact-verification": {0.2: 3, 0.5: 3, 0.7: 3, 0.9: 5},
}
OOD_COPIES = {"nli": 1, "paraphrase": 1, "fact-verification": 10}
SPARSITIES = {0.2, 0.5, 0.7, 0.9}


@pytest.fixture(autouse=True)
def _there_is_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what data/ has, if anything, is nobody's business here


def cells(name: str, task: str) -> list[Recipe]:
    return [cell.recipe for cell in load_cells(name, REGISTRY, [f"variant={task}", "seed=1"])]


def is_upper_bound(stage: Stage) -> bool:
    return stage.training.ood_train > 0


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", PAPER)
def test_optimisation_is_the_papers(name, task):
    checked = 0
    for recipe in cells(name, task):
        for stage in recipe.stages:
            wanted = OF_ALL | OF_TASK[task]
            if is_upper_bound(stage) and stage.pruner is not None:
                wanted |= {"learning_rate": 2e-5}
                wanted |= {"warmup_steps": 0} if task == "paraphrase" else {}
            training = stage.training.model_dump()
            assert {key: training[key] for key in wanted} == wanted, stage.name
            checked += 1
    assert checked


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", PAPER)
def test_epochs_are_the_papers(name, task):
    for recipe in cells(name, task):
        for stage in recipe.stages:
            if stage.pruner is None:
                wanted = FULL_EPOCHS[task][stage.loss.registered.name]
            elif is_upper_bound(stage):
                wanted = UPPER_BOUND_EPOCHS[task][stage.pruner.options.sparsity]
            else:
                wanted = PRUNE_EPOCHS[task]
            assert stage.training.epochs == wanted, stage.name


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", PAPER)
def test_pruners_are_the_papers(name, task):
    for recipe in cells(name, task):
        for stage in recipe.stages:
            if stage.pruner is None:
                assert stage.training.best_after == 0
                continue
            options, masks = stage.pruner.options.model_dump(), stage.pruner.registered.name == "mask"
            assert stage.training.best_after == (0.7 if masks and stage.weights.stage != "pretrained" else 0)
            assert options["scope"] == "local"
            if masks:
                assert (options["phi"], options["alpha"], options["refresh_every"]) == (0.01, 2.0, None)
                if options["schedule"] == "cubic":
                    assert options["init"] == "soft"
            else:
                assert (options["sparsity"], options["step"], options["interval"]) == (0.9, 0.1, 0.1)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "name", ["paper/section-4.2-from-std", "paper/section-4.2-from-poe", "paper/section-4.3", "paper/section-4.4"]
)
def test_sparsities_are_those_studied(name, task):
    masks = [stage.pruner for recipe in cells(name, task) for stage in recipe.stages if stage.pruner is not None]
    assert {use.options.sparsity for use in masks if use.registered.name == "mask"} == SPARSITIES


@pytest.mark.parametrize("task", TASKS)
def test_the_upper_bound_adds_the_papers_ood_data(task):
    for recipe in cells("paper/section-4.5", task):
        assert {stage.training.ood_train for stage in recipe.stages if stage.name != "full"} == {OOD_COPIES[task]}


def test_the_search_starts_at_the_papers_steps():
    starts = [str(recipe.stages[-1].weights) for recipe in cells("paper/section-5.1", "nli")]
    assert starts == ["full@5000", "full@10000", "full@15000", "full@20000", "full"]


def test_table_5_has_its_five_rows():
    [recipe] = cells("paper/section-5.2-table-5", "nli")
    rows = [stage.pruner.options for stage in recipe.stages if stage.pruner is not None]
    assert [(row.init, row.schedule, row.initial_sparsity, row.sparsity) for row in rows] == [
        ("hard", "fixed", None, 0.9),
        ("soft", "fixed", None, 0.9),
        ("soft", "cubic", 0.2, 0.9),
        ("soft", "cubic", 0.5, 0.9),
        ("soft", "cubic", 0.7, 0.9),
    ]


def test_table_6_has_its_models_and_sparsities():
    recipes = cells("paper/table-6", "nli")
    assert [recipe.backbone.options.path for recipe in recipes] == ["roberta-base", "bert-large-uncased"]
    rows = [stage.pruner.options for stage in recipes[0].stages if stage.pruner is not None]
    assert [(row.schedule, row.initial_sparsity, row.sparsity) for row in rows] == [
        ("fixed", None, 0.5),
        ("fixed", None, 0.7),
        ("cubic", 0.5, 0.7),
    ]


def test_isolated_subnetworks_have_one_sparsity_of_both_masks():
    for recipe in cells("paper/section-4.3", "nli"):
        stages = {stage.name: stage for stage in recipe.stages}
        level = stages["mask"].pruner.options.sparsity
        assert [str(stages[name].mask) for name in ("imp-std", "imp-poe")] == [f"imp-rw@{level:g}"] * 2
        assert {str(stages[name].weights) for name in ("imp-std", "imp-poe", "mask-std", "mask-poe")} == {"pretrained"}
