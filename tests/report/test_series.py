"""Rows -> series: which settings make another line, and which runs count together."""

from __future__ import annotations

import pytest

from srframework.report.run_settings import Settings
from srframework.report.runs import Run
from srframework.report.series import all_series, sparsity_of
from srframework.run.results import LevelFigures, StageAndLevels


def run(seed=1, sparsity=0.5, ood=0.5, name="hand", levels=(), path="r", extra=None, **changes):
    """A run of `full` and `srnet`; `changes` are options of srnet."""
    full = {"name": "full", "op": "train", "weights": "pretrained", "loss": {"use": "srframework/std"}, "epochs": 3}
    srnet = {"name": "srnet", "op": "prune", "weights": "full", "loss": {"use": "srframework/std"}, "epochs": 3}
    srnet |= {"pruner": {"use": "srframework/mask", "sparsity": sparsity}, **changes}
    table = {"name": name, "dataset": {"use": "srframework/synthetic"}, "stages": [full, srnet], **(extra or {})}
    of = {"metric": "accuracy", "unit": "fraction", "better": "higher"}
    stages = [
        StageAndLevels(name="full", op="train", **of, sparsity=0.0, id=0.9, ood={"hans": 0.4}, also={}),
        StageAndLevels(
            name="srnet", op="prune", **of, sparsity=sparsity, id=0.8, ood={"hans": ood}, also={}, levels=[*levels]
        ),
    ]
    return Run(f"{path}{seed}", seed, Settings.of(table), "dev", stages)


def level(share, ood):
    return LevelFigures(level=share, sparsity=share, id=0.8, ood={"hans": ood}, also={})


def series(*runs):
    return {(each.label, each.is_full): each for each in all_series(runs, sparsity_of)}


def ood(of):
    return [(x, row.statistic("ood", "hans").mean, row.seeds) for x, row in of.rows]


def test_a_sweep_of_the_sparsity_is_one_line_with_the_mean_of_its_seeds():
    found = series(*(run(seed, share, 0.5 + 0.1 * seed - 0.2 * share) for seed in (1, 2) for share in (0.7, 0.2)))
    assert list(found) == [("full", True), ("srnet", False)]
    # 0.5 + 0.1 * 1.5 - 0.2 * share
    assert ood(found["srnet", False]) == [(0.2, pytest.approx(0.61), [1, 2]), (0.7, pytest.approx(0.51), [1, 2])]
    assert found["srnet", False].along == []


def test_another_setting_makes_another_line_that_names_it():
    found = series(*(run(1, share, epochs=epochs) for share in (0.2, 0.7) for epochs in (3, 5)))
    assert [label for label, full in found if not full] == ["srnet (epochs=3)", "srnet (epochs=5)"]


def test_a_setting_that_the_sparsity_determines_within_a_recipe_stays_on_the_line_and_is_named():
    found = series(run(1, 0.2, epochs=3), run(1, 0.7, epochs=3), run(1, 0.9, epochs=7))
    assert found["srnet", False].along == ["stages.srnet.epochs"]
    assert len(found["srnet", False].rows) == 3


def test_the_setting_that_is_x_is_not_named_as_another_one():
    runs = [run(1, 0.5, epochs=3, batch_size=8), run(1, 0.5, epochs=5, batch_size=16)]
    (found,) = (
        each for each in all_series(runs, lambda row: row.values.get("stages.srnet.epochs")) if not each.is_full
    )
    assert found.along == ["stages.srnet.batch_size"]


def test_stages_of_the_same_name_in_two_recipes_are_two_lines_if_their_settings_differ():
    found = series(run(1, 0.2, name="a", weights="full"), run(1, 0.7, name="b", weights="pretrained"))
    assert [label for label, full in found if not full] == ["srnet (weights=full)", "srnet (weights=pretrained)"]


def test_runs_of_two_recipes_with_the_same_settings_count_together_and_contradictions_are_kept():
    found = series(run(1, name="a", ood=0.5, path="a"), run(2, name="b", ood=0.7, path="b"), run(1, name="b", ood=0.6))
    assert ood(found["srnet", False]) == [(0.5, pytest.approx(0.6), [1, 2])]
    assert found["srnet", False].rows[0][1].conflicts == [("a1", "r1")]


def test_a_bias_model_in_one_of_two_recipes_divides_no_stage():
    bias = {"bias": {"use": "srframework/bias-logistic"}}
    found = series(run(1, name="a"), run(2, name="b", extra=bias))
    assert [(label, len(each.rows[0][1].seeds)) for (label, _), each in found.items()] == [("full", 2), ("srnet", 2)]


def test_levels_are_points_and_the_end_replaces_the_level_at_its_sparsity():
    found = series(run(1, 0.3, 0.6, levels=[level(0.1, 0.7), level(0.2, 0.65), level(0.3, 0.1)]))
    assert ood(found["srnet", False]) == [(0.1, 0.7, [1]), (0.2, 0.65, [1]), (0.3, 0.6, [1])]
