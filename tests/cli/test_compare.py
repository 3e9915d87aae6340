"""`srframework compare`, on run directories made by hand."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

LABELS = [0, 1] * 50
SAID = {"A": [0] * 60 + [1] * 40, "B": [0, 1] * 40 + [0] * 20}
"""Right in 50 of 100, and in 90."""


def right(said) -> float:
    return float(np.mean(np.asarray(said) == LABELS))


@pytest.fixture
def pair(make_run):
    """A, an earlier srnet, and B, a better one; predictions of srnet on dev and hans."""

    def pair(**of_b):
        for name, more in (("A", {}), ("B", of_b)):
            figures = {"full": (0.9, 0.5), "srnet": (right(SAID[name]), right(SAID["A"]))}
            said = {"srnet": {"dev": (LABELS, SAID[name]), "hans": (LABELS, SAID["A"])}}
            make_run(name, **{"figures": figures, "said": said} | more)

    return pair


@pytest.fixture
def compared(call):
    """Call the command with --json; its document, and the figures by stage, level and kind."""

    def compared(*args):
        done = call("compare", *args, "--json")
        assert done.code == 0, done.err
        document = json.loads(done.out)
        return document, {(row["stage"], row["level"], row["kind"]): row for row in document["figures"]}

    return compared


def test_a_difference_has_its_interval_over_examples(pair, compared):
    pair()
    document, rows = compared("A", "B")
    row = rows["srnet", None, "id"]
    assert (row["a"], row["b"], row["split"], row["examples"]) == (0.5, 0.9, "dev", 100)
    assert row["difference"] == pytest.approx(0.4)
    # Differences of ±1 or 0 an example: sd √((p₊ + p₋ − d²) / N), normal within a point or so.
    change = np.equal(SAID["B"], LABELS).astype(int) - np.equal(SAID["A"], LABELS)
    sd = np.std(change) / 10
    assert row["interval"] == pytest.approx([0.4 - 1.96 * sd, 0.4 + 1.96 * sd], abs=0.015)
    assert rows["srnet", None, "ood"]["interval"] == [0.0, 0.0]
    assert (row["seeds_interval"], document["common_seeds"], document["resamples"]) == (None, [1], 10_000)


def test_it_says_the_same_every_time_and_the_number_of_resamples_is_the_users(pair, compared):
    pair()
    again, few = compared("A", "B")[0], compared("A", "B", "--resamples", "100")[0]
    assert compared("A", "B")[0] == again
    assert few["resamples"] == 100
    assert few["figures"] != again["figures"]


def test_what_differs_in_recipe_versions_and_data_is_said(pair, compared):
    prints = {"dev": {"examples": 100, "sha256": "b" * 64}}
    pair(srnet__pruner__sparsity=0.7, srnet__max_steps=5, name="other", versions="0.2.0", data=prints)
    document, _ = compared("A", "B")
    assert document["recipe"] == [
        {"key": "name", "a": "hand", "b": "other"},
        {"key": "stages.srnet.pruner.sparsity", "a": 0.5, "b": 0.7},
        {"key": "stages.srnet.max_steps", "a": None, "b": 5},
    ]
    assert document["versions"] == [{"key": "srframework", "a": "0.1.0", "b": "0.2.0"}]
    assert document["data"] == [{"key": "dev", "a": None, "b": "100 examples, bbbbbbbbbbbb…"}]


def test_options_that_change_nothing_of_what_comes_out_are_no_difference(make_run, compared):
    make_run("A", training={"epochs": 3, "log_every": 10, "checkpoint_seconds": 300.0})
    make_run("B", training={"epochs": 3, "log_every": 1, "checkpoint_steps": 5}, srnet__eval_ood=True)
    assert compared("A", "B")[0]["recipe"] == []


def test_the_table_shows_points_and_intervals(pair, call):
    pair(srnet__pruner__sparsity=0.7)
    done = call("compare", "A", "B")
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert ["stages.srnet.pruner.sparsity", "0.5", "0.7"] in lines
    assert "versions: the same" in done.out
    (row,) = [line for line in done.out.splitlines() if line.split()[:3] == ["srnet", "ID", "dev"]]
    assert row.split()[3:6] == ["50.00", "90.00", "+40.00"]
    assert "stage  accuracy " in done.out
    assert "(1) no interval: no predictions: A/stages/full/predictions/dev.safetensors" in done.out


def test_levels_that_both_have_are_compared(make_run, compared):
    for name, levels in (("A", {0.1: "A", 0.25: "A"}), ("B", {0.25: "B", 0.4: "B"})):
        points = {level: (right(SAID[said]), 0.5) for level, said in levels.items()}
        said = {f"srnet@{level}": {"dev": (LABELS, SAID[each])} for level, each in levels.items()}
        make_run(name, points=points, said=said)
    rows = compared("A", "B")[1]
    assert [level for stage, level, kind in rows if stage == "srnet" and kind == "id"] == [0.25, None]
    assert rows["srnet", 0.25, "id"]["difference"] == pytest.approx(0.4)
    assert rows["srnet", 0.25, "id"]["interval"] is not None


@pytest.mark.parametrize(("said", "split"), [("test", "test"), (None, "dev")])
def test_the_split_of_the_id_figure_is_what_summary_json_says_and_without_a_word_dev(
    make_run, work, compared, said, split
):
    for name in "AB":
        predictions = {"srnet": {split: (LABELS, SAID["A"])}}
        place = make_run(name, figures={"srnet": (0.5, 0.5)}, said=predictions, id_split=split)
        (place / "results.json").unlink()
        if said is None:
            summary = json.loads((place / "summary.json").read_text())
            del summary["id_split"]
            (place / "summary.json").write_text(json.dumps(summary))
    row = compared("A", "B")[1]["srnet", None, "id"]
    assert (row["split"], row["interval"], row["note"]) == (split, [0.0, 0.0], None)


@pytest.fixture
def seeds(make_run):
    """Both sides over several seeds, with figures of srnet on dev alone; ``labels``: of each seed."""

    def seeds(of_a, of_b, labels=lambda _: LABELS):
        for name, chosen in (("A", of_a), ("B", of_b)):
            for seed in chosen:
                said = np.where(
                    np.arange(100) < (50 if name == "A" else 60 + 5 * seed), labels(seed), 1 - np.array(labels(seed))
                )
                figure = float(np.mean(said == labels(seed)))
                figures = {"srnet": (figure, 0.5)}
                make_run(f"{name}/{seed}", seed, figures=figures, said={"srnet": {"dev": (labels(seed), said)}})

    return seeds


@pytest.mark.parametrize("labels", [lambda _: LABELS, lambda seed: np.roll(LABELS, seed)], ids=["one set", "several"])
def test_several_seeds_are_paired_by_seed(seeds, compared, labels):
    seeds((1, 2, 3), (2, 3, 4), labels)
    document, rows = compared("A", "B")
    row = rows["srnet", None, "id"]
    assert document["common_seeds"] == [2, 3]
    assert (row["a"], row["b"]) == (pytest.approx(0.5), pytest.approx((0.7 + 0.75) / 2))
    assert row["seeds_interval"] == pytest.approx([0.2, 0.25])
    assert row["interval"][0] < 0.225 < row["interval"][1]
    # Rolled by 2 the labels are the same again, by 3 they are not.
    assert row["examples"] == (100 if labels(2) is LABELS else 200)


def test_without_a_common_seed_all_runs_are_compared_where_the_examples_are_the_same(seeds, call, compared):
    seeds((1,), (2, 3))
    row = compared("A", "B")[1]["srnet", None, "id"]
    assert (row["b"], row["seeds_interval"]) == (pytest.approx(0.725), None)
    assert row["interval"] is not None
    assert "No common seed: the means of all runs are compared." in call("compare", "A", "B").out


def test_without_a_common_seed_and_with_other_examples_there_is_no_interval(seeds, compared):
    seeds((1,), (2,), lambda seed: np.roll(LABELS, seed))
    assert compared("A", "B")[1]["srnet", None, "id"]["note"] == "the examples are not the same in A and B"


@pytest.mark.parametrize(
    ("of_b", "note"),
    [
        (
            {"said": {"srnet": {"dev": (LABELS[::-1], SAID["B"][::-1])}}},
            "the examples of seed 1 are not the same in A and B",
        ),
        (
            {"said": {"srnet": {"dev": ([0, 1], [0, 1])}}, "figures": {"srnet": (1.0, 0.5)}},
            "the examples of seed 1 are not",
        ),
        ({"said": {}}, "no predictions: B/stages/srnet/predictions/dev.safetensors"),
        ({"figures": {"srnet": (0.3, 0.5)}}, "the predictions give accuracy 0.900000, the run's files say 0.300000"),
        (
            {"said": {"srnet": {"dev": (LABELS, [0])}}},
            "labels and predictions must have the same shape (got (100,) and (1,))",
        ),
    ],
    ids=["other labels", "fewer", "none", "other figure", "other shape"],
)
def test_why_there_is_no_interval_is_said_and_the_figures_stand(pair, compared, of_b, note):
    pair(**of_b)
    row = compared("A", "B")[1]["srnet", None, "id"]
    assert (row["interval"], row["examples"]) == (None, None)
    assert note in row["note"]
    assert row["difference"] == pytest.approx(row["b"] - row["a"])


def test_a_damaged_predictions_file_is_said(pair, work, compared):
    pair()
    (work / "B/stages/srnet/predictions/dev.safetensors").write_bytes(b"x" * 20)
    assert "dev.safetensors: the predictions cannot be read" in compared("A", "B")[1]["srnet", None, "id"]["note"]


def test_the_fingerprints_of_the_data_count_even_where_the_labels_are_alike(make_run, compared):
    for name in "AB":
        data = {"dev": {"examples": 100, "sha256": name * 64}}
        figures = {"srnet": (0.5, 0.5)}
        make_run(name, figures=figures, said={"srnet": {"dev": (LABELS, SAID["A"])}}, data=data)
    document, rows = compared("A", "B")
    assert rows["srnet", None, "id"]["note"] == "the examples of seed 1 are not the same in A and B"
    assert [each["key"] for each in document["data"]] == ["dev"]


USED = "srframework/accuracy, srframework/f1, other/gone"


@pytest.mark.parametrize(
    ("metric", "args", "note"),
    [
        ("f1", [], None),
        (
            "hans/lexical",
            [],
            f"no evaluator of the recipe ({USED}) declares hans/lexical; no eval",
        ),
        (
            "f1",
            ["--disable", "evaluators"],
            f"no evaluator of the recipe ({USED}) declares f1; no",
        ),
    ],
)
def test_a_metric_that_an_evaluator_computes_of_resamples_has_an_interval(make_run, call, metric, args, note):
    # Weighted F1 of A: half true, class 0 said 60 times with 30 hits, class 1 40 times with 20.
    figures = {"srnet": ((2 * 30 / 110 + 2 * 20 / 90) / 2, 0.5)}
    evaluators = [{"use": name} for name in USED.split(", ")]
    for name in "AB":
        said = {"srnet": {"dev": (LABELS, SAID["A"])}}
        make_run(name, figures=figures, said=said, metric=metric, evaluators=evaluators)
    done = call(*args, "compare", "A", "B", "--json")
    assert done.code == 0
    (row,) = [row for row in json.loads(done.out)["figures"] if row["kind"] == "id"]
    assert row["interval"] == ([0.0, 0.0] if note is None else None)
    assert (row["note"] or "").startswith(note or "")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["A", "nowhere"], 2, "nowhere: expected a directory with runs; there is no such directory"),
        (
            ["A", "stopped"],
            2,
            "stopped: expected a finished run, or a directory of finished runs; got none, 1 unfinished",
        ),
        (["A", "damaged"], 1, "damaged/summary.json: expected the results of a run"),
        (
            ["A", "other"],
            2,
            "no stage and metric in common: A has full (accuracy), srnet (accuracy); other has full (f1)",
        ),
        (
            ["swept", "A"],
            2,
            "swept: the runs must differ only in their seed, but 2 runs have several values of backbone.layers; "
            "choose with --a backbone.layers=12, or give the directory of one run or of runs that are alike",
        ),
        (["A", "swept"], 2, "choose with --b backbone.layers=12,"),
        (["A", "named"], 2, "choose with --b 'recipe=a b',"),
        (["swept", "A", "--a", "layers=3"], 2, "error: --a layers=3: no run matches; existing values: 12, 2"),
        (["A", "swept", "--b", "layer=2"], 2, "--b layer=2: expected 'seed', 'recipe' or a setting of the runs, got"),
        (["A", "A", "--b", "stage=full"], 2, "--b stage=full: expected 'seed', 'recipe' or a setting of the runs"),
        (["twice", "A"], 2, "twice: expected one run per seed, but twice/a and twice/b both have seed 1"),
        (["A"], 2, "Missing argument 'B'"),
        (["A", "A", "--resamples", "0"], 2, "0 is not in the range x>=100"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_compared_is_a_sentence(make_run, work, call, args, code, said):
    make_run("A")
    (make_run("stopped") / "summary.json").unlink()
    (make_run("damaged") / "summary.json").write_text("{")
    make_run("other", figures={"full": (0.5, 0.5)}, metric="f1")
    for layers in (2, 12):
        make_run(f"swept/{layers}", backbone__layers=layers)
    for name in "ab":
        make_run(f"twice/{name}")
        make_run(f"named/{name}", name=f"{name} b")
    done = call("compare", *args)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


@pytest.fixture
def swept(make_run):
    """Two sparsities × three seeds in one directory; ``srnet`` is 0.8 + seed / 100, or 0.1 less."""
    for seed in (1, 2, 3):
        for sparsity, srnet in ((0.5, 0.8), (0.7, 0.7)):
            figures = {"full": (0.9, 0.5), "srnet": (srnet + 0.01 * seed, 0.6)}
            make_run(f"sweep/{sparsity}-{seed}", seed, figures, srnet__pruner__sparsity=sparsity)


@pytest.mark.parametrize("key", ["stages.srnet.pruner.sparsity", "sparsity"])
def test_two_cells_of_one_sweep_are_compared_over_their_seeds(swept, call, compared, key):
    cells = ("sweep", "sweep", "--a", f"{key}=0.5", "--b", f"{key}=0.7")
    document, rows = compared(*cells)
    assert document["common_seeds"] == [1, 2, 3]
    assert document["recipe"] == [{"key": "stages.srnet.pruner.sparsity", "a": 0.5, "b": 0.7}]
    row = rows["srnet", None, "id"]
    assert (row["a"], row["b"]) == (pytest.approx(0.82), pytest.approx(0.72))
    assert row["seeds_interval"] == pytest.approx([-0.1, -0.1])
    assert call("compare", *cells).out.splitlines()[:2] == [
        f"A: sweep {key}=0.5 (hand; seeds 1, 2, 3)",
        f"B: sweep {key}=0.7 (hand; seeds 1, 2, 3)",
    ]


def test_conditions_of_a_side_are_all_to_be_met(swept, compared):
    document, _ = compared(
        "sweep", "sweep", "--a", "sparsity=0.5", "--a", "seed!=2", "--b", "sparsity=0.7", "--b", "seed=3,1"
    )
    assert document["common_seeds"] == [1, 3]


def test_the_help_has_an_example_that_works(swept, call, work, start):
    words = re.search(r"^ +srframework (compare .*)$", start("compare", "--help").out, re.MULTILINE)[1].split()
    (work / "runs").mkdir()
    (work / "sweep").rename(work / "runs/sweep")
    assert call(*words).code == 0


def test_the_number_of_processes_is_said_where_it_differs(make_run, work, compared):
    for name, seed, processes in (("A/1", 1, 1), ("A/2", 2, 1), ("B/1", 1, 2), ("B/2", 2, 4), ("C", 1, None)):
        place = make_run(name, seed) / "run.json"
        machine = {"machine": {"processes": processes}} if processes else {}
        place.write_text(json.dumps(json.loads(place.read_text()) | machine))
    assert compared("A", "B")[0]["versions"] == [{"key": "processes", "a": "1", "b": "2, 4"}]
    assert compared("A/1", "A/2")[0]["versions"] == []
    assert compared("A/1", "C")[0]["versions"] == [{"key": "processes", "a": "1", "b": None}]


def test_what_is_left_out_is_a_warning(seeds, make_run, call):
    seeds((1,), (1,))
    (make_run("B/stopped", 2) / "summary.json").unlink()
    (make_run("B/damaged", 3) / "summary.json").write_text("{")
    done = call("compare", "A", "B")
    assert done.code == 0
    assert "warning: B/damaged/summary.json: expected" in done.err
    assert "warning: B/stopped: unfinished" in done.err


def test_the_real_command(pair, start):
    pair()
    done = start("compare", "A", "B", "--resamples", "1000")
    assert (done.code, done.err) == (0, "")
    assert "+40.00" in done.out
