"""Figures of any unit and direction: as the metric of a task, in tables, in comparisons."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from small_recipe import FULL, small_recipe

PLUGIN = """
import numpy as np
from pydantic import Field
from srframework import Component, Evaluator, Figure, Options, StageReference, hookimpl

class Nll(Evaluator):
    def figures(self):
        return [Figure("nll", "nats", "lower", "Mean negative log-likelihood.", needs_logits=True)]

    def evaluate(self, predictions):
        found = self.resampled(predictions, np.ones((1, len(predictions.gold))))
        return {name: float(each[0]) for name, each in found.items()}

    def resampled(self, predictions, counts):
        scores = predictions.logits.astype(np.float64)
        log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return {"nll": counts @ -log_probs[np.arange(len(scores)), predictions.gold] / counts.sum(axis=1)}

class Gap(Evaluator):
    def figures(self):
        return [Figure("gap", "fraction", "lower", "ID accuracy less the mean OOD accuracy.")]

    def measure(self, evaluated):
        ood = [evaluated.figures[each.split]["accuracy"] for each in evaluated.ood]
        return {"gap": evaluated.figures[evaluated.id.split]["accuracy"] - float(np.mean(ood))}

class AgreementOptions(Options):
    stage: StageReference = Field(description="The stage to agree with.")

class Agreement(Evaluator):
    def figures(self):
        return [Figure("agreement", "fraction", "higher", "Examples with the label that the other stage predicts."),
                Figure("moved", "count", None, "Entries that differ from the pretrained ones.")]

    def measure(self, evaluated):
        other = evaluated.stages[self.options.stage].predictions[evaluated.id.split]
        pairs = evaluated.network.matrices().items()
        before = evaluated.pretrained.matrices()
        moved = sum(int((matrix != before[name]).sum()) for name, matrix in pairs)
        return {"agreement": float((evaluated.id.predicted == other.predicted).mean()), "moved": float(moved)}

class Likeness(Evaluator):
    def figures(self):
        return [Figure("likeness/*", "fraction", "higher", "Jaccard index of the masks."),
                Figure("distance/*", "count", None, "Entries in which the models differ."),
                Figure("dev-gap", "fraction", None, "Accuracy on dev less that on ID.")]

    def measure(self, evaluated):
        stage = evaluated.stages[self.options.stage]
        assert list(evaluated.stages) == [self.options.stage]
        assert (stage.reference, stage.log_probs) == (self.options.stage, None)
        others = stage.network().matrices()
        different = sum(int((each != others[name]).sum()) for name, each in evaluated.network.matrices().items())
        both = stage.mask is not None and evaluated.mask is not None
        found = {"likeness/" + stage.reference: evaluated.mask.agreement(stage.mask)} if both else {}
        dev = evaluated.figures["dev"]["accuracy"]
        assert dev == float((evaluated.dev.predicted == evaluated.dev.gold).mean())
        return {**found, "distance/" + stage.reference: float(different), "dev-gap": 0.0}

class Nowhere(Evaluator):
    def figures(self):
        return [Figure("nowhere", "fraction", "higher", "Needs a column that no split has.")]

    def columns(self):
        return ["colour"]

@hookimpl
def srframework_evaluators():
    def component(name, factory, options=Options):
        return Component(name=name, options=options, factory=factory, summary="x", source="here")
    return [component("nll", Nll), component("gap", Gap), component("agreement", Agreement, AgreementOptions),
            component("likeness", Likeness, AgreementOptions), component("nowhere", Nowhere)]
"""

SECOND = """
[[stages]]
name = "srnet"
op = "prune"
weights = "full"
pruner = { use = "omp", sparsity = 0.5 }
loss = "std"
"""


def recipe(evaluators: str) -> str:
    return f"evaluators = [{evaluators}]\n" + small_recipe("figures", FULL + SECOND)


@pytest.fixture(scope="module")
def ran(perform, tmp_path_factory) -> SimpleNamespace:
    """A run with a pruned stage, with the evaluators of the plugin; seeds 1 and 2."""
    home = tmp_path_factory.mktemp("figures")
    (home / "our_figures.py").write_text(PLUGIN)
    (home / "recipe.toml").write_text(recipe('"nll", "gap", { use = "agreement", stage = "full" }'))

    def call(*args: str):
        done = perform("--plugin", "our_figures.py", *args, cwd=home)
        assert "Traceback" not in done.err
        return done

    reports = {}
    for seed in (1, 2):
        done = call("run", "recipe.toml", "--set", f"seed={seed}", "--out", f"runs/{seed}", "--json")
        assert done.code == 0, done.err
        reports[seed] = json.loads(done.out)
    other = call("run", "recipe.toml", "--set", "seed=1", "--set", "stages.srnet.pruner.sparsity=0.6", "--out", "other")
    assert other.code == 0, other.err
    return SimpleNamespace(home=home, call=call, reports=reports)


def test_an_evaluator_sees_all_splits_the_model_and_another_stage(ran):
    full, srnet = ran.reports[1]["stages"]
    assert full["evaluations"]["model"].keys() & {"gap", "agreement", "moved"} == {"gap"}
    found = srnet["evaluations"]["model"]
    assert found["gap"] == pytest.approx(srnet["id"] - sum(srnet["ood"].values()) / len(srnet["ood"]))
    assert 0 <= found["agreement"] <= 1
    assert found["moved"] > 0


def test_any_figure_has_a_table_with_its_unit_and_direction(ran):
    done = ran.call("results", "runs", "--metric", "nll")
    assert done.code == 0, done.err
    assert "nll (nats) ↓" in " ".join(done.out.split())
    rows = json.loads(ran.call("results", "runs", "--metric", "nll", "--json").out)
    assert [(row["stage"], row["metric"], row["unit"], row["better"]) for row in rows] == [
        (name, "nll", "nats", "lower") for name in ("full", "srnet", "majority class")
    ]
    expected = [report["stages"][0]["evaluations"]["dev"]["nll"] for report in ran.reports.values()]
    assert rows[0]["id"]["values"] == expected


def test_a_figure_of_the_model_has_a_column_of_its_own_and_only_the_stages_that_have_it(ran):
    (row,) = json.loads(ran.call("results", "runs", "--metric", "agreement", "--json").out)
    assert (row["stage"], row["id"], row["ood"]) == ("srnet", None, {})
    assert row["also"]["model"]["values"] == [
        report["stages"][1]["evaluations"]["model"]["agreement"] for report in ran.reports.values()
    ]
    assert "model agreement % ↑" in " ".join(ran.call("results", "runs", "--metric", "agreement").out.split())


def test_a_figure_that_no_run_has_is_refused_with_the_nearest(ran):
    done = ran.call("results", "runs", "--metric", "nil")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: --metric nil: no run has the figure 'nil'; did you mean 'nll'?")


def test_a_comparison_of_a_figure_in_nats_has_its_interval(ran):
    done = ran.call("compare", "runs/1", "other", "--metric", "nll", "--json", "--resamples", "200")
    assert done.code == 0, done.err
    for row in json.loads(done.out)["figures"]:
        assert (row["metric"], row["unit"], row["better"], row["note"]) == ("nll", "nats", "lower", None)
        assert row["interval"][0] <= row["difference"] <= row["interval"][1]
    shown = ran.call("compare", "runs/1", "other", "--metric", "nll", "--resamples", "200").out
    assert "nll (nats) ↓" in shown


def test_a_comparison_of_a_figure_of_the_model_has_no_interval_and_says_why(ran):
    done = ran.call("compare", "runs/1", "runs/2", "--metric", "gap", "--json")
    notes = {row["note"] for row in json.loads(done.out)["figures"]}
    assert notes == {"gap is a figure of the model, not of examples"}


def test_the_stage_that_an_evaluator_refers_to_counts_by_its_content(ran):
    again = recipe('"nll", "gap", { use = "agreement", stage = "first" }').replace('"full"', '"first"')
    (ran.home / "renamed.toml").write_text(again)
    done = ran.call("run", "renamed.toml", "--set", "seed=1", "--out", "renamed", "--json")
    assert done.code == 0, done.err
    assert "2 cached" in done.err
    assert "done in" not in done.err
    assert json.loads(done.out)["stages"][1]["evaluations"] == ran.reports[1]["stages"][1]["evaluations"]


def test_an_evaluator_sees_model_and_mask_of_a_stage_and_may_be_listed_for_several_stages(ran):
    evaluators = ", ".join(f'{{ use = "likeness", stage = "{stage}" }}' for stage in ("full", "srnet", "imp@.5"))
    more = SECOND.replace("srnet", "imp").replace('"omp", sparsity = 0.5', '"imp", sparsity = 0.5, step = 0.5')
    again = SECOND.replace("srnet", "again")
    (ran.home / "several.toml").write_text(recipe(f'"accuracy", {evaluators}') + more + again)
    done = ran.call("run", "several.toml", "--set", "seed=1", "--out", "several", "--json")
    assert done.code == 0, done.err
    found = {
        stage["name"]: {
            name: value
            for name, value in stage["evaluations"]["model"].items()
            if name.startswith(("distance", "likeness", "dev"))
        }
        for stage in json.loads(done.out)["stages"]
    }
    assert list(found) == ["full", "srnet", "imp", "again"]
    assert found["full"] == {}
    assert found["srnet"] == {"distance/full": found["srnet"]["distance/full"], "dev-gap": 0.0}
    assert found["srnet"]["distance/full"] > 0
    assert (found["again"]["likeness/srnet"], found["again"]["distance/srnet"]) == (1.0, 0.0)
    assert {"distance/full", "distance/imp@.5", "likeness/imp@.5"} <= found["again"].keys()


HEAD = "sentence1\tsentence2\tlabel\n"
ROWS = [f"the {x} sat\tthe {x}\t{'yes' if i % 2 else 'no'}\n" for i, x in enumerate("abcdefgh")]

DATASET = """
dataset = { use = "pairs", metric = "nll", labels = ["no", "yes"], train.path = "x.tsv", dev.path = "x.tsv" }
"""


def test_a_figure_in_nats_can_be_the_metric_of_a_task(ran):
    (ran.home / "x.tsv").write_text("".join([HEAD, *ROWS]))
    lines = recipe('"nll"').replace("max_steps = 2", "max_steps = 4, eval_every = 1").splitlines()
    lines = [DATASET.strip() if line.startswith("dataset") else line for line in lines]
    (ran.home / "nats.toml").write_text("\n".join(lines))
    done = ran.call("run", "nats.toml", "--out", "nats")
    assert done.code == 0, done.err
    assert "ID nll (nats) ↓" in " ".join(done.out.replace("│", " ").replace("┃", " ").split())
    assert " nats" in done.err
    assert "%" not in done.out.replace("sparsity %", "").replace("99 % or more of the predictions", "")
    log = [json.loads(line) for line in (ran.home / "nats/stages/full/metrics.jsonl").read_text().splitlines()]
    (full, _) = json.loads((ran.home / "nats/results.json").read_text())["stages"]
    assert full["id"] == pytest.approx(min(each["nll"]["dev"] for each in log if "nll" in each))


@pytest.mark.parametrize(
    ("evaluator", "message"),
    [
        ('{ use = "agreement", stage = "ful" }', "no stage is named 'ful'; did you mean 'full'?"),
        (
            '{ use = "agreement", stage = "full@x" }',
            "expected a step (10000) or a sparsity level in (0, 1) (0.5)",
        ),
        ('{ use = "agreement", stage = "srnet" }', "must be a stage that does not run last (got 'srnet'"),
        ('{ use = "agreement", stage = "full@99" }', "'full@99': expected a step of 'full', 1 to"),
        ('"nowhere"', "no split has the columns colour; the existing columns are text_a"),
    ],
)
def test_what_an_evaluator_cannot_have_is_refused(ran, evaluator, message):
    (ran.home / "bad.toml").write_text(recipe(evaluator))
    done = ran.call("run", "bad.toml", "--out", "bad")
    assert (done.code, done.out) == (1 if "colour" in message else 2, "")
    assert message in " ".join(done.err.split())
    assert not (ran.home / "bad" / "stages").exists()
