"""The recipes of the paper, read back cell by cell, against the paper's tables (App. B.3) and the authors' scripts.

A stage is compared by its formula, with each reference replaced by the formula of the stage: names do not count.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from srframework.recipe.model import PRETRAINED, Recipe, Reference, Stage, shipped
from srframework.recipe.sweep import load_cells
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry

REGISTRY = Registry(discover())
PAPER = [name.removeprefix("paper/") for name in shipped() if name.startswith("paper/")]
TASKS = ("nli", "paraphrase", "fact-verification")

# -- the paper ---------------------------------------------------------------------------------------

SPARSITIES = (0.2, 0.5, 0.7, 0.9)
SEEDS = {1, 2, 3, 4}
OF_TASK = {
    "nli": {"learning_rate": 5e-5, "warmup_steps": 3600, "eval_every": 1000, "clip": "global"},
    "paraphrase": {"learning_rate": 2e-5, "warmup_steps": 3400, "eval_every": 1000, "clip": "per-tensor"},
    "fact-verification": {"learning_rate": 2e-5, "warmup_steps": 0, "eval_every": 500, "clip": "global"},
}
OF_ALL = {
    "batch_size": 32,
    "gradient_accumulation": 1,
    "max_length": 128,
    "max_grad_norm": 1.0,
    "adam_epsilon": 1e-8,
    "weight_decay": 0.0,
    "max_steps": None,
    "patience": None,
    "keep": "best",
    "group_by_length": False,  # batches are drawn at random
}
FULL_EPOCHS = {
    "nli": {"std": 3, "reweight": 3, "poe": 5, "confreg": 5},
    "paraphrase": {"std": 3, "reweight": 3, "poe": 3, "confreg": 3},
    "fact-verification": {"std": 3, "reweight": 3, "poe": 3, "confreg": 3},
}
PRUNE_EPOCHS = {"nli": 5, "paraphrase": 7, "fact-verification": 7}
TABLE_5_EPOCHS = {"nli": 3, "paraphrase": 5, "fact-verification": 5}
OOD_EPOCHS = {
    "nli": {0.2: 3, 0.5: 3, 0.7: 3, 0.9: 7},
    "paraphrase": {0.2: 5, 0.5: 5, 0.7: 5, 0.9: 5},
    "fact-verification": {0.2: 3, 0.5: 3, 0.7: 3, 0.9: 5},
}
OOD_EPOCHS_OF_PRETRAINED = 3
OOD_LEARNING_RATE = 2e-5
OOD_COPIES = {"nli": 1, "paraphrase": 1, "fact-verification": 10}
TIMING_SPARSITY = {"nli": 0.7, "paraphrase": 0.7, "fact-verification": 0.9}
STARTS = ("pt", "A_std(pt)@5000", "A_std(pt)@10000", "A_std(pt)@15000", "A_std(pt)@20000", "A_std(pt)")
SETS = {
    "nli": {"train": 392_702, "dev": 9_815, "hans": 30_000, "ood_train": 30_000},
    "paraphrase": {
        "train": 363_849,
        "dev": 40_432,
        "paws-qqp": 677,
        "paws-wiki": 8_000,
        "ood_train": 11_988 + 49_401,
    },
    "fact-verification": {
        "train": 242_911,
        "dev": 16_664,
        "symmetric-v1": 717,
        "symmetric-v2": 712,
        "ood_train": 708,
    },
}

Row = tuple[str, int, int]
"""Formula, epochs, copies of the OOD training data."""


def full(task: str, *losses: str) -> set[Row]:
    return {(f"A_{loss}(pt)", FULL_EPOCHS[task][loss], 0) for loss in losses}


def masks(task: str, theta: str, *losses: str) -> set[Row]:
    return {(f"P_{loss}^mask {s}({theta})", PRUNE_EPOCHS[task], 0) for loss in losses for s in SPARSITIES}


def imp(task: str, name: str, theta: str, *losses: str) -> set[Row]:
    return {(f"P_{loss}^{name} 0.9({theta})", PRUNE_EPOCHS[task], 0) for loss in losses}


def isolated(task: str, mask: str, *losses: str) -> set[Row]:
    return {
        (f"A_{loss}(M({mask.format(s=s)}) * pt)", FULL_EPOCHS[task][loss], 0) for loss in losses for s in SPARSITIES
    }


def section_43(task: str) -> set[Row]:
    found = full(task, "std") | masks(task, "A_std(pt)", "poe") | imp(task, "imp-rw", "pt", "poe")
    for mask in ("P_poe^imp-rw 0.9(pt)@{s}", "P_poe^mask {s}(A_std(pt))"):
        found |= isolated(task, mask, "std", "poe")
    return found


def section_45(task: str) -> set[Row]:
    copies = OOD_COPIES[task]
    of_full = {(f"P_std^mask {s}(A_std(pt))", OOD_EPOCHS[task][s], copies) for s in SPARSITIES}
    of_pretrained = {(f"P_std^mask {s}(pt)", OOD_EPOCHS_OF_PRETRAINED, copies) for s in SPARSITIES}
    return full(task, "std") | of_full | of_pretrained | isolated(task, "P_std^mask {s}(A_std(pt))", "std")


def section_51(task: str) -> set[Row]:
    pruned = {(f"P_poe^mask {TIMING_SPARSITY[task]}({start})", PRUNE_EPOCHS[task], 0) for start in STARTS}
    return full(task, "std") | pruned


def table_5(task: str) -> set[Row]:
    ways = ("0.9", "0.9 soft", "0.2>0.9 soft", "0.5>0.9 soft", "0.7>0.9 soft")
    return full(task, "std") | {(f"P_poe^mask {way}(A_std(pt))", TABLE_5_EPOCHS[task], 0) for way in ways}


def table_6(task: str) -> set[Row]:
    ways = ("0.5", "0.7", "0.5>0.7 soft")
    return full(task, "std", "poe") | {(f"P_poe^mask {way}(A_std(pt))", PRUNE_EPOCHS[task], 0) for way in ways}


EXPECTED = {
    "full-models": lambda task: full(task, "std", "poe", "reweight", "confreg"),
    "section-4.2-from-std": lambda task: (
        full(task, "std") | imp(task, "imp", "A_std(pt)", "std", "poe") | masks(task, "A_std(pt)", "std", "poe")
    ),
    "section-4.2-from-poe": lambda task: (
        full(task, "poe") | imp(task, "imp", "A_poe(pt)", "poe") | masks(task, "A_poe(pt)", "poe")
    ),
    "section-4.3": section_43,
    "section-4.4": lambda task: masks(task, "pt", "std", "poe"),
    "section-4.5": section_45,
    "section-5.1": section_51,
    "section-5.2-table-5": table_5,
    "table-6": table_6,
    "appendix-c.1": lambda task: full(task, "std") | masks(task, "A_std(pt)", "reweight", "confreg"),
}
"""Without Fig. 8, for which the paper does not list the numbers of epochs."""

ONLY = {"table-6": ("nli",)}
"""Recipes that do not have every task."""


def tasks_of(name: str) -> tuple[str, ...]:
    return ONLY.get(name, TASKS)


EACH = pytest.mark.parametrize(("name", "task"), [(name, task) for name in PAPER for task in tasks_of(name)])

# -- the recipes -------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _there_is_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the content of a data/ here does not matter


def cells(name: str, task: str, *more: str) -> list[Recipe]:
    variant = [] if name in ONLY else [f"variant={task}"]
    return [cell.recipe for cell in load_cells(f"paper/{name}", REGISTRY, [*variant, *more])]


def formula(recipe: Recipe, stage: Stage) -> str:
    def at(reference: Reference) -> str:
        if reference.stage == PRETRAINED:
            return "pt"
        [other] = [each for each in recipe.stages if each.name == reference.stage]
        return formula(recipe, other) + ("" if reference.point is None else f"@{reference.point}")

    inner = at(stage.weights) if stage.mask is None else f"M({at(stage.mask)}) * {at(stage.weights)}"
    loss = stage.loss.registered.name
    if stage.pruner is None:
        return f"A_{loss}({inner})"
    options = stage.pruner.options
    how = f"{options.sparsity:g}"
    if stage.pruner.registered.name == "mask":
        how = how if options.schedule == "fixed" else f"{options.initial_sparsity:g}>{how}"
        how += "" if options.init == "hard" else f" {options.init}"
    return f"P_{loss}^{stage.pruner.registered.name} {how}({inner})"


def stages(name: str, task: str) -> Iterator[tuple[Recipe, Stage]]:
    for recipe in cells(name, task, "seed=1"):
        for stage in recipe.stages:
            yield recipe, stage


def rows(name: str, task: str) -> set[Row]:
    return {(formula(r, s), s.training.epochs, s.training.ood_train) for r, s in stages(name, task)}


def trains_scores(stage: Stage) -> bool:
    return stage.pruner is not None and stage.pruner.registered.name == "mask"


def test_every_recipe_is_compared():
    assert {*EXPECTED, "figure-8"} == set(PAPER)


@pytest.mark.parametrize(("name", "task"), [(name, task) for name in EXPECTED for task in tasks_of(name)])
def test_the_stages_of_all_cells_are_those_of_the_paper(name, task):
    assert rows(name, task) == EXPECTED[name](task)


@EACH
def test_optimisation_is_the_papers(name, task):
    for _, stage in stages(name, task):
        wanted = OF_ALL | OF_TASK[task] | {"adam_epsilon_uncorrected": trains_scores(stage)}
        if stage.training.ood_train:
            wanted |= {"learning_rate": OOD_LEARNING_RATE} | ({"warmup_steps": 0} if task == "paraphrase" else {})
        training = stage.training.model_dump()
        assert {key: training[key] for key in wanted} == wanted, stage.name


@EACH
def test_pruners_are_the_papers(name, task):
    for _, stage in stages(name, task):
        if stage.pruner is None:
            assert stage.training.best_after == 0
            continue
        options = stage.pruner.options.model_dump()
        wanted = {"scope": "local", "pattern": None, "classifier": True, "pooler": False}
        if trains_scores(stage):
            wanted |= {"phi": 0.01, "alpha": 2.0, "refresh_every": None}
            # Only a mask of a fine-tuned model is chosen late.
            assert stage.training.best_after == (0 if stage.weights.stage == PRETRAINED else 0.7)
        else:
            # 10 %, 20 %, … 90 %; the authors' decay over all steps, restarted at each prune, without warmup.
            wanted |= {"sparsity": 0.9, "step": 0.1, "interval": 0.1, "decay": "complete"}
            levels = [phase for phase in stage.phases(1000) if phase.level is not None]
            assert [phase.level for phase in levels] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
            trained = [phase for phase in stage.phases(1000) if phase.steps]
            assert {(phase.steps, phase.decay_steps, phase.warmup) for phase in trained} == {(100, 1000, False)}
        assert {key: options[key] for key in wanted} == wanted, stage.name


@EACH
def test_the_data_are_the_papers_and_every_cell_runs_with_four_seeds(name, task):
    recipes = cells(name, task)
    assert {recipe.dataset.registered.name for recipe in recipes} == {task}
    assert {recipe.seed for recipe in recipes} == SEEDS
    assert len(recipes) == len(SEEDS) * len(cells(name, task, "seed=1"))
    sizes = recipes[0].dataset.build().sizes()  # those that are known without the files
    assert sizes.keys() >= {"train", "dev", "ood_train"}
    assert sizes.items() <= SETS[task].items()


@pytest.mark.parametrize("name", [name for name in PAPER if name != "table-6"])
def test_the_sweep_has_the_three_tasks(name):
    found = {cell.values["variant"] for cell in load_cells(f"paper/{name}", REGISTRY, ["seed=1"])}
    assert found == set(TASKS)


def test_table_6_is_for_nli_alone_with_two_models():
    recipes = [cell.recipe for cell in load_cells("paper/table-6", REGISTRY, ["seed=1"])]
    assert {recipe.dataset.registered.name for recipe in recipes} == {"nli"}
    assert [recipe.backbone.options.path for recipe in recipes] == ["roberta-base", "bert-large-uncased"]


@pytest.mark.parametrize("name", [name for name in PAPER if name != "table-6"])
def test_the_backbone_is_bert_base(name):
    assert {recipe.backbone.options.path for recipe in cells(name, "nli", "seed=1")} == {"bert-base-uncased"}


@pytest.mark.parametrize("task", TASKS)
def test_figure_8_has_fixed_and_gradual_over_the_same_numbers_of_epochs(task):
    found = rows("figure-8", task) - full(task, "std")
    ways = ("P_poe^mask 0.9(A_std(pt))", "P_poe^mask 0.7>0.9 soft(A_std(pt))")
    epochs = {way: {count for each, count, _ in found if each == way} for way in ways}
    assert {each for each, _, _ in found} == set(ways)
    assert epochs[ways[0]] == epochs[ways[1]]
    assert len(epochs[ways[0]]) >= 3
    assert TABLE_5_EPOCHS[task] in epochs[ways[0]]
    for recipe in cells("figure-8", task, "seed=1"):  # each cell compares both at one number of epochs
        assert len({stage.training.epochs for stage in recipe.stages if stage.pruner is not None}) == 1


@pytest.mark.parametrize("task", TASKS)
def test_ood_data_are_for_mask_training_alone(task):
    copies = {formula(recipe, stage)[0]: set[int]() for recipe, stage in stages("section-4.5", task)}
    for recipe, stage in stages("section-4.5", task):
        copies[formula(recipe, stage)[0]].add(stage.training.ood_train)
    assert copies == {"A": {0}, "P": {OOD_COPIES[task]}}


def test_non_entailment_of_hans_is_trained_as_contradiction():
    options = {recipe.dataset.options.hans_non_entailment for recipe in cells("section-4.5", "nli", "seed=1")}
    assert options == {"contradiction"}


@pytest.mark.parametrize("task", TASKS)
def test_the_teacher_of_confreg_is_the_std_model(task):
    for name in ("full-models", "appendix-c.1"):
        for recipe, stage in stages(name, task):
            if stage.loss.registered.name == "confreg":
                [teacher] = [each for each in recipe.stages if each.name == stage.loss.options.teacher]
                assert formula(recipe, teacher) == "A_std(pt)"


@pytest.mark.parametrize("task", TASKS)
def test_isolated_subnetworks_have_one_sparsity_of_both_masks(task):
    for recipe in cells("section-4.3", task, "seed=1"):
        levels = {
            formula(recipe, stage).partition("@")[2][:3] for stage in recipe.stages if stage.name.startswith("imp-")
        }
        [mask] = [stage for stage in recipe.stages if trains_scores(stage)]
        assert levels - {""} == {f"{mask.pruner.options.sparsity:g}"}
