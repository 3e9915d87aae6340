"""`srframework results` with rows that are chosen, and sorted, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        (["stage=srnet"], [("srnet", 0.5), ("srnet", 0.7)]),
        (["stage!=srnet"], [("full",)]),
        (["pruner.sparsity=0.70"], [("full",), ("srnet",)]),
        (["stages.srnet.pruner.sparsity!=0.5", "seed=2"], [("full",), ("srnet",)]),
        (["pruner.use=mask", "recipe=hand"], [("full",), ("srnet", 0.5), ("srnet", 0.7)]),
        (["stage=full,other"], [("full",)]),
        (["stage!=full, other"], [("srnet", 0.5), ("srnet", 0.7)]),
        (["sparsity=0.5,7e-1"], [("full",), ("srnet", 0.5), ("srnet", 0.7)]),
        (["sparsity!=0.1,0.5"], [("full",), ("srnet",)]),
        (["pruner.use='mask',imp"], [("full",), ("srnet", 0.5), ("srnet", 0.7)]),
        (["training.epochs=3"], [("full",), ("srnet", 0.5), ("srnet", 0.7)]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value[0], str) else "",
)
def test_where_keeps_runs_and_stages(swept, rows, where, kept):
    assert list(rows(*(word for each in where for word in ("--where", each)))) == kept


def test_where_takes_the_headings_of_the_table(make_run, call, rows):
    """``use`` and ``epochs`` end several keys each, of which one varies."""
    bias = ({"use": "srframework/bias-logistic"}, {"use": "srframework/bias-words"})
    for number, (epochs, each) in enumerate((e, b) for e in (3, 5) for b in bias):
        make_run(f"runs/{number}", bias=each, srnet__epochs=epochs)
    assert call("results", "--csv").out.splitlines()[0].startswith("stages.srnet.epochs,bias.use,stage")
    (head,) = (line for line in call("results").out.splitlines() if "stage" in line)
    assert [cell.strip() for cell in head.split("┃")[1:4]] == ["epochs", "bias.use", "stage"]
    for where in ("epochs=5", "bias.use=bias-words", "use=bias-words"):
        found = rows("--where", where, "--where", "stage=srnet")
        assert len(found) == 2, where
        assert {len(row["runs"]) for row in found.values()} == {1}


@pytest.mark.parametrize(
    ("where", "kept"),
    [("=3", ["both"]), ("=5", ["neither"]), ("=3,5", ["both", "one", "neither"]), ("!=3", ["one", "neither"])],
)
def test_a_training_option_is_that_of_every_stage(make_run, rows, where, kept):
    for name, full, srnet in (("both", 3, 3), ("one", 3, 5), ("neither", 5, 5)):
        make_run(f"runs/{name}", name=name, full__epochs=full, srnet__epochs=srnet)
    found = rows("--where", f"training.epochs{where}", "--where", "stage=srnet")
    assert {Path(run["run"]).name for row in found.values() for run in row["runs"]} == set(kept)


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("recipe='a, b',c", ["a, b", "c"]),
        ("recipe=a, b", ["a, b"]),
        ('recipe="a, b"', ["a, b"]),
        ("recipe!=c", ["a, b", "7"]),
        ("recipe=7", ["7"]),
        ("sizes=[1, 2],[3]", ["a, b", "c"]),
    ],
)
def test_values_are_as_in_toml_and_commas_in_quotes_and_brackets_are_part_of_them(make_run, call, where, kept):
    for number, (name, sizes) in enumerate((("a, b", [1, 2]), ("c", [3]), ("7", [4]))):
        make_run(f"runs/{number}", name=name, backbone__sizes=sizes)
    found = json.loads(call("results", "--where", where, "--where", "stage=full", "--json").out)
    assert {run["run"] for row in found for run in row["runs"]} == {
        f"runs/{['a, b', 'c', '7'].index(name)}" for name in kept
    }


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("stage=srnet@0.1", [0.1]),
        ("stage=srnet@.10,srnet@0.25", [0.1, 0.25]),
        ("stage=srnet", [None]),
    ],
)
def test_a_level_that_is_asked_for_is_shown_without_levels(make_run, call, where, kept):
    make_run("runs/a", points={0.1: (0.6, 0.3), 0.25: (0.5, 0.2)})
    found = json.loads(call("results", "--where", where, "--json").out)
    assert [(row["stage"], row["level"]) for row in found] == [("srnet", level) for level in kept]


@pytest.mark.parametrize("by", ["OOD", "ood", "hans", "OOD hans", "OOD hans accuracy", "ood.hans"])
def test_a_column_is_sorted_by_under_any_of_its_names(swept, rows, by):
    assert list(rows("--sort", by)) == [("full",), ("srnet", 0.7), ("srnet", 0.5)]


@pytest.mark.parametrize("by", ["-ID", "-ID accuracy", "-id"])
def test_so_is_that_of_id(swept, rows, by):
    assert list(rows("--sort", by)) == [("full",), ("srnet", 0.5), ("srnet", 0.7)]


def test_ood_is_no_column_where_there_are_several(make_run, call):
    path = make_run("runs/a") / "summary.json"
    summary = json.loads(path.read_text())
    for stage in summary["stages"]:
        stage["ood"]["fever"] = 0.5
    path.write_text(json.dumps(summary))
    done = call("results", "--sort", "OOD")
    assert done.code == 2
    assert "--sort OOD: no column is named 'OOD'; choices: stage, sparsity, ID, hans, fever, n" in done.err
    assert call("results", "--sort", "OOD fever").code == 0
