"""`srframework results`, on run directories made by hand."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w


def test_rows_are_stage_by_what_varies_with_mean_and_sd_over_seeds(swept, rows):
    found = rows()
    assert list(found) == [("full",), ("srnet", 0.5), ("srnet", 0.7)]
    assert found["srnet", 0.5]["settings"] == {"stages.srnet.pruner.sparsity": 0.5}
    hans = found["srnet", 0.7]["ood"]["hans"]
    assert hans["values"] == pytest.approx([0.71, 0.72, 0.73])
    assert (hans["mean"], hans["sd"]) == (pytest.approx(0.72, abs=1e-12), pytest.approx(0.01, abs=1e-12))
    assert found["srnet", 0.7]["sparsity"]["mean"] == pytest.approx(0.7)


def test_a_stage_is_divided_only_by_what_it_builds_on_and_shared_runs_count_once(swept, rows):
    full = rows()["full",]
    assert (full["settings"], full["n"], full["seeds"]) == ({}, 3, [1, 2, 3])
    assert len(full["runs"]) == 6
    assert full["ood"]["hans"]["sd"] == pytest.approx(0.1, abs=1e-12)


@pytest.mark.parametrize(
    ("loss", "kept"),
    [({"use": "std"}, [("full",)]), ({"use": "distill", "teacher": "srnet@100"}, [("full", 0.5), ("full", 0.7)])],
)
def test_a_teacher_counts_as_what_a_stage_builds_on(make_run, rows, loss, kept):
    for sparsity in (0.5, 0.7):
        make_run(f"runs/{sparsity}", srnet__pruner__sparsity=sparsity, srnet__weights="pretrained", full__loss=loss)
    assert [key for key in rows() if key[0] == "full"] == kept


def test_a_setting_of_the_whole_recipe_divides_every_stage(make_run, rows):
    for layers in (2, 12):
        make_run(f"runs/{layers}", backbone__layers=layers)
    assert list(rows()) == [("full", 2), ("full", 12), ("srnet", 2), ("srnet", 12)]


def test_the_name_of_the_recipe_varies_like_a_setting(make_run, rows):
    make_run("runs/a", name="first")
    make_run("runs/b", name="second")
    assert rows()["full", "second"]["settings"] == {"recipe": "second"}


def test_options_that_change_nothing_of_what_comes_out_do_not_vary(make_run, rows):
    for seed, said in ((1, 10), (2, 1)):
        make_run(f"runs/{seed}", seed, training={"epochs": 3, "log_every": said}, full__checkpoint_seconds=30.0 * said)
    assert [(key, row["seeds"]) for key, row in rows().items()] == [(("full",), [1, 2]), (("srnet",), [1, 2])]


def test_an_option_of_a_component_varies_even_under_the_name_of_one_of_those(make_run, rows):
    for every in (1, 2):
        make_run(f"runs/{every}", srnet__pruner={"use": "other", "log_every": every})
    assert list(rows()) == [("full",), ("srnet", 1), ("srnet", 2)]


def test_options_of_another_component_are_no_variation_but_an_option_left_out_is(make_run, call):
    make_run("runs/a", srnet__pruner={"use": "mask", "sparsity": 0.5, "alpha": 2.0})
    make_run("runs/b", srnet__pruner={"use": "imp", "sparsity": 0.5})
    make_run("runs/c", srnet__pruner={"use": "imp", "sparsity": 0.5}, srnet__max_steps=10)
    header = call("results", "--csv").out.splitlines()[0].split(",")
    assert header[:3] == ["stages.srnet.pruner.use", "stages.srnet.max_steps", "stage"]


def test_the_table_is_in_percent_with_short_headings(swept, call):
    done = call("results", "--sort", "-OOD hans accuracy")
    lines = [[cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]] for line in done.out.splitlines()]
    cells = [line for line in lines if line]
    assert cells[0] == ["pruner.sparsity", "stage", "sparsity %", "ID accuracy % ↑", "OOD hans accuracy % ↑", "n"]
    assert cells[1:] == [
        ["0.5", "srnet", "50.00", "80.00 ± 0.00", "82.00 ± 1.00", "3"],
        ["0.7", "srnet", "70.00", "70.00 ± 0.00", "72.00 ± 1.00", "3"],
        ["", "full", "0.00", "90.00 ± 0.00", "20.00 ± 10.00", "3"],
    ]
    assert done.err == ""


def test_one_seed_has_no_sd(make_run, call, rows):
    make_run("runs/a")
    assert rows()["full",]["id"] == {"mean": 0.9, "sd": None, "values": [0.9]}
    assert "±" not in call("results").out.replace("Mean ± standard", "")


def test_levels_are_rows_only_where_asked_for(make_run, call):
    make_run("runs/a", points={0.1: (0.6, 0.3), 0.25: (0.5, 0.2)})
    names = [row["level"] for row in json.loads(call("results", "--levels", "--json").out)]
    assert names == [None, 0.1, 0.25, None]
    assert "srnet@0.25" in call("results", "--levels").out
    assert "@" not in call("results").out


def test_every_row_leads_to_run_recipe_and_versions(make_run, rows):
    make_run("runs/deep/er/a", versions="0.1.7")
    (record,) = rows()["srnet",]["runs"]
    assert record == {
        "run": "runs/deep/er/a",
        "seed": 1,
        "recipe": "runs/deep/er/a/recipe.toml",
        "versions": {"srframework": "0.1.7", "torch": "2.13.0"},
    }


def test_runs_are_shown_under_their_row(swept, call):
    assert call("results", "--runs").out.count("runs/s/seed=1,sparsity=0.5") == 2


def test_csv_has_shares_and_full_keys(swept, call):
    first, *_, last = csv.DictReader(io.StringIO(call("results", "--csv").out))
    assert (first["stage"], first["stages.srnet.pruner.sparsity"], first["n"]) == ("full", "", "3")
    assert float(last["ood.hans"]) == pytest.approx(0.72)
    assert float(last["ood.hans sd"]) == pytest.approx(0.01)


def test_latex_is_escaped(make_run, call):
    make_run("runs/a", name="50% a_b & ~c")
    make_run("runs/b", seed=2, name="plain")
    assert call("results", "--latex", "--where", "stage=full").out.splitlines() == [
        r"\begin{tabular}{llrrrr}",
        r"\toprule",
        r"recipe & stage & sparsity \% & ID accuracy \% $\uparrow$ & OOD hans accuracy \% $\uparrow$ & n \\",
        r"\midrule",
        r"50\% a\_b \& \textasciitilde{}c & full & $0.00$ & $90.00$ & $50.00$ & 1 \\",
        r"plain & full & $0.00$ & $90.00$ & $50.00$ & 1 \\",
        r"\bottomrule",
        r"\end{tabular}",
        "% Each model is that after the last step; OOD figures choose nothing.",
    ]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere"], "nowhere: expected a directory with runs; there is no such directory"),
        (["file"], "file: expected a directory with runs; got a file"),
        (["empty"], "no finished run under empty"),
        (["--where", "sparsty=0.5"], "got 'sparsty'; did you mean 'sparsity'?"),
        (["--where", "epochs=3"], "'epochs' is ambiguous; write one of: stages.full.epochs, stages.srnet.epochs"),
        (["--where", "training.epochs=4"], "--where training.epochs=4: no run matches; existing values: 3"),
        (["--where", "training.epoch=3"], "got 'training.epoch'"),
        (["--where", "seed=1,"], "--where seed=1,: a value is empty"),
        (["--where", "seed=1979-05-27"], "no run matches; existing values: 1, 2, 3"),
        (["--where", f"seed=1{'0' * 400}"], "expected an integer of at most 64 bits"),
        (["--where", "seed"], "expected KEY=VALUE or KEY!=VALUE"),
        (["--where", "seed=7"], "--where seed=7: no run matches; existing values: 1, 2, 3"),
        (["--where", "stage=srnt"], "no row matches; existing stages: full, srnet; did you mean 'srnet'?"),
        (["--sort", "hams"], "no column is named 'hams'; did you mean 'hans'?"),
        (["--sort", ""], "no column is named ''; choices: pruner.sparsity, stage, sparsity, ID, OOD, n"),
        (["--json", "--csv"], "expected at most one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_a_sentence(swept, work, call, args, said):
    (work / "empty").mkdir()
    (work / "file").write_text("")
    done = call("results", *args)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"recipe": "a"}', b"\xff", '{"recipe":"a","seed":1,"stages":[],"settings":{"name":"a"}}']
)
def test_a_damaged_file_is_a_warning_and_the_rest_goes_on(make_run, work, call, content):
    make_run("runs/good")
    path = make_run("runs/bad") / "summary.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = call("results", "--json")
    assert (done.code, len(json.loads(done.out))) == (0, 2)
    (line,) = done.err.splitlines()
    assert line.startswith("warning: runs/bad/summary.json: expected ")


@pytest.fixture
def refuse(monkeypatch):
    """Have the system refuse to list a directory, with an error's number."""

    def refuse(path, number):
        scan = os.scandir

        def refused(place):
            if place == path:
                raise OSError(number, os.strerror(number), place)
            return scan(place)

        monkeypatch.setattr("srframework.report.summary_files.os.scandir", refused)

    return refuse


@pytest.mark.parametrize("levels", [[], ["--levels"]])
def test_a_summary_that_is_a_directory_or_a_loop_is_a_warning_and_the_rest_goes_on(make_run, call, levels):
    make_run("runs/good")
    for name in "ab":
        (make_run(f"runs/{name}") / "summary.json").unlink()
    Path("runs/a/summary.json").mkdir()
    Path("runs/b/summary.json").symlink_to("summary.json")
    done = call("results", *levels, "--json")
    assert (done.code, len(json.loads(done.out))) == (0, 2)
    said = "summary.json: expected the results of a run; it cannot be read:"
    reasons = {"a": os.strerror(errno.EISDIR), "b": os.strerror(errno.ELOOP)}
    assert done.err.splitlines() == [f"warning: runs/{name}/{said} {why}" for name, why in reasons.items()]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_directory_that_cannot_be_read_is_a_warning_and_the_rest_goes_on(make_run, work, call, refuse, number):
    make_run("runs/good")
    (work / "runs/closed").mkdir()
    refuse("runs/closed", number)
    done = call("results", "--json")
    assert (done.code, len(json.loads(done.out))) == (0, 2)
    assert done.err == f"warning: runs/closed: the directory cannot be read: {os.strerror(number)}\n"


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR])
def test_a_directory_that_vanishes_is_left_out(make_run, work, call, refuse, number):
    make_run("runs/good")
    (work / "runs/gone").mkdir()
    refuse("runs/gone", number)
    done = call("results", "--json")
    assert (done.code, len(json.loads(done.out)), done.err) == (0, 2, "")


def test_what_cannot_be_read_is_told_of_where_there_is_nothing_else(work, call, refuse):
    (work / "runs").mkdir()
    refuse("runs", errno.EACCES)
    done = call("results")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"warning: runs: the directory cannot be read: {os.strerror(errno.EACCES)}\n")
    assert "no finished run under runs" in done.err


def test_unfinished_runs_are_counted_and_hidden_directories_left_out(make_run, work, call):
    make_run("runs/good")
    make_run("runs/.store/x", seed=9)
    stopped = make_run("runs/stopped", seed=2)
    (stopped / "summary.json").unlink()
    (stopped / "run.json").write_text('{"state": "interrupted"}')
    done = call("results", "--json")
    assert [row["seeds"] for row in json.loads(done.out)] == [[1], [1]]
    assert done.err == "1 unfinished run: runs/stopped (interrupted)\n"


@pytest.fixture
def stopped(make_run):
    """An interrupted run; of its stages, only ``full`` has figures that can be read."""
    path = make_run("runs/stopped", seed=2)
    settings = json.loads((path / "summary.json").read_text())["settings"]
    (path / "summary.json").unlink()
    (path / "recipe.toml").write_text(tomli_w.dumps(settings))
    figure = {"name": "accuracy", "unit": "fraction", "better": "higher", "description": "x"}
    facts = {"state": "interrupted", "figures": [figure], "id_split": "dev", "dev_split": "valid"}
    (path / "run.json").write_text(json.dumps(facts))
    end = {"sparsity": 0.0, "id": 0.846, "ood": {"hans": 0.188}, "also": {}}
    level = {"sparsity": 0.3, "id": 0.75, "ood": {"hans": 0.25}, "also": {}}
    for name, content in (
        (
            "full",
            {"final": end, "points": {"0.3": level}},
        ),
        ("srnet", {"final": {"sparsity": "none"}, "points": {}}),
        ("imp", ["no figures"]),
    ):
        (path / "stages" / name).mkdir(parents=True, exist_ok=True)
        (path / "stages" / name / "figures.json").write_text(json.dumps(content))
        (path / "stages" / name / "chosen.json").write_text('{"step": 5, "steps": 5, "planned": 5, "candidates": 2}')
    return path


def _rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("│┃").split("│")] for line in text.splitlines() if line[:1] == "│"]


def test_the_finished_stages_of_an_unfinished_run_are_marked_rows(make_run, stopped, call):
    make_run("runs/good")
    done = call("results")
    assert done.err.splitlines() == ["1 unfinished run: runs/stopped (interrupted)"]
    assert "┃ run " in done.out
    assert _rows(done.out) == [
        ["full", "", "0.00", "90.00", "50.00", "1"],
        ["full", "unfinished", "0.00", "84.60", "18.80", "1"],
        ["srnet", "", "50.00", "80.00", "70.00", "1"],
    ]
    assert ["full@0.3", "unfinished", "30.00", "75.00", "25.00", "1"] in _rows(call("results", "--levels").out)
    assert len(_rows(call("results", "--where", "seed=2").out)) == 1
    assert "Checkpoint chosen by the ID metric on valid: full; model after the last step: full, srnet." in done.out
    for form in ("--csv", "--latex", "--json"):
        assert "84.6" not in call("results", form).out


def test_runs_of_which_none_is_finished_have_a_table_too(stopped, call):
    assert _rows(call("results").out) == [["full", "unfinished", "0.00", "84.60", "18.80", "1"]]
    assert "no finished run under runs" in call("results", "--json").err
    (stopped / "recipe.toml").write_text("no TOML")
    assert "no finished run under runs" in call("results").err


def test_a_run_named_twice_counts_once_and_a_run_is_a_directory_of_runs(make_run, rows):
    make_run("runs/a")
    assert len(rows("runs", "runs/a", "runs/../runs")["full",]["runs"]) == 1
    assert len(rows("runs/a")["full",]["runs"]) == 1


def test_other_figures_of_the_same_settings_and_seed_are_told(make_run, call):
    make_run("runs/a")
    make_run("runs/b", figures={"full": (0.9, 0.5), "srnet": (0.81, 0.7)})
    done = call("results", "--json")
    assert [row["id"]["values"] for row in json.loads(done.out)] == [[0.9], [0.8]]
    assert "gave other figures 1 time, such as in runs/a and runs/b" in done.err


def test_a_longer_file_and_one_laid_out_otherwise_are_read_alike(make_run, rows):
    make_run("runs/a", full__note="x" * 300_000)
    other = make_run("runs/b", seed=2, full__note="x" * 300_000) / "summary.json"
    other.write_text(json.dumps(json.loads(other.read_text())))
    assert rows()["srnet",]["seeds"] == [1, 2]


def test_several_processes_find_what_one_does(make_run, work, monkeypatch):
    from srframework.report import summary_files

    for seed in range(40):
        make_run(f"runs/{seed}", seed)

    def found():
        parts = summary_files.read(["runs"], levels=False)
        return len(parts), sorted((run.path, run.seed, run.stages[1].id) for part in parts for run in part.runs)

    alone, together = found(), []
    monkeypatch.setattr(summary_files, "RUNS_OF_ONE_PROCESS", 5)
    monkeypatch.setattr(summary_files.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    together = found()
    assert len(alone[1]) == 40
    assert together == (3, alone[1])


def test_the_real_command_reads_and_imports_nothing_heavy(make_run, start):
    make_run("runs/a")
    assert start("results").code == 0
    watch = "import sys; sys.argv[0] = 'srframework'\nfrom srframework.cli import main\ntry: main()\n"
    watch += "finally: print([n for n in ('torch', 'transformers', 'datasets', 'numpy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", watch, "results"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def chosen(make_run):
    """Runs whose stage ``full`` is the best of two checkpoints on the split ``valid``; ``srnet`` is the last one."""
    for seed in (1, 2, 3):
        path = make_run(f"runs/{seed}", seed, {"full": (0.9 + 0.01 * seed, 0.5), "srnet": (0.8, 0.6 + 0.02 * seed)})
        for name in ("summary.json", "results.json"):
            content = json.loads((path / name).read_text())
            content["dev_split"] = "valid"
            content["stages"][0]["candidates"] = 2
            (path / name).write_text(json.dumps(content))


def test_the_split_that_chose_the_checkpoint_stands_beside_the_ood_figures(chosen, call, rows):
    expected = "Checkpoint chosen by the ID metric on valid: full; model after the last step: srnet. OOD figures choose"
    for args in ([], ["--metric", "accuracy"], ["--latex"]):
        assert expected in call("results", *args).out
    assert [row["chosen_on"] for row in rows().values()] == ["valid", None]
    full, srnet = csv.DictReader(io.StringIO(call("results", "--csv").out))
    assert (full["chosen_on"], srnet["chosen_on"]) == ("valid", "")
    assert expected in call("compare", "runs/1", "runs/2").out
    sides = json.loads(call("compare", "runs/1", "runs/2", "--json").out)["chosen_on"]
    assert sides == {side: {"full": "valid", "srnet": None} for side in "ab"}
    assert expected in call("gate").out


def test_the_spread_tells_how_many_seeds_a_difference_needs(chosen, call, rows):
    """ID: sd 0.01 in full and 0 in srnet, so 0.01 / √2 pooled, and 0.01 of a difference. OOD: 0 and 0.02."""
    needed = {key: row["seeds_needed"] for key, row in rows().items()}
    of_id, of_ood = {"sd": pytest.approx(0.01 / 2**0.5), "seeds": 10}, {"sd": pytest.approx(0.02 / 2**0.5), "seeds": 34}
    assert needed["full",] == {"difference": 0.01, "power": 0.8, "id": of_id, "ood": {"hans": of_ood}}
    assert needed["srnet",] == needed["full",]
    assert (
        "With the spread seen here, a difference of 1 point between two rows needs these seeds to be found with a "
        "probability of 80 %: ID dev: about 10 seeds (± 0.7 over 3 seeds); "
        "OOD hans: about 34 seeds (± 1.4 over 3 seeds)."
    ) in call("results").out
    assert "a difference of 2 points between" in call("results", "--difference", "2").out
    assert rows("--difference", "2")["full",]["seeds_needed"]["id"]["seeds"] < 10


def test_where_the_spread_is_not_known_no_number_is_given(make_run, call, rows):
    make_run("runs/a")
    assert "One seed shows no spread; run at least 3 seeds" in call("results").out
    assert rows()["full",]["seeds_needed"] == {"difference": 0.01, "power": 0.8, "id": None, "ood": {}}
    assert "spread" not in call("results", "--metric", "nll").out
    done = call("results", "--difference", "nan")
    assert (done.code, done.out) == (2, "")
    assert call("results", "--difference", "0").code == 2


def test_a_collapsed_model_and_a_tiny_difference_do_not_count(make_run, work, call):
    for seed in (1, 2, 3):
        path = make_run(f"runs/{seed}", seed, {"full": (0.9, 0.1 * seed)}) / "summary.json"
        summary = json.loads(path.read_text())
        summary["stages"][0]["collapsed"] = ["hans"]
        path.write_text(json.dumps(summary))
    out = call("results").out
    assert "ID dev: about 3 seeds (± 0.0 over 3 seeds)." in out
    assert "OOD hans: about" not in out
    for path in work.glob("runs/*/summary.json"):
        path.write_text(path.read_text().replace('"collapsed": ["hans"]', '"collapsed": []'))
    assert "OOD hans: more than 1000 seeds (± 10.0 over 3 seeds)." in call("results").out
