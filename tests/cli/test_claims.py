"""`srframework claims`, on claims that are small and of our own."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_recipe import FULL, small_recipe

from srframework.recipe.model import shipped

CLAIM = """
[claim]
statement = "{statement}"
source = "§4"
note = "{note}"
checks = {checks}
"""

SWEEP = """
[sweep]
training.weight_decay = [0.0, 0.1]
[[sweep.zip]]
name = ["a", "b"]
training.epochs = [1, 2]
"""


def claim(statement: str, *checks: str, training: str = "eval_every = 100", note: str = "") -> str:
    table = CLAIM.format(statement=statement, checks=json.dumps(checks), note=note)
    return small_recipe("claim", FULL, table, training=f"max_steps = 2, {training}")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A directory with claims."""
    home = tmp_path_factory.mktemp("claims")
    (home / "good.toml").write_text(claim("It is dense.", "sparsity(full) <= 0", "id(full) >= 0"))
    (home / "bad.toml").write_text(claim("It is sparse.", "sparsity(full) >= 0.5", note="It is not pruned."))
    (home / "broken.toml").write_text(claim("It has levels.", "id(full@0.5) >= 0.5"))
    diverges = "learning_rate = 1e30, max_grad_norm = 0, log_every = 1"
    (home / "diverges.toml").write_text(claim("It learns.", "id(full) >= 0.5", training=diverges))
    (home / "elsewhere.toml").write_text(claim("It knows more.", "ood.hans(full) >= 0"))
    (home / "swept.toml").write_text(claim("It is dense.", "sparsity(full) <= 0") + SWEEP)
    unreached = claim("It starts late.", "id(full) >= 0") + '[[stages]]\nname = "b"\nop = "train"\nloss = "std"\n'
    (home / "unreached.toml").write_text(unreached + 'weights = "full@99"\n')
    text = (home / "good.toml").read_text()
    (home / "plain.toml").write_text(text[: text.index("[claim]")])
    return home


SEEDS = (4, 7, 5)


@pytest.fixture(scope="module")
def judged(perform, home):
    """Two claims over three seeds: what was printed, and the rows."""
    done = perform("claims", "good.toml", "bad.toml", "--seeds", "4,7,5", "--out", "out", "--json", cwd=home)
    return SimpleNamespace(code=done.code, err=done.err, rows=json.loads(done.out), out=home / "out")


def test_a_claim_that_does_not_hold_is_a_result_and_no_failure(judged):
    assert judged.code == 0
    assert [(row["claim"], row["verdict"]) for row in judged.rows] == [
        ("good.toml", "holds"),
        ("bad.toml", "does not hold"),
    ]


def test_json_has_the_figures_seed_by_seed_and_every_check(judged):
    good, bad = judged.rows
    assert set(good) == {"claim", "statement", "source", "note", "verdict", "figures", "checks", "controls"}
    assert (good["statement"], good["source"], good["note"]) == ("It is dense.", "§4", "")
    assert bad["note"] == "It is not pruned."
    held = {"verdict": "holds", "seeds": None, "reason": ""}
    assert good["checks"] == {"sparsity(full) <= 0": held, "id(full) >= 0": held}
    assert bad["checks"] == {"sparsity(full) >= 0.5": {"verdict": "does not hold", "seeds": None, "reason": ""}}
    assert good["controls"] == {}
    assert good["figures"]["sparsity(full)"] == {"unit": "fraction", "values": [0.0, 0.0, 0.0], "mean": 0.0, "sd": 0.0}
    stages = [json.loads((judged.out / f"good.toml/seed={seed}/results.json").read_text())["stages"] for seed in SEEDS]
    values = [stage["id"] for (stage,) in stages]
    assert good["figures"]["id(full)"] == {
        "unit": "fraction",
        "values": values,
        "mean": pytest.approx(sum(values) / 3, abs=1e-12),
        "sd": pytest.approx(statistics.stdev(values), abs=1e-12),
    }


def test_the_rows_and_every_run_are_on_disk(judged):
    assert json.loads((judged.out / "claims.json").read_text()) == judged.rows
    runs = sorted(path.parent.relative_to(judged.out).as_posix() for path in judged.out.rglob("results.json"))
    assert runs == [f"{name}.toml/seed={seed}" for name in ("bad", "good") for seed in sorted(SEEDS)]
    for seed in SEEDS:
        assert json.loads((judged.out / f"bad.toml/seed={seed}/run.json").read_text())["seed"] == seed


def test_what_runs_goes_to_stderr(judged):
    lines = re.findall(r"run \d of \d: .*", judged.err)
    runs = [f"{name}.toml, seed {seed}" for name in ("good", "bad") for seed in SEEDS]
    assert lines == [f"run {number} of 6: {run}" for number, run in enumerate(runs, 1)]
    assert judged.err.splitlines()[-1].startswith("6 runs: 3 stages computed in ")  # the claims share their stage


def test_as_text_there_is_a_paragraph_with_units(perform, home):
    done = perform("claims", "bad.toml", "--seeds", "1,2,3", "--out", "text", cwd=home)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "bad.toml: does not hold",
        "  It is sparse.",
        "  Note: It is not pruned.",
        "    sparsity(full): 0.0 ± 0.0 %",
        "    sparsity(full) >= 0.5: does not hold",
        "Figures of 3 seeds: mean ± standard deviation. id(X) and ood(X): the metric of stage X on the ID and the OOD "
        "set, in checks as a fraction.",
        "Verdicts: 1 does not hold",
        "run directory: text",
    ]


def test_two_seeds_decide_nothing_but_have_a_spread(perform, home):
    done = perform("claims", "bad.toml", "--seeds", "1,2", "--out", "pair", "--json", cwd=home)
    (row,) = json.loads(done.out)
    assert (done.code, row["verdict"]) == (0, "undecided")
    assert row["checks"] == {"sparsity(full) >= 0.5": {"verdict": "undecided", "seeds": 3, "reason": ""}}
    assert row["figures"] == {"sparsity(full)": {"unit": "fraction", "values": [0.0, 0.0], "mean": 0.0, "sd": 0.0}}


def test_one_seed_decides_nothing_and_has_no_spread(perform, home):
    done = perform("claims", "bad.toml", "--seeds", "1", "--out", "single", "--json", cwd=home)
    (row,) = json.loads(done.out)
    assert (done.code, row["verdict"]) == (0, "undecided")
    assert row["figures"] == {"sparsity(full)": {"unit": "fraction", "values": [0.0], "mean": 0.0, "sd": None}}
    text = perform("claims", "bad.toml", "--seeds", "1", "--out", "single-text", cwd=home).out
    assert "    sparsity(full): 0.0 %\n" in text
    assert "Figures of 1 seed. " in text
    assert text.endswith("Verdicts: 1 undecided\nrun directory: single-text\n")


def test_a_claim_that_fails_does_not_stop_the_rest_and_the_exit_code_is_1(perform, home):
    names = ["diverges.toml", "elsewhere.toml", "good.toml"]
    done = perform("claims", *names, "--seeds", "1,2,3", "--out", "failing", "--json", cwd=home)
    assert done.code == 1
    rows = json.loads(done.out)
    assert [(row["claim"], row["verdict"]) for row in rows] == [(name, "failed") for name in names[:-1]] + [
        ("good.toml", "holds")
    ]
    diverges, elsewhere, _ = (row.get("error", "") for row in rows)
    assert diverges.startswith("the loss is ")
    assert elsewhere == "claim: ood.hans(full): expected an OOD split among random; got 'hans'"
    assert rows[0]["figures"] == rows[0]["checks"] == {}
    assert f"error: diverges.toml, seed 1: {diverges}\n" in done.err
    assert f"error: elsewhere.toml: {elsewhere}\n" in done.err
    assert json.loads((home / "failing" / "claims.json").read_text()) == rows
    # the data of elsewhere.toml were looked at before anything was computed
    assert sorted(path.name for path in (home / "failing").iterdir()) == [
        *("claims.json", "diverges.toml", "good.toml", "sweep.json")
    ]


def test_a_failed_claim_is_on_the_screen_of_results(perform, home):
    done = perform("claims", "elsewhere.toml", "--seeds", "1", "--out", "failed-table", cwd=home)
    assert done.code == 1
    assert done.out.startswith("elsewhere.toml: failed\n")
    assert done.out.endswith("Verdicts: 1 failed\nrun directory: failed-table\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unreached", "stages.b.weights: 'full@99': expected a step of 'full', 1 to 2, got 99"),
        ("broken", "claim: id(full@0.5): expected a sparsity level that 'full' reaches, got 0.5; it reaches none"),
    ],
)
def test_what_can_be_told_of_any_claim_is_told_before_the_first_runs(perform, home, name, message):
    done = perform("claims", "good.toml", f"{name}.toml", "--seeds", "1,2,3", "--out", "nowhere", cwd=home)
    assert (done.code, done.err) == (2, f"error: {message}\n")
    assert not (home / "nowhere").exists()


def test_a_path_elsewhere_is_run_below_the_directory_all_the_same(perform, home, tmp_path):
    done = perform("claims", str(home / "good.toml"), "--seeds", "1", "--out", "out", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    (results,) = tmp_path.rglob("results.json")
    assert results.relative_to(tmp_path).parts[0] == "out"
    assert not (home / "good.toml").is_dir()


def test_overrides_apply_to_every_run_and_the_seeds_win(perform, home):
    overrides = ("--set", "seed=9", "--set", "training.max_steps=1")
    done = perform("claims", "good.toml", "--seeds", "3", *overrides, "--out", "overridden", cwd=home)
    assert done.code == 0, done.err
    assert "[1/1] full: A_std(f(θ_pt)), 1 step" in done.err
    assert (home / "overridden/good.toml/seed=3/results.json").is_file()


@pytest.mark.long
def test_several_processes_come_to_the_same_verdicts(perform, home, judged, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    args = ("--seeds", "4,7,5", "--jobs", "2", "--out", "parallel", "--store", "parallel-store", "--json")
    done = perform("claims", "good.toml", "bad.toml", *args, cwd=home)
    assert (done.code, json.loads(done.out)) == (0, judged.rows)
    logs = (home / "parallel" / "logs").rglob("*.log")
    runs = {path.relative_to(home / "parallel" / "logs").as_posix() for path in logs if "full" not in path.name}
    assert runs == {f"{name}.toml/seed={seed}.log" for name in ("good", "bad") for seed in SEEDS}


def test_the_same_command_again_computes_nothing(perform, home, judged):
    args = ("claims", "good.toml", "bad.toml", "--seeds", "4,7,5", "--out", "out", "--json")
    done = perform(*args, cwd=home)
    assert (done.code, json.loads(done.out)) == (0, judged.rows)
    assert done.err.splitlines()[-1].startswith("6 runs: 0 stages computed in 0 s, 6 reused")


def test_claims_whose_names_are_alike_have_folders_of_their_own(perform, home):
    (home / "a b.toml").write_text(claim("One.", "id(full) >= 0"))
    (home / "a-b.toml").write_text(claim("Two.", "id(full) >= 0"))
    done = perform("claims", "a b.toml", "a-b.toml", "a b.toml", "--seeds", "1", "--out", "alike", "--json", cwd=home)
    assert [row["statement"] for row in json.loads(done.out)] == ["One.", "Two."]
    runs = sorted(path.parent.relative_to(home / "alike").as_posix() for path in home.glob("alike/*/*/recipe.toml"))
    assert runs == ["a-b.toml+/seed=1", "a-b.toml/seed=1"]


def test_a_directory_of_other_claims_is_refused_with_what_it_has(perform, home, judged):
    done = perform("claims", "good.toml", "--seeds", "4", "--out", "out", cwd=home)
    got = "got one of another sweep; not in this sweep: bad.toml/seed=4 and 4 more"
    message = f"--out out: expected a new or an empty directory, or one of the same sweep, {got}"
    assert (done.code, done.out, done.err) == (2, "", f"error: {message}\n")


# -- without running ---------------------------------------------------------------------------------


def test_the_claims_that_are_shipped_are_listed_with_their_checks(call):
    names = [name for name in shipped() if name.startswith("claims/")]
    listed = json.loads(call("claims", "--list", "--json").out)
    assert [row["claim"] for row in listed] == names
    assert all(set(row) == {"claim", "statement", "source", "note", "checks", "controls"} for row in listed)
    table = call("claims", "--list")
    assert (table.code, table.err) == (0, "")
    assert all(row["statement"] in table.out and row["checks"][0] in table.out for row in listed)


@pytest.mark.parametrize("name", ["01-biased", "claims/01-biased"])
def test_a_shipped_claim_is_known_with_and_without_its_folder(call, name):
    (row,) = json.loads(call("claims", name, "--list", "--json").out)
    assert row["claim"] == "claims/01-biased"


def test_a_dry_run_says_how_many_stages_the_claims_share_and_writes_nothing(perform, home):
    args = ("claims", "good.toml", "bad.toml", "--seeds", "1,2", "--dry-run", "--out", "dry")
    done = perform(*args, cwd=home)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "4 runs, 2 distinct stages instead of 4:"
    runs = json.loads(perform(*args, "--json", cwd=home).out)["runs"]
    assert [run["values"] for run in runs] == [
        {"claim": f"{name}.toml", "seed": seed} for name in ("good", "bad") for seed in (1, 2)
    ]
    assert not (home / "dry").exists()


def test_a_claim_is_named_by_the_start_of_its_name_where_no_other_has_it(call):
    for name in ("03", "claims/03", "03-rob"):
        (row,) = json.loads(call("claims", name, "--list", "--json").out)
        assert row["claim"] == "claims/03-robust-subnetworks"
    assert json.loads(call("claims", "1", "--list", "--json").out)[0]["claim"] == "claims/10-high-sparsity"
    done = call("claims", "0", "--list")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: several claims start with '0': claims/01-biased, claims/02-keeps-id, ")


def test_an_unknown_claim_is_refused_with_the_nearest(call):
    done = call("claims", "01-baised")
    assert (done.code, done.out) == (2, "")
    expected = "error: no file and no claim is named '01-baised' (see `srframework claims --list`)"
    assert done.err == f"{expected}; did you mean 'claims/01-biased'?\n"


@pytest.mark.parametrize("name", ["quickstart", "plain.toml"])
def test_a_recipe_without_a_claim_is_refused(perform, home, name):
    done = perform("claims", "good.toml", name, "--out", "x", cwd=home)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: {name}: expected a recipe with a [claim] table\n"
    assert not (home / "x").exists()


def test_a_recipe_that_varies_more_than_its_seed_is_refused(perform, home):
    done = perform("claims", "good.toml", "swept.toml", "--out", "x", cwd=home)
    assert (done.code, done.out) == (2, "")
    swept = "training.weight_decay, name, training.epochs"
    assert done.err == (
        f"error: swept.toml: a claim can sweep only the seed (got {swept}); --set 'sweep={{}}' ignores the sweep\n"
    )
    assert not (home / "x").exists()


@pytest.mark.parametrize(
    "overrides",
    [
        ("--set", "sweep={}"),
        ("--set", "training.weight_decay=0.0", "--set", "name=a", "--set", "training.epochs=1"),
        ("--set", "sweep={ seed = [1, 2] }"),
    ],
    ids=["no sweep", "every key overridden", "of seeds, which win"],
)
def test_a_sweep_that_is_overridden_is_no_obstacle(perform, home, overrides):
    done = perform("claims", "swept.toml", "--list", "--json", *overrides, cwd=home)
    assert done.code == 0, done.err
    assert [row["claim"] for row in json.loads(done.out)] == ["swept.toml"]


@pytest.mark.parametrize("seeds", ["", "1,1", "1,01", "1, 1", "1,", "a", "-1", "1.5", "1;2", "1,x"])
def test_seeds_are_whole_numbers_that_differ(call, seeds):
    done = call("claims", "01-biased", "--seeds", seeds)
    assert (done.code, done.out) == (2, "")
    assert f"expected different integers, such as 1,2,3; got {seeds!r}" in done.err


def test_a_seed_that_is_too_large_is_refused_as_the_recipe_does(call):
    done = call("claims", "01-biased", "--seeds", "1,4294967296")
    assert (done.code, done.out) == (2, "")
    assert "--set seed=4294967296: seed: must be less than 4294967296 (got 4294967296)" in done.err


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("full", "expected a new or an empty directory, got one that is not empty"),
        ("full/file", "expected a directory, got a file"),
        ("full/file/x", "the directory cannot be created: Not a directory"),
    ],
)
def test_the_directory_is_new_or_empty(perform, home, out, message):
    (home / "full").mkdir(exist_ok=True)
    (home / "full" / "file").write_text("")
    done = perform("claims", "good.toml", "--out", out, cwd=home)
    assert (done.code, done.out, done.err) == (2, "", f"error: --out {out}: {message}\n")
