"""`srframework plot`, on run directories made by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BEGINNINGS = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF-"}


@pytest.fixture
def swept(make_run):
    """Two seeds at two sparsities: ID 0.9 - s / 2 + 0.02 * seed, OOD 0.5 + 0.1 * seed."""
    for seed in (1, 2):
        for sparsity in (0.4, 0.8):
            figures = {"full": (0.9, 0.1 * seed), "srnet": (0.9 - sparsity / 2 + 0.02 * seed, 0.5 + 0.1 * seed)}
            make_run(f"runs/{seed}-{sparsity}", seed, figures, srnet__pruner__sparsity=sparsity)


@pytest.fixture
def panels(call):
    """The panels of ``plot --json``: set -> label -> points."""

    def panels(*args):
        done = call("plot", "--json", *args)
        assert done.code == 0, done.err
        found = json.loads(done.out)["panels"]
        return {panel["set"]: {line["label"]: line["points"] for line in panel["lines"]} for panel in found}

    return panels


def write_logs(ood=True):
    """At steps 10 and 20: loss 1 / step * seed, ID 0.01 * step, OOD 0.02 * step + 0.1 * seed."""
    for run in Path("runs").iterdir():
        seed = json.loads((run / "summary.json").read_text())["seed"]
        lines = []
        for step in (10, 20):
            lines.append({"step": step, "loss": seed / step})
            lines.append(
                {"step": step, "accuracy": {"dev": 0.01 * step} | ({"hans": 0.02 * step + 0.1 * seed} if ood else {})}
            )
        for stage in ("full", "srnet"):
            (run / "stages" / stage / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_each_set_is_a_panel_and_each_stage_a_line_with_mean_and_sd_over_seeds(swept, panels):
    found = panels()
    assert list(found) == ["ID dev", "OOD hans"]
    assert list(found["ID dev"]) == ["full", "srnet"]
    # s = 0.4: 0.72 and 0.74; s = 0.8: 0.52 and 0.54; the sd of two values that differ by d is d / sqrt(2)
    low, high = found["ID dev"]["srnet"]
    assert (low["x"], low["mean"], low["n"]) == (pytest.approx(0.4), pytest.approx(0.73), 2)
    assert (high["x"], high["mean"]) == (pytest.approx(0.8), pytest.approx(0.53))
    assert low["sd"] == high["sd"] == pytest.approx(0.02 / 2**0.5)
    (ood,) = found["OOD hans"]["full"]
    assert (ood["x"], ood["mean"], ood["sd"]) == (0.0, pytest.approx(0.15), pytest.approx(0.1 / 2**0.5))


def test_full_models_are_marked(swept, call):
    (panel, _) = json.loads(call("plot", "--json").out)["panels"]
    assert [(line["label"], line["full"]) for line in panel["lines"]] == [("full", True), ("srnet", False)]


def test_x_may_be_a_setting(make_run, panels):
    for epochs, figure in ((3, 0.5), (5, 0.6)):
        make_run(f"runs/{epochs}", figures={"full": (0.9, 0.5), "srnet": (figure, 0.7)}, srnet__epochs=epochs)
    assert [(p["x"], p["mean"]) for p in panels("--x", "epochs")["ID dev"]["srnet"]] == [(3.0, 0.5), (5.0, 0.6)]


def test_curves_have_loss_and_figures_by_step(swept, panels):
    write_logs()
    found = panels("--kind", "curves")
    assert list(found) == ["training loss", "ID dev", "OOD hans"]
    first, second = found["training loss"]["srnet (pruner.sparsity=0.4)"]
    assert (first["x"], first["mean"], second["mean"]) == (10.0, pytest.approx(0.15), pytest.approx(0.075))
    ood = found["OOD hans"]["full"]
    assert [(p["mean"], p["sd"]) for p in ood] == [
        (pytest.approx(m), pytest.approx(0.1 / 2**0.5)) for m in (0.35, 0.55)
    ]
    assert list(panels("--x", "step")) == ["ID dev", "OOD hans"]


def test_a_set_that_was_not_evaluated_during_training_is_an_empty_panel(swept, perform, work, panels):
    write_logs(ood=False)
    assert panels("--kind", "curves")["OOD hans"]["full"] == []
    done = perform("plot", "--kind", "curves", cwd=work)
    assert "training.eval_ood = true" in done.err
    assert done.out == "plot.png: 3 panels; not run: OOD hans\n"


def test_groups_of_a_bias_evaluator_are_bars(swept, panels):
    for run in Path("runs").iterdir():
        seed = json.loads((run / "summary.json").read_text())["seed"]
        for stage in ("full", "srnet"):
            file = run / "stages" / stage / "figures.json"
            content = json.loads(file.read_text())
            content["final"]["evaluations"]["dev"] |= {
                "bias-groups/aligned": 0.9,
                "bias-groups/aligned/yes": 0.8,
                "bias-groups/conflicting": 0.1 * seed,
                "bias-group-size/aligned": 70,
            }
            file.write_text(json.dumps(content))
    found = panels("--kind", "bias-groups", "--where", "sparsity=0.4")
    assert list(found) == ["ID dev"]
    aligned, conflicting = found["ID dev"]["srnet"]
    assert (aligned["x"], aligned["mean"]) == ("aligned", pytest.approx(0.9))
    assert (conflicting["x"], conflicting["mean"], conflicting["n"]) == ("conflicting", pytest.approx(0.15), 2)


def test_lines_named_by_the_user_join_stages(make_run, panels):
    make_run("runs/a", points={0.1: (0.6, 0.3)})
    found = panels("--line", "all=full,srnet")
    assert {label: [p["x"] for p in points] for label, points in found["ID dev"].items()} == {"all": [0.0, 0.1, 0.5]}


def test_the_figure_table_of_the_recipe_names_the_lines(make_run, panels):
    make_run("runs/a", figure={"plot": {"SRNet": "srnet", "BERT": "full"}})
    assert list(panels()["ID dev"]) == ["SRNet", "BERT"]


def test_only_some_sets_or_stages_or_another_figure(swept, panels):
    assert list(panels("--split", "hans")) == ["OOD hans"]
    assert list(panels("--where", "stage=srnet")["ID dev"]) == ["srnet"]
    first, _ = panels("--metric", "nll", "--where", "seed=1")["ID dev"]["srnet"]
    assert first["mean"] == pytest.approx(1 - 0.72)


@pytest.mark.parametrize("kind", list(BEGINNINGS))
def test_the_extension_chooses_the_format_and_the_same_runs_give_the_same_bytes(swept, perform, work, kind):
    contents = []
    for name in ("a", "b"):
        done = perform("plot", "--out", f"{name}.{kind}", cwd=work)
        assert (done.code, done.out) == (0, f"{name}.{kind}: 2 panels\n")
        contents.append((work / f"{name}.{kind}").read_bytes())
    assert contents[0].startswith(BEGINNINGS[kind])
    assert contents[0] == contents[1]


def test_labels_with_dollars_and_unusual_letters_are_drawn_as_they_are(make_run, perform, work):
    make_run("runs/a", figure={"plot": {"$x$ θ_pt \\frac": "srnet"}})
    assert perform("plot", "--out", "a.svg", cwd=work).code == 0


def test_a_picture_is_as_wide_as_asked(swept, perform, work):
    assert perform("plot", "--width", "3.25", cwd=work).code == 0
    assert int.from_bytes((work / "plot.png").read_bytes()[16:20], "big") == 975  # 3.25 inches at 300 pixels


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--out", "a.gif"], "--out a.gif: the extension must be one of .png, .svg, .pdf (got '.gif')"),
        (["--out", "a"], "--out a: the extension must be one of .png, .svg, .pdf (got 'none')"),
        (["--out", "no/a.png"], "--out no/a.png: the directory no does not exist"),
        (["--split", "hans2"], "--split hans2: no run has a set named 'hans2'; did you mean 'hans'?"),
        (["--x", "epoch"], "--x epoch: no sparse stage has a number as its setting 'epoch'; did you mean 'epochs'?"),
        (["--kind", "curves"], "the directories of these runs have no training logs (stages/NAME/metrics.jsonl)"),
        (["--kind", "curves", "--x", "epochs"], "--x epochs: only the kind 'metric' has a choice of x"),
        (["--kind", "bias-groups"], "no run has figures named bias-groups/...; add the evaluator to the recipe: "),
        (["--line", "srnet"], "--line srnet: expected LABEL=STAGE or LABEL=STAGE,STAGE"),
        (["--line", "a=srnett"], "--line a=srnett: no run has the stage 'srnett'; did you mean 'srnet'?"),
        (["--where", "stage=full"], "no stage of these runs is sparse"),
        (["--where", "stage=none"], "--where stage=none: no stage matches; existing stages: full, srnet"),
        (["--metric", "accuracie"], "--metric accuracie: no run has the figure 'accuracie'; did you mean 'accuracy'?"),
    ],
)  # fmt: skip
def test_an_impossible_figure_is_refused_with_a_sentence(swept, call, args, message):
    done = call("plot", *args)
    assert done.code == 2
    assert f"error: {message}" in done.err


def test_two_results_at_the_same_place_of_a_named_line_are_refused(make_run, call):
    for epochs in (3, 5):
        make_run(f"runs/{epochs}", srnet__epochs=epochs)
    done = call("plot", "--line", "mask=srnet")
    assert (done.code, done.err.strip()) == (
        2,
        "error: --line: the line 'mask' has several results (stages.srnet.epochs: 3 and 5); choose one with --where",
    )


def test_a_damaged_log_is_an_error(swept, call):
    write_logs()
    Path("runs/1-0.4/stages/srnet/metrics.jsonl").write_text("{")
    done = call("plot", "--kind", "curves")
    assert done.code == 1
    assert "metrics.jsonl: the log cannot be read" in done.err


def test_contradictions_are_reported(make_run, call):
    make_run("runs/a")
    make_run("runs/b", figures={"full": (0.9, 0.5), "srnet": (0.8, 0.6)}, name="other")
    assert "other figures, such as in runs/a and runs/b; the first counts" in call("plot", "--json").err


def test_without_matplotlib_one_sentence_says_what_to_install(swept, work):
    code = (
        "import sys; sys.modules['matplotlib'] = None; import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'matplotlib' else find(name, *a)\n"
        "from srframework.cli import main; sys.argv = ['srframework', *sys.argv[1:]]; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "plot"], cwd=work, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "error: drawing needs matplotlib, which is not installed; pip install 'srframework[plot]'\n"
    done = subprocess.run(
        [sys.executable, "-c", code, "plot", "--json"],
        cwd=work,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_numbers_load_neither_matplotlib_nor_torch(swept, work):
    code = (
        "import sys; from srframework.cli import cli\n"
        "cli.main(sys.argv[1:], standalone_mode=False, obj={})\n"
        "print([name for name in ('matplotlib', 'torch', 'transformers') if name in sys.modules], file=sys.stderr)"
    )
    for args in (["--help"], ["plot", "--help"], ["paper", "--list"], ["plot", "--json"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *args], cwd=work, env=os.environ, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "[]\n"), args
