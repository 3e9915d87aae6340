"""`srframework paper`, on runs of the recipes under paper/ with figures that are made up."""

from __future__ import annotations

import json
from pathlib import Path

import paper_runs
import pytest


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Runs on NLI of the recipes of Fig. 2, 3 (without imp), 10 and 11 and of both tables; two seeds."""
    path = tmp_path_factory.mktemp("paper")
    names = ("full-models", "section-4.2-from-std", "section-4.5", "section-5.1", "section-5.2-table-5", "table-6")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        paper_runs.write(Path("runs"), [f"paper/{name}" for name in names])
    return path


@pytest.fixture
def paper(place, perform):
    def paper(*args):
        return perform("paper", *args, cwd=place)

    return paper


def lines(done):
    assert done.code == 0, done.err
    found = json.loads(done.out)["panels"]
    return {panel["set"]: {line["label"]: line["points"] for line in panel["lines"]} for panel in found}


def test_a_figure_has_the_lines_of_several_recipes_as_mean_and_sd(paper):
    found = lines(paper("fig-2", "--json"))
    assert list(found) == ["MNLI", "HANS", "QQP", "PAWS-qqp", "PAWS-wiki", "FEVER", "Symm1", "Symm2"]
    assert list(found["HANS"]) == ["mask std", "mask poe", "imp std", "imp poe", "full std"]
    assert [p["x"] for p in found["HANS"]["mask poe"]] == [0.2, 0.5, 0.7, 0.9]
    assert [p["x"] for p in found["HANS"]["imp poe"]] == paper_runs.LEVELS
    # 0.55 + 0.1 - 0.05 * 0.9 + 0.01 * 1.5 + 0.001 * (8 % 7)
    assert found["HANS"]["mask poe"][-1]["mean"] == pytest.approx(0.621)
    assert found["HANS"]["mask poe"][-1]["sd"] == pytest.approx(0.01 / 2**0.5)
    assert len(found["HANS"]["full std"]) == 1


def test_what_has_not_been_run_is_there_and_said_with_its_recipes(paper, place):
    done = paper("fig-3")
    assert done.code == 0
    assert done.out == "fig-3.png: 8 panels; not run: QQP, PAWS-qqp, PAWS-wiki, FEVER, Symm1, Symm2\n"
    assert (
        "fig-3: not run: imp poe, of full poe; mask poe, of full poe; recipes with lines of fig-3: paper/full-models, "
        "paper/section-4.2-from-poe, paper/section-4.2-from-std\n"
    ) in done.err
    assert (place / "fig-3.png").read_bytes().startswith(b"\x89PNG")
    found = lines(paper("fig-3", "--json"))
    assert found["MNLI"]["imp poe, of full poe"] == []
    assert found["FEVER"] == {label: [] for label in found["MNLI"]}


def test_the_lines_of_fig_11_are_training_curves_from_each_start(paper):
    done = paper("fig-7", "--json")
    found = lines(done)
    assert list(found) == ["MNLI", "HANS"]
    starts = [label for label, points in found["HANS"].items() if points]
    assert starts[-5:] == [
        "from step 5,000",
        "from step 10,000",
        "from step 15,000",
        "from step 20,000",
        "from the end",
    ]
    assert [p["x"] for p in found["HANS"]["from the end"]] == [1000.0, 2000.0, 3000.0, 4000.0, 5000.0]


def test_a_setting_that_changes_along_a_line_is_a_note(paper):
    assert "note: of θ_ft: other settings change with x: stages.mask-full.epochs" in paper("fig-6", "--json").err


def test_numbers_that_the_paper_gives_in_words_stand_beside_a_figure(paper):
    rows = [line.split("  ") for line in paper("fig-6").out.splitlines()[2:-1]]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["of θ_ft", "0.2", "HANS", "nearly 100", "55.70 ± 0.71", "2"],
        ["0.5", "HANS", "nearly 100", "54.20 ± 0.71", "2"],
        ["0.7", "HANS", "nearly 100", "53.20 ± 0.71", "2"],
        ["of θ_pt, fine-tuned in isolation", "0.5", "HANS", "nearly 90", "54.10 ± 0.71", "2"],
    ]


def test_a_table_sets_paper_ours_difference_and_n_side_by_side(paper):
    done = paper("table-5", "--json")
    rows = {(row["line"], row["set"]): row for row in json.loads(done.out)["rows"]}
    assert len(rows) == 40
    row = rows["0.7 → 0.9", "HANS"]
    # 0.55 + 0.1 - 0.05 * 0.9 + 0.01 * 1.5 + 0.001 * (10 % 7)
    assert row["ours"]["mean"] == pytest.approx(0.623)
    assert row["paper"] == {"mean": pytest.approx(0.5672), "sd": pytest.approx(0.0075), "text": ""}
    assert (row["difference"], row["n"]) == (pytest.approx(0.0558), 2)
    missing = rows["fixed, hard", "FEVER"]
    assert (missing["ours"], missing["difference"], missing["n"]) == (None, None, 0)
    assert missing["paper"]["mean"] == pytest.approx(0.4956)
    text = [line.split() for line in paper("table-5").out.splitlines()]
    assert ["FEVER", "49.56", "±", "5.09", "not", "run", "0"] in text
    assert ["HANS", "56.72", "±", "0.75", "62.30", "±", "0.71", "+5.58", "2"] in text


def test_the_rows_of_table_6_belong_to_one_backbone_each(paper):
    rows = json.loads(paper("table-6", "--json").out)["rows"]
    assert [row["n"] for row in rows] == [2] * 20
    rows = json.loads(paper("table-6", "--where", "backbone.use=roberta-base", "--json").out)["rows"]
    assert [row["n"] for row in rows] == [2] * 10 + [0] * 10


def test_two_settings_on_one_line_are_refused(paper, place, perform):
    other = place / "other"
    if not other.exists():
        for run in (place / "runs" / "paper-section-5.2-table-5").iterdir():
            copy = other / run.name
            copy.mkdir(parents=True)
            text = (run / "summary.json").read_text()
            (copy / "summary.json").write_text(text.replace('"learning_rate": 5e-05', '"learning_rate": 1e-05'))
            (copy / "run.json").write_text((run / "run.json").read_text())
    done = paper("table-5", "runs/paper-section-5.2-table-5", "other")
    assert done.code == 2
    assert "error: table-5: the line 'fixed, hard' has several results (" in done.err
    assert "learning_rate: 1e-05 and 5e-05" in done.err
    assert paper("table-5", "runs", "other", "--where", "stages.fixed-hard.learning_rate=1e-5").code == 0


def test_a_data_set_that_the_paper_does_not_have_gets_panels_after_those_of_the_paper(make_run, call):
    make_run("runs/a", figure={"fig-2": {"mask poe": "srnet", "full std": "full"}})
    found = lines(call("paper", "fig-2", "--json"))
    assert list(found)[-3:] == ["Symm2", "synthetic: ID dev", "synthetic: OOD hans"]
    assert [p["mean"] for p in found["synthetic: OOD hans"]["mask poe"]] == [0.7]


def test_the_list_names_every_figure_and_its_recipes(call):
    rows = {row["name"]: row for row in json.loads(call("paper", "--list", "--json").out)}
    assert list(rows) == [*(f"fig-{n}" for n in range(2, 12)), "table-5", "table-6"]
    assert rows["fig-2"]["recipes"] == ["paper/full-models", "paper/section-4.2-from-std"]
    assert "fig-2 " in call("paper", "--list").out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "expected the name of a figure or table, such as fig-2 (see `srframework paper --list`)"),
        (["fig-1"], "the paper has no figure or table 'fig-1'; did you mean 'fig-"),
        (["table-5", "--out", "a.png"], "--out a.png: table-5 is a table; only figures are drawn"),
        (["fig-2", "--out", "a.txt"], "--out a.txt: the extension must be one of .png, .svg, .pdf (got '.txt')"),
        (["fig-2", "nowhere"], "nowhere: expected a directory with runs; there is no such directory"),
    ],
)
def test_an_impossible_request_is_refused_with_a_sentence(paper, args, message):
    done = paper(*args)
    assert done.code == 2
    assert f"error: {message}" in done.err
