"""An evaluator that requires a bias model: in a run, in its store, in tables and comparisons."""

from __future__ import annotations

import json

import pytest
from small_recipe import FULL, small_recipe

from srframework.run import predictions_file

RECIPE = 'seed = 1\nevaluators = ["bias-groups"]\n' + small_recipe("groups", FULL)


@pytest.fixture(scope="module")
def ran(perform, tmp_path_factory):
    home = tmp_path_factory.mktemp("groups")
    (home / "recipe.toml").write_text(RECIPE)

    def call(*args: str):
        return perform(*args, cwd=home)

    done = call("run", "recipe.toml", "--out", "a", "--json")
    assert done.code == 0, done.err
    return home, call, json.loads(done.out)


def test_accuracy_is_the_mean_of_both_groups_weighted_by_size(ran):
    home, _, report = ran
    assert report["bias"]["use"] == "bias-logistic"
    assert (home / "a" / "bias.json").exists()
    for split in ("dev", "random"):
        figures = report["stages"][0]["evaluations"][split]
        sizes = {group: figures.get(f"bias-group-size/{group}", 0) for group in ("aligned", "conflicting")}
        right = sum(size * figures.get(f"bias-groups/{group}", 0) for group, size in sizes.items())
        assert right / sum(sizes.values()) == pytest.approx(figures["accuracy"])
        saved = predictions_file.read(home / "a" / "stages" / "full" / "predictions" / f"{split}.safetensors", split)
        assert saved.bias_probs.shape == (sum(sizes.values()), 3)
        aligned = saved.bias_probs[range(len(saved.gold)), saved.gold] >= saved.bias_probs.max(axis=1) - 1e-6
        assert aligned.sum() == sizes["aligned"]


def test_another_bias_model_trains_and_measures_again(ran):
    _, call, _ = ran
    done = call("run", "recipe.toml", "--set", "bias={ use = 'bias-logistic', c = 0.01 }", "--out", "b", "--json")
    assert done.code == 0, done.err
    one, two = (json.loads((ran[0] / name / "run.json").read_text())["stages"]["full"] for name in "ab")
    assert one["trained"] != two["trained"]
    assert one["measured"] != two["measured"]


def test_results_and_compare_show_the_figure_with_an_interval(ran):
    _, call, report = ran
    assert call("run", "recipe.toml", "--set", "training.max_steps=3", "--out", "c").code == 0
    done = call("compare", "a", "c", "--metric", "bias-groups/aligned", "--json")
    assert done.code == 0, done.err
    row = next(row for row in json.loads(done.out)["figures"] if row["kind"] == "id")
    assert row["a"] == report["stages"][0]["evaluations"]["dev"]["bias-groups/aligned"]
    assert row["note"] is None
    assert row["interval"][0] <= row["difference"] <= row["interval"][1]
    done = call("results", "a", "--metric", "bias-groups/aligned", "--json")
    assert json.loads(done.out)[0]["id"]["mean"] == row["a"]


def test_a_bias_model_that_knows_no_evaluated_split_is_refused_before_any_stage(ran):
    home, call, _ = ran
    (home / "bias.json").write_text(json.dumps([[0.5, 0.25, 0.25]] * 24))
    done = call("run", "recipe.toml", "--set", "bias={ use = 'bias-file', path = 'bias.json' }", "--out", "d")
    assert done.code == 1
    assert "bias: 'bias-file' has no predictions for a split that evaluator 'bias-groups'" in done.err
    assert "could evaluate: dev, random" in done.err
