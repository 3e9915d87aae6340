from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest

from srframework.contracts import Backbone, Dataset
from srframework.recipe.check import load
from srframework.recipe.cost import StageCost, estimate
from srframework.recipe.model import Recipe
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

ENTRIES = 2 * (4 * 16 * 16 + 2 * 16 * 32)
"""A layer: four matrices of 16 × 16, one of 32 × 16 and one of 16 × 32; 4096 in all."""

TOKENS = 10
"""Of an example, at most; an entry costs 2 operations a token forward and 4 backward."""


@pytest.fixture
def read(tmp_path):
    registry = Registry(discover())

    def read(*overrides: str) -> Recipe:
        (tmp_path / "r.toml").write_text(RECIPE)
        return load(tmp_path / "r.toml", registry, overrides)

    return read


@pytest.fixture
def cost(read):
    return lambda *overrides: estimate(read(*overrides))


def operations(trained: int, evaluated: int) -> float:
    """Of so many examples."""
    return ENTRIES * TOKENS * (6 * trained + 2 * evaluated)


def test_the_encoder_has_the_entries_counted_by_hand():
    assert ENTRIES == 4096


@pytest.mark.parametrize(
    ("overrides", "length", "steps", "examples", "evaluated"),
    [
        # 13 batches of 8 hold 100 examples: 26 steps, evaluated at 10, 20 and 26 on 30 + 20, and measured at the end
        ([], "2 epochs", 26, 26 * 8, (3 + 1) * 50),
        (["training.eval_ood=false"], "2 epochs", 26, 26 * 8, 3 * 30 + 50),
        (["training.max_steps=20"], "20 steps", 20, 20 * 8, (2 + 1) * 50),
        (["training.max_steps=1"], "1 step", 1, 8, (1 + 1) * 50),
        (["training.epochs=1"], "1 epoch", 13, 13 * 8, (2 + 1) * 50),
        (["training.gradient_accumulation=4"], "2 epochs", 8, 8 * 4 * 8, (1 + 1) * 50),
        # 100 + 4 × 7 examples are 16 batches
        (["training.ood_train=4"], "2 epochs", 32, 32 * 8, (4 + 1) * 50),
        (["training.ood_train=4", "training.max_steps=5"], "5 steps", 5, 5 * 8, (1 + 1) * 50),
        # the model at step 7 is measured too
        (["stages.imp.weights=full@7"], "2 epochs", 26, 26 * 8, (3 + 2) * 50),
    ],
)
def test_a_train_stage_costs_its_steps_and_evaluations(cost, overrides, length, steps, examples, evaluated):
    assert cost(*overrides)[0] == StageCost("full", "A_std(f(θ_pt))", length, steps, operations(examples, evaluated))


@pytest.mark.parametrize(
    ("overrides", "steps", "evaluated"),
    [
        # 26 / 4 rounds to 6 (from 6.5, to even) steps a level, of which there are three: evaluated at 6, 10, 12 and 18,
        # and measured at each level and at the end
        ([], 18, (4 + 4) * 50),
        (["training.eval_ood=false"], 18, 4 * 30 + 4 * 50),
        (["training.eval_every=1000"], 18, (3 + 4) * 50),
        (["training.eval_every=6"], 18, (3 + 4) * 50),
    ],
)
def test_a_pruner_takes_the_steps_of_its_phases_and_every_level_is_measured(cost, overrides, steps, evaluated):
    found = cost(*overrides)[1]
    assert found == StageCost("imp", "P_std^imp(f(full))", "2 epochs", steps, operations(steps * 8, evaluated))


def test_hours_are_those_of_a_device_of_fifty_teraflops():
    row = StageCost("a", "A", "1 step", 1, 50e12 * 3600 * 2.5)
    assert row.hours == pytest.approx(2.5, rel=1e-12)
    assert replace(row, operations=None).hours is None


class Unsized(Backbone):
    def load(self, labels, seed):
        raise AssertionError("an estimate loads nothing")


class Sized(Dataset):
    known: ClassVar[dict[str, int]] = {}

    def load(self, seed):
        raise AssertionError("an estimate loads nothing")

    def sizes(self):
        return self.known


def resized(recipe: Recipe, **known: int) -> Recipe:
    """The recipe with a data set that says these sizes alone."""
    factory = type("Known", (Sized,), {"known": known})
    registered = recipe.dataset.registered
    component = replace(registered.component, factory=factory)
    return replace(recipe, dataset=replace(recipe.dataset, registered=replace(registered, component=component)))


@pytest.mark.parametrize(
    ("overrides", "known", "steps", "examples_evaluated"),
    [
        ([], {}, None, None),
        ([], {"dev": 30}, None, None),
        ([], {"train": 100}, 26, None),
        (["training.max_steps=5"], {}, 5, None),
        (["training.max_steps=5"], {"dev": 30}, 5, 2 * 30),
        (["training.ood_train=2"], {"train": 100, "dev": 30}, None, None),
        (["training.ood_train=2"], {"train": 100, "dev": 30, "ood_train": 7}, 30, 4 * 30),
        (["training.eval_ood=false"], {"train": 100, "hans": 40}, 26, 40),
    ],
)
def test_what_is_not_known_without_reading_is_none(read, overrides, known, steps, examples_evaluated):
    row = estimate(resized(read(*overrides), **known))[0]
    assert row.steps == steps
    expected = None if examples_evaluated is None else operations(steps * 8, examples_evaluated)
    assert row.operations == expected


def test_a_pruner_whose_training_set_is_of_unknown_size_has_no_steps(read):
    assert [row.steps for row in estimate(resized(read(), dev=30))] == [None, None]


def test_a_backbone_of_unknown_size_has_steps_but_no_operations(read):
    recipe = read()
    registered = recipe.backbone.registered
    unsized = replace(registered, component=replace(registered.component, factory=Unsized))
    rows = estimate(replace(recipe, backbone=replace(recipe.backbone, registered=unsized)))
    assert [(row.steps, row.operations, row.hours) for row in rows] == [(26, None, None), (18, None, None)]
