from __future__ import annotations

from typing import NamedTuple

import pytest
from pydantic import BaseModel, Field, ValidationError, create_model
from typing_extensions import TypedDict

from srframework.component import Component, InputFile, Options, StageReference, may_refer, references


class Some(Options):
    """Of a component."""

    sparsity: float = Field(0.5, ge=0, lt=1, description="Fraction to prune, in [0, 1).")
    names: tuple[str, ...] = Field((), strict=False, description="Names.")


class Undescribed(Options):
    """With a field that nobody explains."""

    good: int = Field(1, description="Good.")
    bad: int = 1
    worse: int = 2


class NotOptions:
    pass


def component(**changes: object) -> Component:
    fields = {"name": "some", "options": Some, "factory": "m:C", "summary": "Some.", "source": "§1"}
    return Component(**(fields | changes))


@pytest.mark.parametrize("name", ["a", "imp-rw", "bert_base.v1", "0"])
def test_lower_case_names_are_taken(name):
    assert component(name=name).name == name


@pytest.mark.parametrize("name", ["", "Mask", "a/b", "a b", "-a", "a-", "a--b", "é", None, 3, "a\n"])
def test_any_other_name_is_refused_with_what_was_given(name):
    with pytest.raises(ValueError, match="expected lower case letters and digits joined by '-', got ") as caught:
        component(name=name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": NotOptions}, "component 'some': options: expected a subclass of Options, got <class"),
        ({"options": Some()}, "component 'some': options: expected a subclass of Options, got Some("),
        ({"options": Undescribed}, "component 'some': options without a description: bad, worse"),
        ({"factory": "module.Class"}, "component 'some': factory: expected 'module:Class', got 'module.Class'"),
        ({"factory": None}, "component 'some': factory: expected 'module:Class', got None"),
        ({"summary": None}, "component 'some': summary: expected a string, got None"),
        ({"source": 2022}, "component 'some': source: expected a string, got 2022"),
        ({"requires": "bias"}, "component 'some': requires: expected a list of names, got 'bias'"),
        ({"provides": None}, "component 'some': provides: expected a list of names, got None"),
    ],
)
def test_a_field_of_another_form_is_refused_by_name(changes, message):
    with pytest.raises(ValueError, match="component 'some'") as caught:
        component(**changes)
    assert str(caught.value).startswith(message)


def test_needs_are_names_or_a_function_of_the_options():
    fixed = component(requires=["bias"], provides=("x", "y"))
    free = component(
        requires=lambda options: [f"level-{options.sparsity}"], provides=lambda options: iter(options.names)
    )
    assert (fixed.required(Some()), fixed.provided(Some())) == (("bias",), ("x", "y"))
    assert (free.required(Some(sparsity=0.25)), free.provided(Some(names=["a"]))) == (("level-0.25",), ("a",))


def test_build_calls_a_class_or_what_the_string_names_with_the_options():
    options = Some()
    assert component(factory=lambda given: [given]).build(options) == [options]
    assert component(factory="builtins:id").build(options) == id(options)


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ({"sparsity": "0.5"}, "float_type"),
        ({"sparsity": 1.0}, "less_than"),
        ({"sparsity": float("nan")}, "finite_number"),
        ({"sparsty": 0.5}, "extra_forbidden"),
        ({"names": ["a", 1]}, "string_type"),
    ],
)
def test_options_are_strict(table, kind):
    with pytest.raises(ValidationError) as caught:
        Some.model_validate(table)
    assert [error["type"] for error in caught.value.errors()] == [kind]


def test_options_are_frozen_and_take_an_array_for_a_tuple():
    options = Some.model_validate({"names": ["a", "b"], "sparsity": 0})
    assert options.names == ("a", "b")
    with pytest.raises(ValidationError, match="frozen"):
        options.sparsity = 0.1


class Reads(Options):
    """With a file."""

    path: InputFile = Field(description="A file.")


def test_an_input_file_exists_when_the_options_are_made(tmp_path):
    there = tmp_path / "there"
    there.touch()
    assert Reads(path=str(there)).path == str(there)
    with pytest.raises(ValidationError, match=r"a file that exists, relative to .* \(no such file\)"):
        Reads(path=str(tmp_path / "gone"))
    with pytest.raises(ValidationError, match=r"a file that exists, relative to .* \(a directory\)"):
        Reads(path=str(tmp_path))


class Inner(BaseModel):
    """A table inside options."""

    at: StageReference


class Pair(TypedDict):
    """A typed table inside options."""

    first: StageReference
    second: int


class Row(NamedTuple):
    """A named tuple inside options."""

    first: StageReference
    second: int


class Refers(Options):
    """With references in every place that pydantic has."""

    one: StageReference | None = Field(None, description="Optional.")
    either: float | StageReference = Field(1.0, description="In a union.")
    several: tuple[StageReference, ...] = Field((), strict=False, description="In a sequence.")
    table: dict[str, Inner] = Field({}, description="In a nested model.")
    group: frozenset[StageReference] = Field(frozenset(), strict=False, description="In a set.")
    shares: dict[StageReference, float] = Field({}, description="As the key of a table.")
    pair: Pair | None = Field(None, description="In a typed table.")
    rows: tuple[Row, ...] = Field((), strict=False, description="In named tuples.")


def test_a_stage_reference_is_found_wherever_it_is():
    options = Refers.model_validate(
        {
            "one": "a",
            "either": "b@3",
            "several": ["c", "a"],
            "table": {"x": {"at": "d"}},
            "group": ["f", "e"],
            "shares": {"g": 1.0, "h@0.5": 2.0},
            "pair": {"first": "i", "second": 1},
            "rows": [["j", 1]],
        }
    )
    assert list(references(options)) == [
        ("one", "a"),
        ("either", "b@3"),
        ("several.0", "c"),
        ("several.1", "a"),
        ("table.x.at", "d"),
        ("group[0]", "e"),
        ("group[1]", "f"),
        ("shares[0]", "g"),
        ("shares[1]", "h@0.5"),
        ("pair.first", "i"),
        ("rows.0.0", "j"),
    ]
    assert list(references(Refers())) == []
    for name, field in Refers.model_fields.items():
        alone = create_model(name, __base__=Options, **{name: (field.annotation, field)})
        assert may_refer(alone), name
    assert not may_refer(Some)


def test_which_key_of_a_table_is_which_stage_counts():
    a, b = (Refers.model_validate({"shares": shares}) for shares in ({"g": 1.0, "h": 2.0}, {"h": 1.0, "g": 2.0}))
    assert list(references(a)) != list(references(b))
