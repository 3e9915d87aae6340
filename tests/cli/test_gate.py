"""`srframework gate`, on run directories made by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

N = 2000
LABELS = np.arange(N) % 2


def said(right: int) -> tuple[list[int], list[int]]:
    """Return labels and predictions. The first ``right`` predictions are correct, the others are wrong."""
    return LABELS.tolist(), np.where(np.arange(N) < right, LABELS, 1 - LABELS).tolist()


@pytest.fixture
def runs(make_run):
    """Runs of ``full``, and of ``srnet`` with its drop on ID and its gain on hans, in examples of 2000, by seed."""

    def runs(drops, gains, where="runs", baseline=(1800, 1000), **more):
        for seed, (drop, gain) in enumerate(zip(drops, gains, strict=True), 1):
            rights = {"full": baseline, "srnet": (baseline[0] - drop, baseline[1] + gain)}
            figures = {stage: (of_id / N, of_ood / N) for stage, (of_id, of_ood) in rights.items()}
            predictions = {
                stage: {"dev": said(of_id), "hans": said(of_ood)} for stage, (of_id, of_ood) in rights.items()
            }
            make_run(f"{where}/{seed}", seed, figures, said=predictions, **more)

    return runs


@pytest.fixture
def judged(call):
    """Call the command with --json; its exit code, and its document."""

    def judged(*args):
        done = call("gate", *args, "--json")
        return done.code, json.loads(done.out)

    return judged


def test_a_stage_passes_if_every_interval_clears_its_bar(runs, judged, call):
    runs([0, 2, 4, 2], [400, 410, 390, 400])
    code, found = judged()
    assert (code, found["verdict"], found["baseline"], found["stage"]) == (0, "pass", "full", "srnet")
    drop, gain = found["checks"]
    assert (drop["kind"], drop["split"], drop["bar"], drop["verdict"]) == ("id", "dev", 0.01, "pass")
    assert (gain["kind"], gain["split"], gain["bar"], gain["verdict"]) == ("ood", "hans", 0.03, "pass")
    assert gain["by_seed"] == pytest.approx([0.2, 0.205, 0.195, 0.2])
    expected = stats.t.interval(0.95, 3, loc=0.2, scale=stats.sem(gain["by_seed"]))
    assert gain["seeds_interval"] == pytest.approx(expected)
    low, high = gain["examples_interval"]
    assert low < 0.2 < high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.2 * 0.8 / N), rel=0.1)
    assert (gain["examples"], gain["seeds_needed"], gain["reasons"]) == (N, None, [])
    done = call("gate")
    assert (done.code, done.out.splitlines()[-1]) == (0, "Verdict: pass")
    assert "Intervals of the change: Student's t over 4 seeds; paired bootstrap over examples." in done.out


def test_a_mean_that_clears_the_bar_is_not_enough(runs, judged, call):
    """The mean gain is 10 points, more than three times the bar; by chance alone it could be 0."""
    runs([0, 0, 0], [400, 20, 180])
    code, found = judged()
    drop, gain = found["checks"]
    assert (gain["change"], gain["verdict"], drop["verdict"]) == (pytest.approx(0.1), "not decided", "pass")
    assert gain["seeds_interval"][0] < 0 < gain["examples_interval"][0] - gain["bar"]
    assert (code, found["verdict"], gain["seeds_needed"]) == (1, "not decided", 10)
    assert "OOD hans: gain: about 10 seeds would decide it, if mean and spread stay as they are." in call("gate").out


def test_an_interval_over_examples_that_misses_the_bar_is_not_enough(runs, judged):
    runs([0, 0, 0], [70, 70, 70])
    code, found = judged()
    _, gain = found["checks"]
    assert gain["seeds_interval"] == pytest.approx([0.035, 0.035])
    assert gain["examples_interval"][0] < 0.03
    assert (code, gain["verdict"], gain["seeds_needed"]) == (1, "not decided", None)
    # The half width is 1.96 · √(0.035 · 0.965 / 2000) = 0.0081, and the distance to the bar 0.005.
    assert gain["examples_needed"] == pytest.approx(N * (0.0081 / 0.005) ** 2, rel=0.1)


def test_equality_with_a_bar_passes_and_the_bars_are_the_users(runs, judged):
    runs([0, 0, 0], [0, 0, 0])
    assert judged("--id-drop", "0", "--ood-gain", "0")[0] == 0
    code, found = judged("--ood-gain", "0.5")
    assert (code, found["verdict"], found["checks"][1]["bar"]) == (1, "fail", 0.005)


def test_a_stage_fails_if_the_intervals_are_on_the_other_side(runs, judged):
    runs([100, 102, 98], [400, 400, 400])
    code, found = judged()
    assert (code, found["verdict"]) == (1, "fail")
    assert [check["verdict"] for check in found["checks"]] == ["fail", "pass"]
    assert judged("--id-drop", "8")[0] == 0


@pytest.mark.parametrize(("seeds", "why"), [(1, "1 seed is too few"), (2, "2 seeds are too few")])
def test_fewer_than_three_seeds_decide_nothing(runs, judged, call, seeds, why):
    runs([0] * seeds, [1000] * seeds)
    code, found = judged()
    assert (code, found["verdict"]) == (1, "not decided")
    assert [(each["seeds_interval"] is None, each["seeds_needed"]) for each in found["checks"]] == [(seeds == 1, 3)] * 2
    done = call("gate")
    assert (done.code, done.out.count(f"{why}: a gate needs at least 3")) == (1, 2)


@pytest.mark.parametrize(
    ("stage", "verdict", "said_of"),
    [("srnet", "fail", "srnet has collapsed on hans"), ("full", "not decided", "the baseline full has collapsed on")],
)
def test_a_collapsed_model_never_passes(runs, work, judged, stage, verdict, said_of):
    runs([0, 0, 0], [400, 400, 400])
    path = work / "runs/2/summary.json"
    summary = json.loads(path.read_text())
    next(each for each in summary["stages"] if each["name"] == stage)["collapsed"] = ["hans"]
    path.write_text(json.dumps(summary))
    code, found = judged()
    assert (code, found["verdict"]) == (1, verdict)
    assert found["checks"][1]["reasons"][0].startswith(said_of)


def test_without_predictions_nothing_passes(make_run, judged):
    for seed in (1, 2, 3):
        make_run(f"runs/{seed}", seed, {"full": (0.9, 0.5), "srnet": (0.9, 0.7)})
    code, found = judged()
    assert (code, found["verdict"]) == (1, "not decided")
    assert found["checks"][1]["reasons"][0].startswith("there is no interval over examples: no predictions")


def test_a_level_can_be_judged_and_the_stages_can_change_their_roles(runs, judged):
    runs([0, 2, 4], [400, 410, 390], points={0.25: (0.9, 0.5)})
    code, found = judged("--stage", "srnet@0.25", "--ood", "hans", "--ood", "hans")
    assert (code, found["stage"], [each["change"] for each in found["checks"]]) == (1, "srnet@0.25", [0, 0])
    assert judged("--baseline", "srnet", "--stage", "full")[1]["verdict"] == "fail"


def test_of_a_figure_that_should_be_low_a_rise_is_the_drop(runs, work, judged):
    runs([0, 0, 0], [400, 400, 400])
    for path in work.glob("runs/*/summary.json"):
        path.write_text(path.read_text().replace('"better": "higher"', '"better": "lower"'))
    found = judged()[1]
    assert [(each["change"], each["verdict"]) for each in found["checks"]] == [
        (0, "pass"),
        (pytest.approx(-0.2), "fail"),
    ]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--id-drop", "nan"], "expected a number of percentage points, got nan"),
        (["--id-drop", "101"], "101.0 is not in the range"),
        (["--stage", "srnt"], "--stage srnt: not every run has the stage 'srnt'; did you mean 'srnet'?"),
        (["--baseline", "srnet"], "--stage srnet: expected another stage than the baseline"),
        (["--ood", "hams"], "--ood hams: no OOD set is named 'hams'; did you mean 'hans'?"),
        (["--metric", "nll"], "nll: a gate needs a figure in percent that should be high or low"),
        (["--metric", "sparsity/classifier"], "a gate needs a figure in percent"),
        (["--where", "seed=9"], "--where seed=9: no run matches"),
        (["nowhere"], "nowhere: expected a directory with runs"),
    ],
)
def test_what_cannot_be_is_a_sentence(runs, call, args, message):
    runs([0, 0, 0], [400, 400, 400])
    done = call("gate", *args)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_where_there_are_several_stages_or_sets_the_choices_are_named(runs, work, call):
    runs([0, 0, 0], [400, 400, 400])
    for path in work.glob("runs/*/summary.json"):
        summary = json.loads(path.read_text())
        for stage in summary["stages"]:
            stage["ood"]["paws"] = 0.5
        summary["stages"].append({**summary["stages"][0], "name": "full-poe"})
        path.write_text(json.dumps(summary))
    done = call("gate")
    assert (done.code, done.out) == (2, "")
    assert "2 stages are a full model in every run; choose one with --baseline: full, full-poe" in done.err
    done = call("gate", "--baseline", "full")
    assert "these runs have 2 OOD sets; choose with --ood NAME: hans, paws" in done.err


def test_runs_that_differ_in_more_than_their_seed_are_refused(runs, call, judged):
    runs([0, 0, 0], [400, 400, 400], "runs/a")
    runs([0, 0, 0], [0, 0, 0], "runs/b", srnet__pruner__sparsity=0.7)
    done = call("gate")
    assert (done.code, done.out) == (2, "")
    assert "the runs must differ only in their seed" in done.err
    assert judged("--where", "sparsity=0.5")[0] == 0
    assert judged("runs/a/1", "runs/a/2", "runs/a/3")[0] == 0
