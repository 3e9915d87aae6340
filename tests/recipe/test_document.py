from __future__ import annotations

import pytest
from document_text import RECIPE
from hypothesis import given, settings
from hypothesis import strategies as st

from srframework.errors import RecipeError
from srframework.recipe.document import Document


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
        (b"", "r.toml:1: expected a recipe, got an empty file"),
        (b" \n\r\n\t", "r.toml:1: expected a recipe, got an empty file"),
        (b"a = 1\n[b\n", "r.toml:2: not valid TOML: "),
        (b"a = 1\na = 2\n", "r.toml:2: not valid TOML: "),
        (b"a = 1\n\nb = [1,\n\n", "r.toml:5: not valid TOML: "),
        (b"a = 1\n\nb = '\xff\xfe'\n", "r.toml:3: expected UTF-8 text, got the byte 0xff"),
        (b"\x89PNG\r\n\x1a\n", "r.toml:1: expected UTF-8 text, got the byte 0x89"),
        (b"a = '\x00'\n", "r.toml:1: not valid TOML: "),
    ],
    ids=["empty", "blank", "malformed", "key twice", "unclosed", "no utf-8", "binary", "null byte"],
)
def test_a_file_that_is_no_toml_is_refused_with_its_line(refused, content, message):
    (line,) = refused(content)
    assert line.startswith(message)
    assert ("(column " in line) == message.endswith("not valid TOML: ")


def test_a_text_without_its_closing_quote_is_reported_in_words(refused):
    (line,) = refused(b'a = 1\nb = "x\n')
    assert line == "r.toml:2: not valid TOML: the line ends inside a quoted text; close the quote (column 7)"


@pytest.mark.parametrize(
    ("value", "reason"), [("[" * 5000, "nested"), ("1" * 5000, "digits")], ids=["deep nesting", "huge number"]
)
def test_what_the_parser_cannot_hold_is_refused_in_a_sentence(refused, document, value, reason):
    (line,) = refused(f"a = {value}")
    assert line.startswith("r.toml:1: not valid TOML: ")
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
        ("epochs", "expected KEY=VALUE, such as training.epochs=3 or stages.NAME.pruner.sparsity=0.5"),
        ("=3", "expected KEY=VALUE, such as training.epochs=3 or stages.NAME.pruner.sparsity=0.5"),
        ("a..b=3", "expected KEY=VALUE, such as training.epochs=3 or stages.NAME.pruner.sparsity=0.5"),
        ("stages.srnt.op=x", "stages.srnt.op: no stage is named 'srnt'; did you mean 'srnet'? Choices: full, srnet"),
        ("stages.2.op=x", "stages.2.op: no stage is named '2'; choices: full, srnet"),
        ("stages.-1.op=x", "stages.-1.op: no stage is named '-1'; choices: full, srnet"),
        ("stages.srnet=x", "stages.srnet: expected a key of an item of stages, got 'srnet'"),
        ("name.x=1", "name.x: name is a value ('x'), not a table"),
        ("stages.full.loss.use.x=1", "stages.full.loss.use.x: stages.full.loss.use is a value ('std'), not a table"),
        ("training.texts.0.x=1", "training.texts.0.x: training.texts[0] is a value ('a'), not a table"),
        ("training.texts.9.x=1", "training.texts.9.x: must be a number below 2 (got '9')"),
    ],
)
def test_an_override_that_names_no_place_is_refused_by_its_own_words(refused, override, message):
    assert refused(RECIPE, override) == [f"--set {override}: {message}"]


def test_all_wrong_overrides_are_refused_at_once(refused):
    said = refused(RECIPE, "a", "training.epochs=3", "name.x=1")
    assert [line.split(": ")[0] for line in said] == ["--set a", "--set name.x=1"]


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
