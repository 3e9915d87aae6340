"""Every recipe of the paper runs through every stage, for each task, at a small scale."""

from __future__ import annotations

import json

import pytest

from srframework.masks import Mask
from srframework.recipe.model import shipped
from srframework.recipe.sweep import load_cells
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.run.api import run_recipe
from srframework.run.options import RunOptions

REGISTRY = Registry(discover())
PAPER = [name for name in shipped() if name.startswith("paper/")]
TASKS = ("nli", "paraphrase", "fact-verification")
SMALL = [
    'backbone={ use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }',
    "training.max_steps=2",
    "training.batch_size=4",
]


ONLY = {"paper/table-6": ("nli",)}
"""Recipes without variants, and their tasks."""
EACH = [(name, task) for name in PAPER for task in ONLY.get(name, TASKS)]


def variant(name: str, task: str) -> list[str]:
    """The override that chooses a task."""
    return [] if name in ONLY else [f"variant={task}"]


def test_there_is_a_recipe_for_each_table_and_figure():
    assert PAPER == [
        "paper/appendix-c.1",
        "paper/figure-8",
        "paper/full-models",
        "paper/section-4.2-from-poe",
        "paper/section-4.2-from-std",
        "paper/section-4.3",
        "paper/section-4.4",
        "paper/section-4.5",
        "paper/section-5.1",
        "paper/section-5.2-table-5",
        "paper/table-6",
    ]


@pytest.mark.parametrize("name", PAPER)
def test_a_paper_recipe_opens_with_the_result_that_it_is(name):
    first, second, third, *_ = shipped()[name].read_text(encoding="utf-8").splitlines()
    assert first.startswith(("# §", "# App.", "# Fig.", "# Table", "# The full models"))
    assert second.startswith("# Needs: ")
    assert third.startswith("name = ")


@pytest.mark.long
@pytest.mark.parametrize(("name", "task"), EACH)
def test_a_paper_recipe_runs_through_every_stage(name, task, tasks, tmp_path):
    overrides = [*SMALL, "sweep={}", *variant(name, task), tasks[task]]
    [cell] = load_cells(name, REGISTRY, overrides)
    report = run_recipe(cell.recipe, tmp_path / "store", RunOptions(tmp_path / "run")).report
    assert [stage["name"] for stage in report["stages"]] == [stage.name for stage in cell.recipe.stages]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "finished"
    for stage, planned in zip(report["stages"], cell.recipe.stages, strict=True):
        assert stage["metric"] == ("f1" if task == "paraphrase" else "accuracy")
        assert len(stage["ood"]) == (1 if task == "nli" else 2)
        assert 0 <= stage["id"] <= 1
        if task == "paraphrase":  # the binary F1 of class 1 too
            assert {"f1", "f1/1"} <= set(stage["evaluations"]["dev"])
        keeps_best = planned.pruner is None or planned.pruner.registered.name == "mask"
        assert (stage["step"], stage["candidates"]) == (stage["steps"], 1 if keeps_best else 0)
        pruned = planned.pruner is not None or planned.mask is not None
        wanted = planned.pruner.options.sparsity if planned.pruner is not None else 0.7 if pruned else 0.0
        assert stage["sparsity"] == pytest.approx(wanted, abs=0.01)  # rounded in each small matrix
        mask = tmp_path / "run" / "stages" / planned.name / "mask.safetensors"
        assert mask.exists() == pruned
        if pruned:
            assert Mask.load(mask).sparsity == pytest.approx(stage["sparsity"], abs=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in PAPER if name not in ("paper/section-5.1", "paper/figure-8")])
def test_every_sparsity_of_a_paper_recipe_runs(name, tasks, tmp_path):
    cells = load_cells(name, REGISTRY, [*SMALL, *variant(name, "nli"), "seed=1", tasks["nli"]])
    for cell in cells:
        report = run_recipe(cell.recipe, tmp_path / "store", RunOptions(tmp_path / (cell.slug or "run"))).report
        found = {stage["name"]: stage["sparsity"] for stage in report["stages"]}
        for key, value in cell.values.items():
            _, stage, *rest = key.split(".")
            if rest == ["pruner", "sparsity"]:
                assert found[stage] == pytest.approx(value, abs=0.01)
            elif rest == ["mask"]:
                assert found[stage] == pytest.approx(float(value.partition("@")[2]), abs=0.01)


@pytest.mark.long
def test_the_search_may_start_inside_fine_tuning(tasks, tmp_path):
    starts = 'sweep={ "stages.mask.weights" = ["pretrained", "full@1", "full@2", "full"] }'
    cells = load_cells("paper/section-5.1", REGISTRY, [*SMALL, tasks["nli"], starts])
    assert [str(cell.recipe.stages[-1].weights) for cell in cells] == ["pretrained", "full@1", "full@2", "full"]
    for cell in cells:
        run_recipe(cell.recipe, tmp_path / "store", RunOptions(tmp_path / cell.slug))
    assert (tmp_path / cells[1].slug / "stages/full/points/1/model/model.safetensors").is_file()


@pytest.mark.long
@pytest.mark.data
@pytest.mark.parametrize(
    ("task", "option", "folder", "ood", "ood_train"),
    [
        ("nli", "hans", "MNLI/hans", {"hans": 6_000}, 6_000),
        ("fact-verification", "symmetric", "fever", {"symmetric-v1": 717, "symmetric-v2": 712}, 708),
    ],
)
def test_the_upper_bound_runs_on_real_ood_files(task, option, folder, ood, ood_train, tasks, data_dir, tmp_path):
    dataset = tasks[task].replace(" }", f', {option} = "{data_dir / folder}" }}')
    overrides = [*SMALL, "training.batch_size=64", "sweep={}", f"variant={task}", dataset]
    [cell] = load_cells("paper/section-4.5", REGISTRY, overrides)
    report = run_recipe(cell.recipe, tmp_path / "store", RunOptions(tmp_path / "run")).report
    read = json.loads((tmp_path / "run" / "run.json").read_text())["data"]
    assert {name: each["examples"] for name, each in read.items()} == {
        "train": 12,
        "dev": 6,
        "ood_train": ood_train,
    } | ood
    assert [set(stage["ood"]) for stage in report["stages"]] == [set(ood)] * 4


@pytest.mark.parametrize("name", PAPER)
def test_a_line_of_a_figure_that_is_imp_has_every_level(name):
    recipe = load_cells(name, REGISTRY)[0].recipe
    lines = {stage for figure in (recipe.figure or {}).values() for stage in figure.values() if isinstance(stage, str)}
    for stage in (each for each in recipe.stages if each.name in lines and each.pruner is not None):
        if stage.pruner.registered.name == "imp":
            assert stage.pruner.options.levels == "all"
