from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from srframework.contracts import Phase
from srframework.errors import UsageError
from srframework.recipe.check import load_recipe
from srframework.recipe.model import Recipe
from srframework.recipe.points import check_points
from srframework.recipe.stage_lengths import plan
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry

RECIPE = """\
name = "small"
schema = 1
backbone = "tiny"
dataset.use = "synthetic"
training = { epochs = 2, batch_size = 8 }

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

[[stages]]
name = "ticket"
op = "train"
mask = "imp@0.4"
loss = "std"
"""

LEVELS = (0.2, 0.4, 0.6)


def imp(steps: int, total: int) -> list[Phase]:
    """The phases of ``imp``, each of so many steps of the stage's total."""
    return [Phase(steps, level=level, warmup=False, decay_steps=total, kept=False) for level in LEVELS]


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Load the recipe."""
    monkeypatch.chdir(tmp_path)
    registry = Registry(discover())

    def read(*overrides: str) -> Recipe:
        Path("r.toml").write_text(RECIPE)
        return load_recipe("r.toml", registry, overrides)

    return read


# -- how long the stages are -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "sizes", "processes", "steps", "interval"),
    [
        # 100 examples are 13 batches of 8; a quarter of 26 steps is 6.5, which rounds to even
        ([], {"train": 100}, 1, 26, 6),
        ([], {"train": 100, "dev": 5, "ood_train": 50}, 1, 26, 6),
        ([], {"train": 104}, 1, 26, 6),
        ([], {"train": 105}, 1, 28, 7),
        # two processes share 7 steps of 16
        ([], {"train": 100}, 2, 14, 4),
        ([], {"train": 1}, 1, 2, 1),
        # 13 batches are 4 steps of 4 batches, the last of one
        (["training.gradient_accumulation=4"], {"train": 100}, 1, 8, 2),
        # 100 + 3 · 10 examples are 17 batches
        (["training.ood_train=3", "dataset.ood_train_size=1"], {"train": 100, "ood_train": 10}, 1, 34, 8),
        # the size is of no importance, nor the number of processes
        (["training.max_steps=20"], {}, 1, 20, 5),
        (["training.max_steps=20"], {"train": 100}, 3, 20, 5),
        (["training.max_steps=20", "training.ood_train=3", "dataset.ood_train_size=1"], {}, 1, 20, 5),
    ],
)
def test_the_steps_of_a_stage_are_divided_by_its_pruner(read, overrides, sizes, processes, steps, interval):
    assert plan(read(*overrides), sizes, processes) == {
        "full": [Phase(steps)],
        "imp": imp(interval, steps),
        "ticket": [Phase(steps)],
    }


def test_each_stage_has_its_own_length(read):
    found = plan(read("stages.full.max_steps=3", "stages.imp.epochs=4"), {"train": 100})
    assert found == {"full": [Phase(3)], "imp": imp(13, 52), "ticket": [Phase(26)]}


@pytest.mark.parametrize(
    ("overrides", "sizes", "known"),
    [
        ([], {}, []),
        ([], {"dev": 30, "ood_train": 3}, []),
        (["stages.imp.max_steps=8"], {}, ["imp"]),
        (["stages.full.ood_train=1", "dataset.ood_train_size=1"], {"train": 100}, ["imp", "ticket"]),
        (["stages.full.ood_train=1", "dataset.ood_train_size=1"], {"ood_train": 100}, []),
    ],
)
def test_a_stage_of_unknown_length_has_no_phases(read, overrides, sizes, known):
    assert list(plan(read(*overrides), sizes)) == known


# -- references to points --------------------------------------------------------------------------

PLAN = {"full": [Phase(10)], "imp": imp(4, 16), "ticket": [Phase(10)]}
"""As it might be: 10 steps, and three levels of 4 steps each, 12 in all."""


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["stages.ticket.mask=imp@0.2"],
        ["stages.ticket.mask=imp@.60"],
        ["stages.ticket.mask=imp"],
        ["stages.imp.weights=full@1"],
        ["stages.imp.weights=full@10"],
        ["stages.imp.weights=full@007"],
        ["stages.ticket.mask=imp@12"],
        ["stages.ticket.weights=imp@0.6"],
    ],
)
def test_points_that_are_reached_are_well(read, overrides):
    assert check_points(read(*overrides), PLAN) is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "stages.imp.weights=full@11",
            "stages.imp.weights: 'full@11': expected a step of 'full', 1 to 10, got 11",
        ),
        (
            "stages.imp.weights=full@0",
            "stages.imp.weights: 'full@0': expected a step of 'full', 1 to 10, got 0",
        ),
        (
            "stages.ticket.mask=imp@13",
            "stages.ticket.mask: 'imp@13': expected a step of 'imp', 1 to 12, got 13",
        ),
        (
            "stages.ticket.mask=imp@0.5",
            "stages.ticket.mask: 'imp@0.5': expected a sparsity level that 'imp' reaches, got 0.5; "
            "it reaches 0.2, 0.4, 0.6",
        ),
        (
            "stages.imp.weights=full@0.5",
            "stages.imp.weights: 'full@0.5': expected a sparsity level that 'full' reaches, got 0.5; it reaches none",
        ),
        (
            "stages.ticket.loss={ use = 'confreg', teacher = 'full@99' }",
            "stages.ticket.loss.teacher: 'full@99': expected a step of 'full', 1 to 10, got 99",
        ),
    ],
)
def test_a_point_that_is_never_reached_is_a_sentence(read, override, message):
    with pytest.raises(UsageError) as refused:
        check_points(read(override), PLAN)
    assert str(refused.value) == message


@pytest.mark.parametrize("estimated", [False, True])
def test_a_step_inside_a_stage_that_may_stop_early_is_refused(read, estimated):
    assert check_points(read("stages.full.patience=1"), PLAN, estimated) is None
    with pytest.raises(UsageError) as refused:
        check_points(read("stages.full.patience=1", "stages.imp.weights=full@5"), PLAN, estimated)
    assert str(refused.value) == (
        "stages.imp.weights: 'full@5': expected a stage without patience, which may stop 'full' before step 5"
    )


@pytest.mark.parametrize(
    "override", ["stages.imp.weights=full@99", "stages.imp.weights=full@0.5", "stages.ticket.mask=imp@0.4"]
)
def test_of_a_stage_of_unknown_length_nothing_is_refused(read, override):
    assert check_points(read(override), {"ticket": [Phase(1)]}) is None
    assert check_points(read(override), {}) is None


def test_a_phase_without_a_level_has_none_to_name(read):
    mixed = {**PLAN, "imp": [Phase(4), Phase(0, level=0.4), Phase(2)]}
    assert check_points(read(), mixed) is None
    assert check_points(read("stages.ticket.mask=imp@6"), mixed) is None
    with pytest.raises(UsageError, match=r"'imp@0\.2': expected .* got 0\.2; it reaches 0\.4$"):
        check_points(read("stages.ticket.mask=imp@0.2"), mixed)


def test_what_imp_plans_is_what_a_reference_may_name(read):
    """The two agree for every level, whatever floating-point steps lead there."""
    recipe = read("stages.imp.pruner={ use = 'imp', sparsity = 0.9, step = 0.1 }", "stages.ticket.mask=imp@0.1")
    for tenth in range(1, 10):
        stages = [
            replace(stage, mask=replace(stage.mask, point=f"0.{tenth}")) if stage.mask else stage
            for stage in recipe.stages
        ]
        changed = replace(recipe, stages=tuple(stages))
        assert check_points(changed, plan(changed, {"train": 50})) is None
