from __future__ import annotations

import json
from importlib.metadata import version

import pytest

from srframework.component import KINDS
from srframework.recipe.model import shipped


def test_list_prints_a_line_for_each_component_under_its_kind(call):
    done = call("list")
    assert (done.code, done.err) == (0, "")
    groups = [group.splitlines() for group in done.out.split("\n\n")]
    assert [lines[0] for lines in groups] == list(KINDS)
    pruners = next(lines for lines in groups if lines[0] == "pruner")
    assert "  mask    Mask training: the weights are frozen; a score for each weight is trained." in pruners
    assert sum(len(lines) - 1 for lines in groups) == len(json.loads(call("list", "--json").out))
    assert version("srframework") not in done.out


def test_the_verbose_list_has_distribution_version_and_source(call):
    lines = call("list", "debiaser", "--verbose").out.splitlines()
    origin = f"[srframework {version('srframework')}; source: §3.3]"
    assert f"  std            Standard training: cross-entropy, without debiasing. {origin}" in lines


def test_list_json_has_the_agreed_keys(call):
    rows = json.loads(call("list", "--json").out)
    assert all(set(row) == {"kind", "name", "summary", "dist", "version", "source"} for row in rows)
    assert {
        "kind": "debiaser",
        "name": "std",
        "summary": "Standard training: cross-entropy, without debiasing.",
        "dist": "srframework",
        "version": version("srframework"),
        "source": "§3.3",
    } in rows


def test_list_is_in_the_order_of_kinds_and_names(call):
    rows = [(row["kind"], row["name"]) for row in json.loads(call("list", "--json").out)]
    assert rows == sorted(rows, key=lambda row: (list(KINDS).index(row[0]), row[1]))


@pytest.mark.parametrize(("kind", "title"), KINDS.items())
def test_a_kind_is_listed_by_its_singular_and_by_its_plural(call, kind, title):
    one, many = call("list", kind, "--json"), call("list", f"{title.replace(' ', '-')}s", "--json")
    assert one == many
    assert {row["kind"] for row in json.loads(one.out)} == {kind}


def test_an_unknown_kind_is_refused_with_the_kinds(call):
    done = call("list", "prunner")
    assert (done.code, done.out) == (2, "")
    assert "no kind is named 'prunner'; did you mean 'pruner'? Choices: backbone, pruner, debiaser" in done.err


def test_a_table_in_a_pipe_is_as_wide_as_it_needs_to_be(start):
    done = start("list", COLUMNS="20")
    assert (
        "A sequence classifier of a known structure: a local directory, or a name on the Hugging Face hub." in done.out
    )


def test_plugins_prints_a_row_for_each_entry_point(call):
    done = call("plugins")
    assert (done.code, done.err) == (0, "")
    rows = {line.split()[0]: line.split() for line in done.out.splitlines()}
    expected = ["pruners", "srframework", version("srframework"), "(srf_pruners)", "loaded,", "5", "components"]
    assert rows["pruners"] == expected


def test_recipes_are_those_that_are_shipped(call):
    rows = json.loads(call("recipes", "--json").out)
    assert {row["recipe"]: row["path"] for row in rows} == {name: str(path) for name, path in shipped().items()}
    table = call("recipes")
    assert (table.code, table.err) == (0, "")
    lines = table.out.splitlines()
    assert rows[0]["recipe"] == "quickstart"
    for row in rows:
        assert row["summary"]
        assert 0 < len(row["needs"]) <= 80 - 31, "it stands on one line with the longest name"
        place = next(
            number for number, line in enumerate(lines) if line.split() == [row["recipe"], *row["needs"].split()]
        )
        assert lines[place + 1].strip() == row["summary"]
    assert lines[-1] == "Start with `srframework run quickstart`, which needs no download and no GPU."
