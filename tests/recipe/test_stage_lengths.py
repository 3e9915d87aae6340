from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest

from srframework.contracts import Dataset
from srframework.recipe.check import load_recipe
from srframework.recipe.model import Recipe, Use
from srframework.recipe.stage_lengths import StageLength, lengths, plan
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry

RECIPE = """\
name = "small"
schema = 1
backbone = { use = "tiny", layers = 2, width = 16, heads = 2, intermediate = 32 }
dataset = { use = "synthetic", train_size = 100, dev_size = 30, ood_size = 20, ood_train_size = 7 }
training = { epochs = 2, batch_size = 8, max_length = 10, eval_every = 10 }

[[stages]]
name = "full"
op = "train"
loss = "std"

[[stages]]
name = "imp"
op = "prune"
weights = "full"
pruner = { use = "imp", sparsity = 0.6, step = 0.2, interval = 0.25 }
loss = "std"
"""


@pytest.fixture
def read(tmp_path):
    registry = Registry(discover())

    def read(*overrides: str) -> Recipe:
        (tmp_path / "r.toml").write_text(RECIPE)
        return load_recipe(tmp_path / "r.toml", registry, overrides)

    return read


@pytest.mark.parametrize(
    ("overrides", "length", "steps"),
    [
        ([], "2 epochs", 26),  # 13 batches of 8 hold 100 examples
        (["training.max_steps=20"], "20 steps", 20),
        (["training.max_steps=1"], "1 step", 1),
        (["training.epochs=1"], "1 epoch", 13),
        (["training.gradient_accumulation=4"], "2 epochs", 8),
        (["training.ood_train=4"], "2 epochs", 32),  # 100 + 4 × 7 examples are 16 batches
        (["training.ood_train=4", "training.max_steps=5"], "5 steps", 5),
    ],
)
def test_a_train_stage_has_the_steps_of_its_epochs(read, overrides, length, steps):
    assert lengths(read(*overrides))[0] == StageLength("full", "A_std(f(θ_pt))", length, steps)


def test_a_pruner_takes_the_steps_of_its_phases(read):
    # 26 / 4 rounds to 6 (from 6.5, to even) steps a level, and there are three levels
    assert lengths(read())[1] == StageLength("imp", "P_std^imp(f(full))", "2 epochs", 18)


def test_a_pruner_is_built_once_however_often_it_is_asked_for_its_phases(read, monkeypatch):
    recipe = read()
    built = []
    build = Use.build
    monkeypatch.setattr(Use, "build", lambda use, *kind: built.append(use) or build(use, *kind))
    for _ in range(3):
        plan(recipe, {"train": 100})
    assert built == [recipe.stages[1].pruner]


class Sized(Dataset):
    known: ClassVar[dict[str, int]] = {}

    def load(self, seed):
        raise AssertionError("a plan loads nothing")

    def sizes(self):
        return self.known


def resized(recipe: Recipe, **known: int) -> Recipe:
    """The recipe with a data set that says these sizes alone."""
    factory = type("Known", (Sized,), {"known": known})
    registered = recipe.dataset.registered
    component = replace(registered.component, factory=factory)
    return replace(recipe, dataset=replace(recipe.dataset, registered=replace(registered, component=component)))


@pytest.mark.parametrize(
    ("overrides", "known", "steps"),
    [
        ([], {}, None),
        ([], {"dev": 30}, None),
        ([], {"train": 100}, 26),
        (["training.max_steps=5"], {}, 5),
        (["training.ood_train=2"], {"train": 100, "dev": 30}, None),
        (["training.ood_train=2"], {"train": 100, "ood_train": 7}, 30),
    ],
)
def test_what_is_not_known_without_reading_is_none(read, overrides, known, steps):
    assert lengths(resized(read(*overrides), **known))[0].steps == steps


def test_a_pruner_whose_training_set_is_of_unknown_size_has_no_steps(read):
    assert [row.steps for row in lengths(resized(read(), dev=30))] == [None, None]
