"""The sparsity levels that a stage keeps: chosen by the user, needed by another stage, named by a claim."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file

RECIPE = """
name = "small"
schema = 1
seed = 3
backbone = { use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }
dataset = { use = "synthetic", train_size = 48, dev_size = 12, ood_size = 12 }
training = { batch_size = 8, learning_rate = 1e-3, max_steps = 12, eval_every = 100 }

[[stages]]
name = "imp"
op = "prune"
pruner = { use = "PRUNER", sparsity = 0.6, step = 0.2, interval = 0.25, levels = LEVELS }
loss = "std"
"""
TICKET = """
[[stages]]
name = "ticket"
op = "train"
mask = "imp@0.4"
loss = "std"
"""
CLAIM = """
[claim]
statement = "A level has zeros."
checks = ["sparsity(imp@0.4) >= 0.3", "sparsity(imp) >= 0.5"]
"""


@pytest.fixture
def run(perform, tmp_path):
    """Run the recipe with these levels, always with the same store."""

    def run(levels, more="", pruner="imp", command="run"):
        number = len(list(tmp_path.glob("*.toml")))
        recipe = RECIPE.replace("LEVELS", json.dumps(levels)).replace("PRUNER", pruner)
        (tmp_path / f"{number}.toml").write_text(recipe + more)
        done = perform(command, f"{number}.toml", "--out", f"{number}", "--json", cwd=tmp_path)
        assert done.code == 0, done.err
        place = tmp_path / f"{number}" / "stages" / "imp"
        if command != "run":
            return SimpleNamespace(done=done, report=json.loads(done.out))
        (stage,) = (each for each in json.loads(done.out)["stages"] if each["name"] == "imp")
        log = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
        return SimpleNamespace(
            err=done.err,
            key=json.loads((place.parents[1] / "run.json").read_text())["stages"]["imp"]["trained"],
            levels=[each["level"] for each in stage.get("levels", [])],
            measured=[*json.loads((place / "figures.json").read_text())["points"]],
            saved=sorted(each.name for each in (place / "points").glob("*")),
            predicted=sorted(each.parents[1].name for each in (place / "points").glob("*/predictions/dev.safetensors")),
            evaluated=[each["step"] for each in log if "accuracy" in each and each["step"]],
            model=load_file(place / "model" / "model.safetensors"),
            reused="reused cached result" in done.err,
        )

    return run


@pytest.mark.parametrize(
    ("pruner", "levels", "kept", "evaluated"),
    [
        ("imp", "last", [], [9]),
        ("imp", "all", [0.2, 0.4, 0.6], [3, 6, 9]),
        ("imp", [0.4], [0.4], [6, 9]),
        ("imp-rw", "last", [], []),
        ("imp-rw", "all", [0.2, 0.4, 0.6], [3, 6]),
        ("imp-rw", [0.4, 0.6], [0.4, 0.6], [6]),
    ],
)
def test_only_the_chosen_levels_are_saved_measured_and_shown(run, pruner, levels, kept, evaluated):
    found = run(levels, pruner=pruner)
    assert found.levels == kept
    assert found.saved == found.measured == found.predicted == [f"{each:g}" for each in kept]
    assert found.evaluated == evaluated


def test_the_choice_changes_no_bit_and_no_key_and_what_the_store_has_is_not_lost(run):
    last = run("last")
    one = run([0.2])  # the entry has no level, so the stage is computed again
    two = run([0.4])
    again = run([0.2])
    assert {each.key for each in (last, one, two, again)} == {last.key}
    assert [each.reused for each in (last, one, two, again)] == [False, False, False, True]
    assert [each.levels for each in (last, one, two, again)] == [[], [0.2], [0.4], [0.2]]
    assert [each.saved for each in (last, one, two, again)] == [[], ["0.2"], ["0.4"], ["0.2"]]
    assert "1 stage, 9 steps" in one.err
    assert "1 stage (1 cached), 0 steps" in again.err
    for other in (one, two, again):
        assert all((other.model[name] == each).all() for name, each in last.model.items())


def test_a_level_that_a_result_lost_is_not_measured_again(run, tmp_path):
    key = run([0.2]).key
    (manifest,) = tmp_path.rglob(f"{key}/manifest.json")
    shutil.rmtree(manifest.parent)
    found = run([0.4])
    assert found.levels == [0.4]
    assert found.saved == found.measured == found.predicted == ["0.4"]


def test_a_level_that_another_stage_refers_to_is_kept_for_it(run):
    found = run("last", TICKET)
    assert found.levels == [0.4]
    assert found.saved == found.measured == ["0.4"]
    assert run("last").reused


def test_a_claim_has_the_levels_that_its_recipe_keeps(run, perform, tmp_path):
    found = run([0.4], CLAIM, command="claims")
    (row,) = found.report
    assert sorted(row["figures"]) == ["sparsity(imp)", "sparsity(imp@0.4)"]
    assert row["figures"]["sparsity(imp@0.4)"]["mean"] == pytest.approx(0.4, abs=0.01)
    (tmp_path / "bad.toml").write_text(RECIPE.replace("LEVELS", '"last"').replace("PRUNER", "imp") + CLAIM)
    done = perform("claims", "bad.toml", "--out", "bad", cwd=tmp_path)
    assert done.code == 2
    assert (
        "claim: sparsity(imp@0.4): expected a sparsity level that 'imp' keeps, got 0.4; it keeps none; "
        "choose the levels with stages.imp.pruner.levels"
    ) in " ".join(done.err.split())
    assert not (tmp_path / "bad").exists()


def test_cells_of_a_sweep_share_a_stage_that_keeps_the_levels_of_all(perform, tmp_path):
    sweep = '[sweep]\n"stages.imp.pruner.levels" = ["last", [0.2], [0.4]]\n'
    (tmp_path / "r.toml").write_text(RECIPE.replace("LEVELS", '"last"').replace("PRUNER", "imp") + sweep)
    done = perform("sweep", "r.toml", "--out", "out", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    runs = json.loads(done.out)
    assert [[each["level"] for each in run["stages"][0].get("levels", [])] for run in runs] == [[], [0.2], [0.4]]
    assert "3 runs: 1 stage computed" in done.err


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (
            "lst",
            'stages.imp.pruner.levels: expected "all", "last", or an array of sparsity levels in (0, 1), '
            "such as [0.2, 0.5], got 'lst'",
        ),
        ([0.25], "stages.imp.pruner: expected levels among 0.2, 0.4, 0.6 (got 0.25)"),
    ],
)
def test_other_levels_are_refused_at_their_key(perform, tmp_path, levels, expected):
    (tmp_path / "r.toml").write_text(RECIPE.replace("LEVELS", json.dumps(levels)).replace("PRUNER", "imp"))
    done = perform("validate", "r.toml", cwd=tmp_path)
    assert done.code == 2
    assert f"r.toml:12: {expected}" in " ".join(done.err.split())
