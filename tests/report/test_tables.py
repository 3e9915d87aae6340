from __future__ import annotations

import io

import pytest
from rich.console import Console

from srframework.contracts import Figure
from srframework.report.tables import bias_table, results_table
from srframework.run.results import Figures, Measured, StageAndLevels
from srframework.training.chosen import Chosen

ACCURACY, F1 = (Figure(name, "fraction", "higher", "A figure.") for name in ("accuracy", "f1"))


def figures(sparsity: float, id_metric: float, **ood: float) -> Figures:
    return Figures(sparsity, id_metric, ood, {}, {})


@pytest.fixture
def printed():
    """The cells of the printed table, row by row, without the lines."""

    def printed(*results: StageAndLevels) -> list[list[str]]:
        text = io.StringIO()
        Console(file=text, width=200).print(results_table([result.to_json() for result in results]))
        rows = [line.replace("┃", "│").split("│") for line in text.getvalue().splitlines()]
        return [[cell.strip() for cell in row if row and cell.strip() != ""] for row in rows if len(row) > 1]

    return printed


def test_the_table_is_stage_by_sparsity_and_metrics_in_per_cent_with_the_change_against_the_full_model(printed):
    full = Measured(figures(0.0, 0.9, reversed=0.5667)).of_stage("full", "train", ACCURACY)
    pruned = Measured(figures(0.7, 1.0, reversed=0.48765)).of_stage("srnet", "prune", ACCURACY)
    assert printed(full, pruned) == [
        ["stage", "sparsity %", "ID accuracy % ↑", "OOD reversed accuracy % ↑"],
        ["full", "0.0", "90.0", "56.7"],
        ["srnet", "70.0", "100.0 (+10.0)", "48.8 (-7.9)"],
    ]


def test_the_caption_tells_among_how_many_checkpoints_a_result_is_the_best():
    full = Measured(figures(0.0, 0.9)).of_stage("full", "train", ACCURACY, Chosen(7, 10, 10, 5))
    imp = Measured(figures(0.7, 0.8)).of_stage("imp", "prune", ACCURACY, Chosen(10, 10, 10, 0))
    srnet = Measured(figures(0.7, 0.8)).of_stage("srnet", "prune", ACCURACY, Chosen(9, 10, 10, 3))
    _, *lines = results_table([each.to_json() for each in (full, imp, srnet)]).caption.splitlines()
    assert lines == [
        "the result is the checkpoint with the best ID metric on dev; number of checkpoints: full 5, srnet 3"
    ]
    assert len(results_table([imp.to_json()]).caption.splitlines()) == 1


def test_a_figure_in_nats_has_its_unit_and_direction(printed):
    loss = Figure("loss", "nats", "lower", "A loss.")
    full = Measured(figures(0.0, 0.69314, hans=12.0)).of_stage("full", "train", loss)
    pruned = Measured(figures(0.7, 0.5, hans=12.5)).of_stage("srnet", "prune", loss)
    assert printed(full, pruned) == [
        ["stage", "sparsity %", "ID loss (nats) ↓", "OOD hans loss (nats) ↓"],
        ["full", "0.0", "0.6931", "12"],
        ["srnet", "70.0", "0.5 (-0.1931)", "12.5 (+0.5)"],
    ]


def test_without_a_full_model_there_is_no_change(printed):
    ticket = Measured(figures(0.7, 0.9)).of_stage("ticket", "train", ACCURACY)
    pruned = Measured(figures(0.7, 1.0)).of_stage("srnet", "prune", ACCURACY)
    assert printed(ticket, pruned)[1:] == [["ticket", "70.0", "90.0"], ["srnet", "70.0", "100.0"]]


def test_the_levels_inside_a_stage_come_before_its_end_and_the_last_once(printed):
    levels = {"0.1": figures(0.1, 0.8), "0.2": figures(0.2, 0.7)}
    assert printed(Measured(figures(0.2, 0.7), levels).of_stage("imp", "prune", F1)) == [
        ["stage", "sparsity %", "ID f1 % ↑"],
        ["imp@0.1", "10.0", "80.0"],
        ["imp", "20.0", "70.0"],
    ]


def test_a_last_level_with_other_figures_than_the_end_has_a_row(printed):
    found = printed(Measured(figures(0.2, 0.75), {"0.2": figures(0.2, 0.7)}).of_stage("imp", "prune", F1))
    assert found[1:] == [["imp@0.2", "20.0", "70.0"], ["imp", "20.0", "75.0"]]


def test_every_ood_split_has_a_column_and_a_missing_figure_is_blank():
    first = Measured(figures(0.0, 0.5, hans=0.25)).of_stage("a", "train", ACCURACY)
    second = Measured(figures(0.0, 0.5, paws=0.75)).of_stage("b", "train", ACCURACY)
    table = results_table([first.to_json(), second.to_json()])
    assert [column.header for column in table.columns][3:] == ["OOD hans accuracy % ↑", "OOD paws accuracy % ↑"]
    assert [list(column.cells) for column in table.columns][3:] == [["25.0", ""], ["", "75.0"]]


def test_a_further_split_stands_between_id_and_ood():
    both = Figures(0.0, 0.5, {"hans": 0.25}, {"mismatched": 0.4}, {})
    table = results_table([Measured(both).of_stage("a", "train", ACCURACY).to_json()])
    assert [column.header for column in table.columns][2:] == [
        "ID accuracy % ↑",
        "mismatched accuracy % ↑",
        "OOD hans accuracy % ↑",
    ]
    assert [list(column.cells) for column in table.columns][2:] == [["50.0"], ["40.0"], ["25.0"]]


def test_at_80_columns_no_name_or_figure_is_cut():
    splits = {"paws-qqp-with-a-long-name": 0.25, "paws-wiki-with-a-long-name": 0.5}
    names = ("a-fine-tuned-network-with-a-rather-long-name", "subnetwork-found-by-mask-training")
    full, pruned = (Measured(figures(0.0, 0.5, **splits)).of_stage(name, "train", ACCURACY) for name in names)
    text = io.StringIO()
    Console(file=text, width=80).print(results_table([full.to_json(), pruned.to_json()], 80))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[4:8] == [
        names[1],
        "    sparsity 0.0 %, ID accuracy 50.0 % (+0.0),",
        "    OOD paws-qqp-with-a-long-name accuracy 25.0 % (+0.0),",
        "    OOD paws-wiki-with-a-long-name accuracy 50.0 % (+0.0)",
    ]


def cells(table):
    """The headings and the cells of a table, row by row."""
    columns = [[column.header, *column.cells] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def test_the_bias_model_alone_has_a_table():
    splits = {"train": {"accuracy": 0.625, "confidently_right": 0.25, "confidently_wrong": 0.0}}
    assert cells(bias_table({"use": "bias-file", "confident_from": 0.8, "splits": splits})) == [
        ["bias-file", "accuracy %", "right and confident %"],
        ["train", "62.5", "25.0"],
    ]


def test_the_bias_model_is_told_of_merged_labels_where_there_are_such():
    merged = {"accuracy": 0.75, "confidently_right": 0.5, "confidently_wrong": 0.0}
    splits = {
        "train": {"accuracy": 0.5, "confidently_right": 0.0, "confidently_wrong": 0.0, "merged": merged},
        "hans": {"accuracy": 1 / 3, "confidently_right": 1.0, "confidently_wrong": 0.0},
    }
    table = bias_table({"use": "bias-logistic", "confident_from": 0.8, "splits": splits})
    assert cells(table)[1:] == [
        ["train", "50.0", "0.0"],
        ["train, labels merged", "75.0", "50.0"],
        ["hans", "33.3", "100.0"],
    ]
    assert table.caption == "the bias model alone; right and confident: right, with a probability of 80 % or more"
