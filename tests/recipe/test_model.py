from __future__ import annotations

from pathlib import Path

import pytest
import tomli

from srf_backbones.options import TinyOptions
from srframework.errors import RecipeError
from srframework.recipe.check import load_recipe
from srframework.recipe.model import Reference, find_recipe, shipped
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry

DESIGN = """
name = "SRNet inside a fine-tuned BERT"
schema = 1
seed = 1

[backbone]
use = "bert-base"

[dataset]
use = "nli"

[training]                      # defaults of every stage; a stage may override any of them
batch_size = 32
learning_rate = 5e-5
epochs = 3

[[stages]]                      # A_std(f(θ_pt))
name = "finetuned"
op = "train"
loss.use = "std"

[[stages]]                      # P_poe^mask(f(θ_ft))
name = "srnet"
op = "prune"
weights = "finetuned"
pruner = { use = "mask", sparsity = 0.7 }
loss.use = "poe"
epochs = 5

[[stages]]                      # A_std(f(m ⊙ θ_pt)): M(srnet) on the pre-trained weights
name = "ticket"
op = "train"
weights = "pretrained"
mask = "srnet"
loss.use = "std"
"""

MINIMAL = """
name = "minimal"
schema = 1
backbone = "tiny"
dataset = "synthetic"
stages = [{ name = "full", op = "train", loss = "std" }]
"""

TWISTED = '''
name = "θ = \\"x\\" \\\\ \\u0007"
schema = 1
seed = 4294967295
description = """
two
lines"""
backbone = { use = "tiny", width = 8, heads = 2 }
evaluators = ["f1", { use = "srframework/hans" }]

[dataset]
use = "synthetic"
strength = 1

[[stages]]
name = "last"
op = "train"
weights = "imp@0.4"
mask = "imp@0.2"
loss = "std"
best_after = 0.25
max_steps = 7

[[stages]]
name = "imp"
op = "prune"
weights = "first@3"
pruner = { use = "imp", sparsity = 0.4, step = 0.2, classifier = false }
loss = "poe"

[[stages]]
name = "first"
op = "train"
loss = "std"
'''


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry(discover())


@pytest.fixture
def read(tmp_path, registry):
    def read(text: str, *overrides: str):
        path = tmp_path / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        return load_recipe(path, registry, overrides)

    return read


@pytest.mark.parametrize("text", [DESIGN, MINIMAL, TWISTED], ids=["design", "minimal", "twisted"])
def test_a_resolved_recipe_loads_to_an_equal_one(read, text):
    recipe = read(text)
    again = read(recipe.to_toml())
    assert again == recipe
    assert again.to_toml() == recipe.to_toml()


def test_quickstart_resolves_to_an_equal_recipe(read, registry):
    recipe = load_recipe("quickstart", registry)
    assert read(recipe.to_toml()) == recipe


def test_a_resolved_recipe_says_every_option_and_full_names(read):
    table = tomli.loads(read(MINIMAL).to_toml())
    assert table["backbone"] == {"use": "srframework/tiny", **TinyOptions().model_dump()}
    assert table["seed"] == 0
    assert table["evaluators"] == [{"use": "srframework/accuracy"}, {"use": "srframework/sparsity"}]
    (stage,) = table["stages"]
    assert stage["loss"] == {"use": "srframework/std"}
    assert (stage["weights"], stage["batch_size"], stage["best_after"]) == ("pretrained", 32, 0.0)
    assert not {"bias", "description", "training"} & set(table)


def test_stages_are_ordered_after_what_they_start_from(read):
    assert [stage.name for stage in read(TWISTED).stages] == ["first", "imp", "last"]


def test_a_formula_is_in_the_notation_of_the_paper(read):
    assert [stage.formula() for stage in read(DESIGN).stages] == [
        "A_std(f(θ_pt))",
        "P_poe^mask(f(finetuned))",
        "A_std(f(M(srnet) ⊙ θ_pt))",
    ]
    assert [stage.formula() for stage in read(TWISTED).stages][1:] == [
        "P_poe^imp(f(first@3))",
        "A_std(f(M(imp@0.2) ⊙ imp@0.4))",
    ]


def test_the_steps_that_others_start_from_are_kept(read):
    recipe = read(TWISTED)
    assert recipe.points_kept("first") == {"3"}
    assert recipe.points_kept("imp") == {"0.2", "0.4"}


@pytest.mark.parametrize(
    ("text", "stage", "step", "level"),
    [
        ("imp", "imp", None, None),
        ("imp@10000", "imp", 10000, None),
        ("imp@0.5", "imp", None, 0.5),
        ("v1.0@0.25", "v1.0", None, 0.25),
    ],
)
def test_a_reference_is_a_stage_and_perhaps_a_step_or_a_level(text, stage, step, level):
    reference = Reference.parse(text)
    assert (reference.stage, reference.step, reference.level) == (stage, step, level)
    assert str(reference) == text


@pytest.mark.parametrize(
    ("point", "kept_as"),
    [(".5", "0.5"), ("0.50", "0.5"), ("5e-1", "0.5"), ("007", "7"), ("1.50", "1.50"), ("-0.5", "-0.5"), ("x", "x")],
)
def test_a_point_has_the_name_under_which_it_is_kept_however_it_is_written(point, kept_as):
    assert Reference.parse(f"imp@{point}") == Reference("imp", kept_as)


def test_the_shipped_recipes_are_found_by_name():
    recipes = shipped()
    assert {"quickstart", "sick-hans"} <= set(recipes)
    assert list(recipes) == sorted(recipes)
    assert find_recipe("quickstart") == recipes["quickstart"]


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_recipe_is_valid_but_for_data_that_is_not_here(name, registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = tomli.loads(shipped()[name].read_text(encoding="utf-8"))
    assert table["name"]
    try:
        recipe = load_recipe(name, registry)
    except RecipeError as error:
        said = [problem.message for problem in error.problems]
        assert said
        assert all("no such file" in each or "not found: " in each for each in said)
    else:
        assert len(recipe.stages) == len(table["stages"])


def test_a_file_comes_before_a_shipped_recipe_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("quickstart").write_text(MINIMAL)
    assert find_recipe("quickstart") == Path("quickstart")


@pytest.mark.parametrize(("name", "near"), [("quickstat", "quickstart"), ("no/such.toml", None), ("a" * 5000, None)])
def test_what_is_neither_a_file_nor_a_shipped_recipe_is_refused_with_the_nearest(name, near):
    with pytest.raises(RecipeError) as caught:
        find_recipe(name)
    (problem,) = caught.value.problems
    assert problem.where == name
    assert problem.nearest == near
    assert problem.message == "no such file, and no shipped recipe has this name (see `srframework recipes`)"
