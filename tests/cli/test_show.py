from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomli
from pydantic import Field

from srframework.cli.show import _options
from srframework.component import Options
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry

PRUNERS = "imp, imp-rw, mask, omp, random"
COMPONENTS = [f"{each.kind}/{each.name}" for each in Registry(discover())]


def test_show_prints_where_a_component_comes_from_and_its_options(call):
    done = call("show", "pruner/mask")
    assert (done.code, done.err) == (0, "")
    head, source, origin, _, *cards = done.out.splitlines()
    assert head == "pruner/mask: Mask training: the weights are frozen; a score for each weight is trained."
    assert source == "source: the paper (arXiv 2210.05211), §3.2.2, App. A.1.2; schedule: §5.2"
    assert origin.startswith("from: srframework ")
    assert origin.endswith(" (srf_pruners)")
    place = cards.index("sparsity  number in [0, 1)  default: 0.7")
    assert cards[place + 1] == "    Fraction of the entries to prune, in [0, 1); the final sparsity of the schedule."
    assert "refresh_every  integer in [1, ∞)  (unset)" in cards
    assert "    Prune the matrices of the classifier too. [§3.1]" in cards


def test_a_component_is_shown_by_its_name_alone_where_only_one_kind_has_it(call):
    assert call("show", "mask") == call("show", "pruner/mask")
    assert call("show", "srframework/mask").out == call("show", "pruner/mask").out
    assert call("show", "mask", "--toml").out == call("show", "pruner/mask", "--toml").out


def test_show_json_gives_type_range_default_and_source_of_each_option(call):
    shown = json.loads(call("show", "pruner/mask", "--json").out)
    assert {key: shown[key] for key in ("kind", "name", "dist")} == {
        "kind": "pruner",
        "name": "mask",
        "dist": "srframework",
    }
    options = {option.pop("option"): option for option in shown["options"]}
    assert list(options)[:4] == ["classifier", "pooler", "scope", "pattern"]
    assert [options[name]["range"] for name in ("sparsity", "refresh_every")] == ["[0, 1)", "[1, ∞)"]
    assert options["alpha"] == {
        "type": "number",
        "range": "(1, 1e6]",
        "default": 2.0,
        "required": False,
        "source": "App. A.1.2",
        "description": "Initial score of a kept entry, as a multiple of φ, in (1, 1e6]; for hard scores only.",
    }
    assert (options["pooler"]["source"], options["pooler"]["type"]) == ("released code", "boolean")


def test_a_component_without_options_says_so(call):
    assert call("show", "debiaser/std").out.endswith("This component has no options.\n")


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_can_be_shown_in_every_form(call, component):
    kind, name = component.split("/")
    for form in ([], ["--json"], *([["--toml"]] if kind != "launcher" else [])):
        done = call("show", component, *form)
        assert (done.code, done.err) == (0, "")
    if kind == "launcher":
        return  # no recipe has a table for one
    place = {"pruner": "stages.pruner", "debiaser": "stages.loss", "evaluator": "evaluators"}.get(kind, kind)
    # as a user does: at the end of a recipe, after the table of a stage
    table = tomli.loads(f"[[stages]]\nname = 'last'\n{done.out}")
    for key in place.split("."):
        table = table[-1][key] if isinstance(table, list) else table[key]
    assert (table[-1] if isinstance(table, list) else table)["use"] == name


class Inner(Options):
    """Of a table in a table."""

    size: int = Field(description="Size; at least 1.", ge=1)


class Every(Options):
    """One option of each form."""

    word: str = Field("a", description="A word.", json_schema_extra={"source": "§9"})
    share: float | None = Field(None, gt=0, le=1, description="A share.")
    names: tuple[str, ...] = Field(("a",), strict=False, description="Names.")
    inner: Inner = Field(description="A table.")
    inners: dict[str, Inner] = Field({}, description="Tables.")


def test_options_of_nested_tables_follow_under_dotted_names():
    rows = {row.pop("option"): row for row in _options(Every, "§1")}
    assert {
        name: (row["type"], row["range"], row["default"], row["required"], row["source"]) for name, row in rows.items()
    } == {
        "word": ("string", "", "a", False, "§9"),
        "share": ("number", "(0, 1]", None, False, "§1"),
        "names": ("array of strings", "", ["a"], False, "§1"),
        "inner": ("table", "", None, True, "§1"),
        "inner.size": ("integer", "[1, ∞)", None, True, "§1"),
        "inners": ("table of tables", "", {}, False, "§1"),
        "inners.NAME.size": ("integer", "[1, ∞)", None, True, "§1"),
    }


def test_the_toml_of_a_component_can_be_pasted_into_a_recipe(call, work):
    stage = '[[stages]]\nname = "a"\nop = "train"\nloss = "std"\n'
    tables = call("show", "backbone/tiny", "--toml").out + call("show", "dataset/synthetic", "--toml").out
    Path("pasted.toml").write_text(f'name = "pasted"\nschema = 1\n{tables}{stage}', encoding="utf-8")
    assert call("validate", "pasted.toml").out == "pasted.toml: valid\n"


def test_the_toml_of_an_option_without_a_default_is_a_comment(call):
    lines = call("show", "backbone/encoder", "--toml").out.splitlines()
    assert lines[:2] == ["[backbone]", 'use = "encoder"']
    assert "# path = (required)  # string" in lines
    assert "# dropout = (unset)  # number" in lines


@pytest.mark.parametrize(
    ("component", "message"),
    [
        ("pruner/msk", f"error: no pruner is named 'msk'; did you mean 'mask'? Choices: {PRUNERS}"),
        (
            "prunner/mask",
            "error: no component is named 'prunner/mask' (see `srframework list`); did you mean 'pruner/mask'?",
        ),
        ("msk", "error: no component is named 'msk' (see `srframework list`); did you mean 'mask'?"),
        ("pruner", "error: pruner is a kind; expected NAME or KIND/NAME (see `srframework list pruner`)"),
        ("pruner/", f"error: no pruner is named ''; choices: {PRUNERS}"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_the_choices(call, component, message):
    done = call("show", component)
    assert (done.code, done.out, done.err) == (2, "", message + "\n")
