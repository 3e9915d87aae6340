"""`srframework run` of a recipe with a sweep."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import tomli
from log_lines import without_times
from small_recipe import FULL, small_recipe

import srframework.sweeps.launchers.serial
from srframework.contracts import JobResult

VARIANT = """
[variants.poe]
"stages.full.loss" = "poe"
"""
SWEEP = """
[sweep]
seed = [1, 2]
[[sweep.zip]]
training.learning_rate = [1e-3, 1e-2]
training.weight_decay = [0.0, 0.1]
"""
RECIPE = small_recipe("Swept: all", FULL, VARIANT, SWEEP)

SLUGS = [f"seed={seed},learning_rate={rate}" for seed in (1, 2) for rate in (0.001, 0.01)]


@pytest.fixture(scope="module")
def swept(perform, tmp_path_factory):
    """One finished sweep: where, and what it printed."""
    home = tmp_path_factory.mktemp("swept")
    (home / "recipe.toml").write_text(RECIPE)
    done = perform("run", "recipe.toml", "--out", "out", "--json", cwd=home)
    assert done.code == 0, done.err
    return SimpleNamespace(home=home, out=home / "out", reports=json.loads(done.out), err=done.err)


def test_every_cell_has_a_directory_of_its_own_with_its_report(swept):
    assert sorted(path.name for path in swept.out.iterdir()) == sorted([*SLUGS, "sweep.json"])
    for slug, report in zip(SLUGS, swept.reports, strict=True):
        values = report["values"]
        assert slug == f"seed={values['seed']},learning_rate={values['training.learning_rate']}"
        assert report["run"] == f"out/{slug}"
        assert json.loads((swept.out / slug / "results.json").read_text()) == {
            key: value for key, value in report.items() if key != "values"
        }


def test_json_is_a_list_of_reports_with_what_was_swept(swept):
    assert [report["values"] for report in swept.reports] == [
        {"seed": seed, "training.learning_rate": rate, "training.weight_decay": decay}
        for seed in (1, 2)
        for rate, decay in ((0.001, 0.0), (0.01, 0.1))
    ]
    assert [report["seed"] for report in swept.reports] == [1, 1, 2, 2]
    assert json.loads((swept.out / "sweep.json").read_text()) == swept.reports
    models = {(swept.out / slug / "stages/full/model/model.safetensors").read_bytes() for slug in SLUGS}
    assert len(models) == 4


def test_which_run_it_is_goes_to_stderr(swept):
    lines = [line for line in without_times(swept.err) if line.startswith("run ") and " of " in line]
    assert lines == [f"run {number} of 4: {slug.replace(',', ', ')}" for number, slug in enumerate(SLUGS, 1)]


def test_each_cell_is_resolved_and_runs_again_to_the_same_figures(perform, swept):
    for number, (slug, report) in enumerate(zip(SLUGS, swept.reports, strict=True)):
        resolved = tomli.loads((swept.out / slug / "recipe.toml").read_text())
        assert not {"sweep", "variant", "variants"} & set(resolved)
        assert resolved["seed"] == report["seed"]
        assert resolved["stages"][0]["learning_rate"] == report["values"]["training.learning_rate"]
        done = perform("run", f"out/{slug}/recipe.toml", "--out", f"again/{number}", "--json", cwd=swept.home)
        assert json.loads(done.out)["stages"] == report["stages"]


def test_as_text_each_run_has_its_label_and_its_table(perform, swept):
    fixed = ("--set", "training.learning_rate=1e-3", "--set", "training.weight_decay=0.0")
    done = perform("run", "recipe.toml", "--out", "text", *fixed, cwd=swept.home)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert [line for line in lines if line.startswith(("seed=", "run directory"))] == [
        *("seed=1", "run directory: text/seed=1"),
        *("seed=2", "run directory: text/seed=2"),
    ]
    assert done.out.count("ID accuracy") == 2


def test_a_sweep_of_one_value_is_still_a_sweep_and_no_sweep_is_one_run(perform, swept):
    fixed = ("--set", "sweep={ seed = [7] }", "--json")
    (report,) = json.loads(perform("run", "recipe.toml", "--out", "one", *fixed, cwd=swept.home).out)
    assert (report["values"], report["run"]) == ({"seed": 7}, "one/seed=7")
    plain = json.loads(
        perform("run", "recipe.toml", "--out", "none", "--set", "sweep={}", "--json", cwd=swept.home).out
    )
    assert (plain["run"], plain["seed"]) == ("none", 0)


def test_variants_are_swept_and_a_bias_model_is_told_of_where_there_is_one(perform, swept):
    fixed = ("--set", 'sweep={ variant = ["poe"] }')
    done = perform("run", "recipe.toml", "--out", "variants", *fixed, cwd=swept.home)
    assert "A_poe(f(θ_pt))" in done.err
    assert "right and confident: right, with a probability of 80 % or more" in " ".join(done.out.split())
    assert "run directory: variants/variant=poe" in done.out


def test_without_out_the_runs_are_under_one_directory_that_names_no_seed(perform, swept):
    done = perform("run", "recipe.toml", "--set", "sweep={ seed = [7, 8] }", "--json", cwd=swept.home)
    first, second = (report["run"].split("/") for report in json.loads(done.out))
    assert (first[0], first[2], second[2]) == ("runs", "seed=7", "seed=8")
    assert first[1] == second[1]
    assert re.fullmatch("swept-all-[0-9a-f]{8}", first[1])


def test_a_sweep_never_goes_into_a_directory_of_something_else(perform, swept):
    (swept.home / "mine").mkdir()
    (swept.home / "mine" / "thesis.tex").write_text("")
    done = perform("run", "recipe.toml", "--out", "mine", cwd=swept.home)
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: --out mine: expected a new or an empty directory, got one that is not empty\n"


RATES = ("--set", "sweep={ training = { learning_rate = [1e-3, 1e30, 1e-2] } }", "--set", "training.max_grad_norm=0")
STEPS = ("--set", "training.max_steps=4")


@pytest.fixture(scope="module")
def failing(perform, swept):
    """A sweep whose second run diverges."""
    done = perform("run", "recipe.toml", "--out", "failing", "--json", *RATES, *STEPS, cwd=swept.home)
    return SimpleNamespace(code=done.code, err=done.err, reports=json.loads(done.out), out=swept.home / "failing")


def test_a_cell_that_fails_does_not_stop_the_rest(failing):
    paths = [path for path in failing.out.iterdir() if path.is_dir()]
    assert {path.name: json.loads((path / "run.json").read_text())["state"] for path in paths} == {
        "learning_rate=0.001": "finished",
        "learning_rate=1e+30": "failed",
        "learning_rate=0.01": "finished",
    }


def test_a_cell_that_fails_is_told_of_at_once_and_in_the_end_by_the_exit_code(failing):
    assert failing.code == 1
    lines = without_times(failing.err)
    (failure,) = (line for line in lines if line.startswith("error: learning_rate=1e+30: the loss is "))
    assert lines.index("run 2 of 3: learning_rate=1e+30") < lines.index(failure)
    assert lines.index(failure) < lines.index("run 3 of 3: learning_rate=0.01")
    assert lines[-1] == "error: 1 of 3 runs failed; failing/sweep.json says why"
    assert "Traceback" not in failing.err


def test_the_report_of_a_cell_that_fails_says_why(failing):
    good, bad, last = failing.reports
    assert set(bad) == {"values", "run", "error", "log"}
    assert bad["log"] is None  # one process tells of its progress itself
    assert bad["values"] == {"training.learning_rate": 1e30}
    assert bad["run"] == "failing/learning_rate=1e+30"
    assert bad["error"].startswith("the loss is ")
    assert all("error" not in report and "stages" in report for report in (good, last))
    assert json.loads((failing.out / "sweep.json").read_text()) == failing.reports


def test_as_text_a_cell_that_fails_has_no_table(perform, swept):
    done = perform("run", "recipe.toml", "--out", "failing-text", *RATES, *STEPS, cwd=swept.home)
    assert done.code == 1
    assert [line for line in done.out.splitlines() if line.startswith("learning_rate=")] == [
        "learning_rate=0.001",
        "learning_rate=0.01",
    ]
    assert done.out.count("ID accuracy") == 2


def test_what_is_finished_is_on_disk_after_each_run(perform, swept, monkeypatch):
    seen = []

    def interrupted(work):
        path = Path(work.out).parent / "sweep.json"
        seen.append([each["values"] for each in json.loads(path.read_text())] if path.exists() else None)
        seed = work.recipe["seed"]
        if seed == 3:
            raise KeyboardInterrupt
        return JobResult({"run": work.out, "recipe": "Swept: all", "seed": seed, "stages": []})

    monkeypatch.chdir(swept.home)
    monkeypatch.setattr(srframework.sweeps.launchers.serial, "run_job", interrupted)
    seeds = ("--set", "sweep={ seed = [1, 2, 3, 4] }", "--json")
    done = perform("run", "recipe.toml", "--out", "interrupted", *seeds, cwd=swept.home)
    assert (done.code, done.out) == (130, "")
    assert seen == [None, [{"seed": 1}], [{"seed": 1}, {"seed": 2}]]
    assert [each["seed"] for each in json.loads((swept.home / "interrupted" / "sweep.json").read_text())] == [1, 2]


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        (
            "stages.more.weights = ['full', 'full@2', 'full@3']",
            "stages.more.weights: 'full@3': expected a step of 'full', 1 to 2, got 3",
        ),
        (
            "training.max_steps = [4, 3]\nstages.more.weights = ['full@4']",
            "stages.more.weights: 'full@4': expected a step of 'full', 1 to 3, got 4",
        ),
        (
            "stages.more.weights = ['full', 'full@0.5']",
            "stages.more.weights: 'full@0.5': expected a sparsity level that 'full' reaches, got 0.5; it reaches none",
        ),
    ],
)
def test_a_point_that_one_cell_never_reaches_is_refused_before_the_first_run(perform, swept, sweep, message):
    more = '[[stages]]\nname = "more"\nop = "train"\nloss = "std"\n'
    (swept.home / "points.toml").write_text(RECIPE[: RECIPE.index("[sweep]")] + more + f"[sweep]\n{sweep}\n")
    done = perform("run", "points.toml", "--out", "points", cwd=swept.home)
    assert (done.code, done.out, done.err) == (2, "", f"error: {message}\n")
    assert not (swept.home / "points").exists()


def test_every_problem_of_every_cell_is_reported_before_any_runs(perform, swept):
    done = perform("run", "recipe.toml", "--out", "bad", "--set", "sweep={ seed = [1, -1, 'x'] }", cwd=swept.home)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("--set sweep={ seed = [1, -1, 'x'] }: seed: must be ") == 2
    assert not (swept.home / "bad").exists()


def test_a_plan_names_the_variant_of_each_stage(call, swept, monkeypatch):
    monkeypatch.chdir(swept.home)
    recipe = (swept.home / "recipe.toml").read_text().replace("seed = [1, 2]", 'variant = ["poe", "std"]')
    (swept.home / "variants.toml").write_text(f'{recipe}\n[variants.std]\n"stages.full.loss" = "std"\n')
    lines = call("run", "variants.toml", "--dry-run").out.splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("variant ")]
    assert [lines[number] for number in heads] == ["variant poe:", "variant std:"]
    assert "A_poe(" in lines[heads[0] + 1]
    assert "A_std(" in lines[heads[1] + 1]
