"""Variants and cells of a sweep, as overrides of a document."""

from __future__ import annotations

from pathlib import Path

import pytest
from document_text import RECIPE

from srframework.errors import RecipeError
from srframework.recipe.document import Document

VARIANTS = """\

[variants.nested]
name = "y"
[variants.nested.training]
epochs = 5
[variants.nested.stages.srnet.pruner]
sparsity = 0.9

[variants.dotted]
training.epochs = 5
stages.srnet.pruner.sparsity = 0.9
name = "y"

[variants.quoted]
"name" = "y"
"training.epochs" = 5
"stages.srnet.pruner.sparsity" = 0.9

[variants.other]
stages.srnet.pruner = { use = "imp", step = 0.1 }
stages.1.last = []

[variants.wrong]
"stages.srnt.last" = 3
name.x = 1
stages.full.loss = {}
"""


@pytest.mark.parametrize("variant", ["nested", "dotted", "quoted"])
def test_a_variant_overrides_however_its_keys_are_written(document, variant):
    changed = document(RECIPE + VARIANTS, f"variant={variant}")
    assert changed.data["name"] == "y"
    assert changed.data["training"] == {"epochs": 5, "texts": ["a", "b"]}
    assert changed.data["stages"][1]["pruner"] == {"use": "mask", "sparsity": 0.9}


def test_a_variant_is_chosen_in_the_file_or_else_none_is(document):
    chosen = document('variant = "dotted"\n' + RECIPE + VARIANTS)
    assert (chosen.data["variant"], chosen.data["name"]) == ("dotted", "y")
    assert document(RECIPE + VARIANTS).data["name"] == "x"


def test_a_table_with_use_in_a_variant_replaces_the_component_and_other_values_the_value(document):
    changed = document(RECIPE + VARIANTS, "variant=other")
    assert changed.data["stages"][1]["pruner"] == {"use": "imp", "step": 0.1}
    assert changed.data["stages"][1]["last"] == []
    assert changed.data["variants"]["other"]["stages"]["srnet"]["pruner"] == {"use": "imp", "step": 0.1}


def test_what_is_set_inside_a_value_of_a_variant_leaves_the_variant_as_it_is(document):
    changed = document(RECIPE + VARIANTS, "variant=other", "stages.srnet.pruner.step=0.2")
    assert changed.data["stages"][1]["pruner"] == {"use": "imp", "step": 0.2}
    assert changed.data["variants"]["other"]["stages"]["srnet"]["pruner"] == {"use": "imp", "step": 0.1}


def test_an_override_beats_the_variant_wherever_it_stands_on_the_command_line(document):
    for overrides in (["variant=dotted", "training.epochs=9"], ["training.epochs=9", "variant=dotted"]):
        changed = document(RECIPE + VARIANTS, *overrides)
        assert changed.data["training"]["epochs"] == 9
        assert changed.data["name"] == "y"
        assert changed.where(("training", "epochs")) == "--set training.epochs=9"


def test_the_last_variant_on_the_command_line_beats_that_of_the_file(document):
    changed = document('variant = "wrong"\n' + RECIPE + VARIANTS, "variant=wrong", "variant=other")
    assert changed.data["stages"][1]["last"] == []
    assert changed.data["name"] == "x"


@pytest.mark.parametrize(
    ("variant", "key", "line"),
    [
        ("nested", ("name",), 24),
        ("nested", ("training", "epochs"), 26),
        ("nested", ("stages", 1, "pruner", "sparsity"), 28),
        ("dotted", ("stages", 1, "pruner", "sparsity"), 32),
        ("quoted", ("stages", 1, "pruner", "sparsity"), 38),
        ("quoted", ("stages", 1, "pruner", "use"), 16),
        ("other", ("stages", 1, "pruner", "step"), 41),
        ("other", ("stages", 1, "pruner", "missing"), 41),
    ],
)
def test_what_a_variant_set_stands_on_the_line_of_the_variant(document, variant, key, line):
    assert document(RECIPE + VARIANTS, f"variant={variant}").where(key) == f"r.toml:{line}"


def test_what_an_override_replaces_stands_at_the_override_to_its_depths(document):
    changed = document(RECIPE + VARIANTS, "variant=dotted", "stages.srnet.pruner={ sparsity = 2 }")
    assert changed.where(("stages", 1, "pruner", "sparsity")) == "--set stages.srnet.pruner={ sparsity = 2 }"


def test_every_key_of_a_variant_that_names_no_place_is_reported_with_its_line(refused):
    assert refused(RECIPE + VARIANTS, "variant=wrong", "stages.x.y=1") == [
        "r.toml:45: stages.srnt.last: no stage is named 'srnt'; did you mean 'srnet'? Choices: full, srnet",
        "r.toml:46: name.x: name is a value ('x'), not a table",
        "--set stages.x.y=1: stages.x.y: no stage is named 'x'; choices: full, srnet",
    ]


@pytest.mark.parametrize(
    ("content", "variant", "message"),
    [
        (
            RECIPE + VARIANTS,
            "doted",
            "no variant is named 'doted'; did you mean 'dotted'? Choices: nested, dotted, quoted, other, wrong",
        ),
        (RECIPE + VARIANTS, "3", "no variant is named 3; choices: nested, dotted, quoted, other, wrong"),
        (RECIPE, "dotted", "no variant is named 'dotted'; the recipe defines no variants"),
        ("variants = 3\n" + RECIPE, "dotted", "no variant is named 'dotted'; the recipe defines no variants"),
        (
            "variants.dotted = 3\n" + RECIPE,
            "dotted",
            "no variant is named 'dotted'; the recipe defines no variants",
        ),
        ("variants = { dotted = 3, b = {} }\n" + RECIPE, "dotted", "no variant is named 'dotted'; choices: b"),
    ],
    ids=["misspelt", "number", "no variants", "variants that are a number", "variant that is a number", "beside it"],
)
def test_a_variant_that_is_not_there_is_refused_with_the_choices(refused, content, variant, message):
    assert refused(content, f"variant={variant}") == [f"--set variant={variant}: variant: {message}"]


def test_an_unknown_variant_stands_where_it_was_chosen(refused, document):
    expected = "no variant is named 'doted'; did you mean 'dotted'? Choices: nested, dotted, quoted, other, wrong"
    content = RECIPE.replace('name = "x"\n', 'name = "x"\nvariant = "doted"\n', 1) + VARIANTS
    assert refused(content) == [f"r.toml:2: variant: {expected}"]
    assert refused(content, "variant=dotted", "variant=doted") == [f"--set variant=doted: variant: {expected}"]
    assert document(content, "variant=dotted").data["variant"] == "dotted"


def test_a_variant_may_override_even_itself(document):
    changed = document(RECIPE + "\n[variants.a]\nvariants.a = { use = 1 }\nvariants.b.name = 1\n", "variant=a")
    assert changed.data["variants"] == {"a": {"use": 1}, "b": {"name": 1}}
    assert changed.where(("variants", "a", "use")) == "r.toml:24"
    assert changed.where(("variants", "b", "name")) == "r.toml:24"


# -- a cell of a sweep -------------------------------------------------------------------------------


def cell(path: Path, *overrides: str, **values: object) -> Document:
    swept = [(("sweep", key), tuple(key.split(".")), value) for key, value in values.items()]
    return Document(path, overrides, swept)


SWEEP = """\

[sweep]
name = ["p", "q"]
variant = ["dotted", "other"]
"""


def test_a_cell_beats_the_variant_and_an_override_beats_the_cell(document):
    path = document(RECIPE + VARIANTS + SWEEP).path
    changed = cell(path, "training.epochs=9", name="q", variant="dotted")
    assert (changed.data["name"], changed.data["variant"]) == ("q", "dotted")
    assert changed.data["training"]["epochs"] == 9
    assert changed.data["stages"][1]["pruner"]["sparsity"] == 0.9
    assert changed.where(("name",)) == "r.toml:50"
    assert cell(path, "variant=other", variant="dotted").data["stages"][1]["last"] == []


def test_what_a_sweep_sets_stands_where_the_sweep_was_set(document):
    path = document(RECIPE + VARIANTS + SWEEP).path
    changed = cell(path, "sweep.name=['p', 'q']", name="q")
    assert changed.where(("name",)) == "--set sweep.name=['p', 'q']"
    path.write_text(RECIPE + "\n[variants.a]\nsweep.name = ['p', 'q']\n")
    assert cell(path, "variant=a", name="q").where(("name",)) == "r.toml:24"


@pytest.mark.parametrize(
    ("overrides", "where"),
    [
        ([], "r.toml:51"),
        (["sweep.name=['p']"], "r.toml:51"),
        (["sweep.variant=['lng']"], "--set sweep.variant=['lng']"),
        (["sweep={ variant = ['lng'] }"], "--set sweep={ variant = ['lng'] }"),
        (["sweep={}", "sweep.variant=['lng']"], "--set sweep.variant=['lng']"),
    ],
)
def test_an_unknown_variant_of_a_sweep_stands_where_the_sweep_was_set(document, overrides, where):
    path = document(RECIPE + VARIANTS + SWEEP).path
    with pytest.raises(RecipeError) as caught:
        cell(path, *overrides, variant="lng")
    (problem,) = caught.value.problems
    assert (problem.where, problem.key) == (where, "variant")
    assert problem.message == "no variant is named 'lng'; choices: nested, dotted, quoted, other, wrong"
