"""The [figure] table of a recipe: its problems, and the definitions and numbers of the paper."""

from __future__ import annotations

import re

import pytest
import tomli

from srframework.recipe.model import shipped
from srframework.report.figure_table import Source, check_table, definitions
from srframework.report.paper import published


def problems(figure, stages=("full", "mask")):
    found = []
    data = {"figure": figure, "stages": [{"name": name} for name in stages]}
    check_table(data, lambda key, message, near=None: found.append((".".join(key), message, near)))
    return found


def test_a_line_is_a_stage_several_stages_or_a_stage_of_some_runs():
    assert Source.parse("a") == Source(("a",))
    assert Source.parse(["a", "b"]) == Source(("a", "b"))
    nested = Source.parse(
        {"stage": "a", "where": {"stages": {"a": {"weights": "full@5"}}, "backbone": {"use": "tiny"}}}
    )
    assert nested == Source(("a",), {"stages.a.weights": "full@5", "backbone.use": "tiny"})
    assert nested.meets({"stages.a.weights": "full@5", "backbone.use": "srframework/tiny"})
    assert not nested.meets({"stages.a.weights": "full", "backbone.use": "srframework/tiny"})
    assert not nested.meets({"backbone.use": "srframework/tiny"})


def test_a_right_table_has_no_problems():
    assert problems({"fig-2": {"mask std": "mask", "full std": "full"}, "plot": {"anything": ["mask"]}}) == []


@pytest.mark.parametrize(
    ("figure", "key", "message"),
    [
        ({"fig-22": {}}, "figure.fig-22", r"no figure has this name; did you mean 'fig-2'\? Choices: fig-2, fig-3, .*"),
        ({"fig-7": {}}, "figure.fig-7", "fig-7 has the lines of fig-11; name them there"),
        ({"fig-2": "full"}, "figure.fig-2", "expected a table of lines and their stages, got 'full'"),
        ({"fig-2": {"mask-std": "mask"}}, "figure.fig-2.mask-std", "fig-2 has no line 'mask-std'; .*"),
        ({"plot": {"a": 3}}, "figure.plot.a", "expected a stage, an array of stages, or a table .*; got 3"),
        ({"plot": {"a": []}}, "figure.plot.a", r"expected a stage, .*; got \[\]"),
        ({"plot": {"a": {"stages": "mask"}}}, "figure.plot.a", "expected a stage, .*"),
        ({"plot": {"a": "masks"}}, "figure.plot.a", r"no stage is named 'masks'; did you mean 'mask'\? .*full, mask"),
    ],
)  # fmt: skip
def test_a_problem_names_the_key_and_the_choices(figure, key, message):
    ((found_key, found_message, _),) = problems(figure)
    assert found_key == key
    assert re.fullmatch(message, found_message)


def test_every_line_of_the_paper_is_in_a_recipe():
    listed = {}
    for path in shipped().values():
        for figure, lines in tomli.loads(path.read_text(encoding="utf-8")).get("figure", {}).items():
            listed.setdefault(figure, set()).update(lines)
    for name, of in definitions().items():
        assert {label for label, _ in of.labels} == listed[of.owner], name


def test_the_figures_have_the_panels_and_lines_of_the_paper():
    sets = {name: len(of.sets) for name, of in definitions().items()}
    assert sets == {f"fig-{n}": 2 if n in (6, 7) else 8 for n in range(2, 12)} | {"table-5": 8, "table-6": 2}
    assert [len(of.lines) for of in definitions().values()] == [4, 3, 4, 3, 3, 6, 2, 4, 3, 6, 5, 10]


def test_the_published_numbers_are_those_of_the_paper_and_belong_to_lines_and_sets():
    for figure, lines in published().items():
        of = definitions()[figure]
        for label, columns in lines.items():
            assert label in of.lines
            assert columns.keys() <= {each.name for each in of.sets}
    table = published()["table-5"]
    assert [len(columns) for columns in table.values()] == [8] * 5
    # Read off the table of the paper: one number of each column and each row.
    assert (table["fixed, hard"]["FEVER"].mean, table["fixed, hard"]["FEVER"].sd) == pytest.approx((0.4956, 0.0509))
    assert (table["0.2 → 0.9"]["QQP"].mean, table["0.2 → 0.9"]["QQP"].sd) == pytest.approx((0.7579, 0.0039))
    assert (table["0.7 → 0.9"]["Symm2"].mean, table["0.7 → 0.9"]["Symm2"].sd) == pytest.approx((0.5817, 0.0033))
    large = published()["table-6"]["BERT-large, mask 0.7"]
    assert (large["MNLI"].mean, large["MNLI"].sd) == pytest.approx((0.7754, 0.0610))
    assert (large["HANS"].mean, large["HANS"].sd) == pytest.approx((0.6019, 0.0756))
