from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srframework.errors import RecipeError
from srframework.recipe.document import Document

RECIPE = """\
name = "x"

[training]
epochs = 3
texts = [
  "a",
  "b",
]

[[stages]]
name = "full"
loss.use = "std"

[[stages]]
name = "srnet"
pruner = { use = "mask", sparsity = 0.5 }
note = \"\"\"
epochs = 4
[training]
\"\"\"
last = 1
"""


@pytest.fixture
def document(tmp_path, monkeypatch):
    """Write a file, and read it as a document whose path is plain ``r.toml``."""
    monkeypatch.chdir(tmp_path)

    def read(content: str | bytes = RECIPE, *overrides: str) -> Document:
        Path("r.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
        return Document(Path("r.toml"), overrides)

    return read


@pytest.fixture
def refused(document):
    """What is said of a document that cannot be read, a line for each problem."""

    def read(content: str | bytes = RECIPE, *overrides: str) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            document(content, *overrides)
        return str(caught.value).split("\n")

    return read


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("name",), 1),
        (("training",), 3),
        (("training", "epochs"), 4),
        (("training", "texts", 1), 5),
        (("stages",), 10),
        (("stages", 0, "loss", "use"), 12),
        (("stages", 1), 14),
        (("stages", 1, "pruner", "sparsity"), 16),
        (("stages", 1, "note"), 17),
        (("stages", 1, "last"), 21),
    ],
)
def test_a_key_is_on_the_line_where_its_statement_begins(document, key, line):
    assert document().where(key) == f"r.toml:{line}"


@pytest.mark.parametrize(
    ("key", "line"),
    [(("stages", 1, "weights"), 14), (("stages", 1, "pruner", "phi"), 16), (("training", "x", "y"), 3), (("seed",), 1)],
)
def test_a_missing_key_is_on_the_line_of_the_nearest_table_around_it(document, key, line):
    assert document().where(key) == f"r.toml:{line}"


@pytest.mark.parametrize(
    ("key", "label"),
    [
        (("training", "epochs"), "training.epochs"),
        (("stages", 1, "pruner", "sparsity"), "stages.srnet.pruner.sparsity"),
        (("stages", 7, "name"), "stages.7.name"),
        (("training", "texts", 1), "training.texts[1]"),
        ((), ""),
    ],
)
def test_a_label_names_stages(document, key, label):
    assert document().label(key) == label


def test_a_stage_without_a_name_is_labelled_with_its_number(document):
    assert document("[[stages]]\nop = 1\n").label(("stages", 0, "op")) == "stages.0.op"


@pytest.mark.parametrize(
    "change", [lambda raw: b"\xef\xbb\xbf" + raw, lambda raw: raw.replace(b"\n", b"\r\n")], ids=["bom", "crlf"]
)
def test_a_byte_order_mark_and_crlf_change_nothing(document, change):
    changed, plain = document(change(RECIPE.encode())), document()
    assert changed.data == plain.data
    assert changed.where(("stages", 1, "last")) == "r.toml:21"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "r.toml: expected a recipe, got an empty file"),
        (b" \n\r\n\t", "r.toml: expected a recipe, got an empty file"),
        (b"a = 1\n[b\n", "r.toml:2: expected TOML, got: "),
        (b"a = 1\na = 2\n", "r.toml:2: expected TOML, got: "),
        (b"a = 1\n\nb = [1,\n\n", "r.toml:5: expected TOML, got: "),
        (b"a = 1\n\nb = '\xff\xfe'\n", "r.toml:3: expected UTF-8 text, got the byte 0xff"),
        (b"\x89PNG\r\n\x1a\n", "r.toml:1: expected UTF-8 text, got the byte 0x89"),
        (b"a = '\x00'\n", "r.toml:1: expected TOML, got: "),
    ],
    ids=["empty", "blank", "malformed", "key twice", "unclosed", "no utf-8", "binary", "null byte"],
)
def test_a_file_that_is_no_toml_is_refused_with_its_line(refused, content, message):
    (line,) = refused(content)
    assert line.startswith(message)
    assert ("(column " in line) == message.endswith("TOML, got: ")


@pytest.mark.parametrize(
    ("value", "reason"), [("[" * 5000, "nested"), ("1" * 5000, "digits")], ids=["deep nesting", "huge number"]
)
def test_what_the_parser_cannot_hold_is_refused_in_a_sentence(refused, document, value, reason):
    (line,) = refused(f"a = {value}")
    assert line.startswith("r.toml: expected TOML, got: ")
    assert reason in line
    assert document(RECIPE, f"name={value}").data["name"] == value


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="expected a recipe file, got a directory"):
        Document(tmp_path)


def test_a_file_that_has_gone_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"gone\.toml: expected a recipe file, got no such file"):
        Document(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("training.epochs=5", 5),
        ("training.epochs=5e-5", 5e-5),
        ("training.epochs=true", True),
        ("training.epochs='5'", "5"),
        ("training.epochs=five", "five"),
        ("training.epochs=", ""),
        ("training.epochs=a=b", "a=b"),
        ("training.epochs=[1, 'x']", [1, "x"]),
        ("training.epochs={ use = 'mask' }", {"use": "mask"}),
    ],
)
def test_an_override_is_typed_as_in_toml_and_a_bare_word_is_a_string(document, override, value):
    changed = document(RECIPE, override)
    assert changed.data["training"]["epochs"] == value
    assert type(changed.data["training"]["epochs"]) is type(value)
    assert changed.data["training"]["texts"] == ["a", "b"]


@pytest.mark.parametrize("stage", ["srnet", "1"])
def test_an_override_finds_a_stage_by_name_and_by_number(document, stage):
    changed = document(RECIPE, f"stages.{stage}.pruner.sparsity=0.9")
    assert changed.data["stages"][1]["pruner"] == {"use": "mask", "sparsity": 0.9}
    assert changed.data["stages"][0] == {"name": "full", "loss": {"use": "std"}}


def test_a_name_comes_before_a_number(document):
    changed = document("[[stages]]\nname = '1'\n[[stages]]\nname = 'b'\n", "stages.1.op=train")
    assert changed.data["stages"] == [{"name": "1", "op": "train"}, {"name": "b"}]


def test_overrides_apply_in_order_and_make_the_tables_that_they_need(document):
    changed = document(RECIPE, "a.b.c=1", "a.b.c=2", "a.d=3")
    assert changed.data["a"] == {"b": {"c": 2}, "d": 3}


def test_an_overridden_key_and_what_is_in_it_stand_at_the_override(document):
    changed = document(RECIPE, "stages.srnet.pruner={ use = 'mask' }", "bias.x.y=3")
    assert changed.where(("stages", 1, "pruner")) == "--set stages.srnet.pruner={ use = 'mask' }"
    assert changed.where(("stages", 1, "pruner", "use")) == "--set stages.srnet.pruner={ use = 'mask' }"
    assert changed.where(("stages", 1, "name")) == "r.toml:15"
    assert changed.where(("bias", "x")) == "--set bias.x.y=3"
    assert changed.where(("training",)) == "r.toml:3"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "expected key=value, such as training.epochs=3 or stages.NAME.pruner.sparsity=0.5"),
        ("=3", "expected key=value, such as training.epochs=3 or stages.NAME.pruner.sparsity=0.5"),
        ("a..b=3", "expected key=value, such as training.epochs=3 or stages.NAME.pruner.sparsity=0.5"),
        ("stages.srnt.op=x", "stages.srnt.op: expected one of: full, srnet, got 'srnt'; did you mean 'srnet'?"),
        ("stages.2.op=x", "stages.2.op: expected one of: full, srnet, got '2'"),
        ("stages.-1.op=x", "stages.-1.op: expected one of: full, srnet, got '-1'"),
        ("stages.srnet=x", "stages.srnet: expected a key of one item of stages, got 'srnet'"),
        ("name.x=1", "name.x: name is a value ('x'), not a table"),
        ("stages.full.loss.use.x=1", "stages.full.loss.use.x: stages.full.loss.use is a value ('std'), not a table"),
        ("training.texts.0.x=1", "training.texts.0.x: training.texts[0] is a value ('a'), not a table"),
        ("training.texts.9.x=1", "training.texts.9.x: expected a number below 2, got '9'"),
    ],
)
def test_an_override_that_names_no_place_is_refused_by_its_own_words(refused, override, message):
    assert refused(RECIPE, override) == [f"--set {override}: {message}"]


def test_all_wrong_overrides_are_refused_at_once(refused):
    said = refused(RECIPE, "a", "training.epochs=3", "name.x=1")
    assert [line.split(": ")[0] for line in said] == ["--set a", "--set name.x=1"]


# -- variants ----------------------------------------------------------------------------------------

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
        "r.toml:45: stages.srnt.last: expected one of: full, srnet, got 'srnt'; did you mean 'srnet'?",
        "r.toml:46: name.x: name is a value ('x'), not a table",
        "--set stages.x.y=1: stages.x.y: expected one of: full, srnet, got 'x'",
    ]


@pytest.mark.parametrize(
    ("content", "variant", "message"),
    [
        (
            RECIPE + VARIANTS,
            "doted",
            "expected one of: nested, dotted, quoted, other, wrong; got 'doted'; did you mean 'dotted'?",
        ),
        (RECIPE + VARIANTS, "3", "expected one of: nested, dotted, quoted, other, wrong; got 3"),
        (RECIPE, "dotted", "expected none, for want of [variants] in the recipe; got 'dotted'"),
        ("variants = 3\n" + RECIPE, "dotted", "expected none, for want of [variants] in the recipe; got 'dotted'"),
        (
            "variants.dotted = 3\n" + RECIPE,
            "dotted",
            "expected none, for want of [variants] in the recipe; got 'dotted'",
        ),
        ("variants = { dotted = 3, b = {} }\n" + RECIPE, "dotted", "expected one of: b; got 'dotted'"),
    ],
    ids=["misspelt", "number", "no variants", "variants that are a number", "variant that is a number", "beside it"],
)
def test_a_variant_that_is_not_there_is_refused_with_the_choices(refused, content, variant, message):
    assert refused(content, f"variant={variant}") == [f"--set variant={variant}: variant: {message}"]


def test_an_unknown_variant_stands_where_it_was_chosen(refused, document):
    expected = "expected one of: nested, dotted, quoted, other, wrong; got 'doted'; did you mean 'dotted'?"
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
    assert problem.message == "expected one of: nested, dotted, quoted, other, wrong; got 'lng'"


# -- lines of any text -------------------------------------------------------------------------------

BARE = st.sampled_from(["x", "y", "use", "a-b", "1"])
VALUES = st.sampled_from(
    [
        ("1", []),
        ("'a # b'", []),
        ("[1, [2]]", [(0,), (1,), (1, 0)]),
        ("{ p = 1, q.r = 2 }", [("p",), ("q",), ("q", "r")]),
        ("[\n  1, # one\n\n  { p = 2 },\n]", [(0,), (1,), (1, "p")]),
        ('"""\nx = 1\n[t0]\n\n# no comment\n"""', []),
        ("'''\n[[a0]]\n'''", []),
    ]
)
FILLER = st.lists(st.sampled_from(["", "# y = 2", "  ", "  # [t9]"]), max_size=2)


@st.composite
def toml(draw) -> tuple[str, dict[tuple[str | int, ...], int]]:
    """A TOML text, and the line on which each of its keys is."""
    text: list[str] = []
    lines: dict[tuple[str | int, ...], int] = {}
    arrays: dict[str, int] = {}

    def say(statement: str, *keys: tuple[str | int, ...]) -> None:
        text.extend(draw(FILLER))
        for key in keys:
            lines.setdefault(key, len(text) + 1)
        text.extend(statement.split("\n"))

    def assign(table: tuple[str | int, ...]) -> None:
        for number in range(draw(st.integers(0, 3))):
            first, rest = f"{draw(BARE)}{number}", draw(st.lists(BARE, max_size=2))
            value, inner = draw(VALUES)
            keys = [(*table, first, *rest[:end]) for end in range(len(rest) + 1)]
            quoted = f'"{first}"' if draw(st.booleans()) else first
            comment = draw(st.sampled_from(["", " # why"]))
            say(".".join([quoted, *rest]) + f" = {value}{comment}", *keys, *((*keys[-1], *key) for key in inner))

    assign(())
    for number in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["table", "inner", "array"]))
        if kind == "array":
            name = draw(st.sampled_from(["a0", "a1"]))
            place: tuple[str | int, ...] = (name, arrays.setdefault(name, 0))
            arrays[name] += 1
            say(f"[[{name}]]", (name,), place)
        elif kind == "inner":
            place = (f"t{number}", "deep", "er")
            say(f"[ t{number} . deep.'er' ]", *(place[:end] for end in (1, 2, 3)))
        else:
            place = (f"t{number}",)
            say(f"[t{number}]", place)
        assign(place)
    return "\n".join(text) + draw(st.sampled_from(["", "\n", "\n# end"])), lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("documents")


@settings(max_examples=150)
@given(written=toml(), newline=st.sampled_from(["\n", "\r\n"]), mark=st.sampled_from(["", "\ufeff"]))
def test_every_key_of_any_text_is_on_its_line(folder, written, newline, mark):
    text, lines = written
    path = folder / "any.toml"
    path.write_bytes((mark + "seed = 1\n" + text).replace("\n", newline).encode())
    document = Document(path)
    assert {key: document.where(key) for key in lines} == {key: f"{path}:{line + 1}" for key, line in lines.items()}
