"""Files as rows: what is read, what is skipped, and what is an error with a row number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srframework import DataError, RowFile

COLUMNS = ("text", "label")
EXPECTED = [(2, {"text": "a b", "label": "yes"}), (3, {"text": "c", "label": "no"})]
CLEAN = {
    "tsv": b"id\ttext\tlabel\n1\ta b\tyes\n2\tc\tno\n",
    "csv": b"id,text,label\n1,a b,yes\n2,c,no\n",
    "jsonl": b'\n{"id": 1, "text": "a b", "label": "yes"}\n{"id": 2, "text": "c", "label": "no"}\n',
}
FORMATS = pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl"])


@pytest.fixture
def rows_of(tmp_path):
    def make(content: bytes | str, kind: str, columns=COLUMNS) -> RowFile:
        path = tmp_path / f"file.{kind}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return RowFile(str(path), kind, columns, has_format=True)

    return make


def message(rows: RowFile) -> str:
    with pytest.raises(DataError) as caught:
        list(rows)
    text = str(caught.value)
    assert text.startswith(f"{rows.path}: ")
    return text.removeprefix(f"{rows.path}: ")


@FORMATS
def test_rows_have_the_numbers_of_their_lines_and_only_the_wanted_cells(rows_of, kind):
    assert list(rows_of(CLEAN[kind], kind)) == EXPECTED


@FORMATS
def test_a_byte_order_mark_is_taken_off(rows_of, kind):
    content = b"\xef\xbb\xbf" + CLEAN[kind].removeprefix(b"\n")
    (_, first), *_ = rows_of(content, kind, ("id", "text", "label"))
    assert first == {"id": "1", "text": "a b", "label": "yes"}


@FORMATS
def test_crlf_is_read_like_lf(rows_of, kind):
    assert list(rows_of(CLEAN[kind].replace(b"\n", b"\r\n"), kind)) == EXPECTED


@FORMATS
def test_the_last_line_may_lack_its_end(rows_of, kind):
    assert list(rows_of(CLEAN[kind].removesuffix(b"\n"), kind)) == EXPECTED


@FORMATS
def test_space_around_cells_and_column_names_is_taken_off(rows_of, kind):
    content = {
        "tsv": " text \tlabel \n a b \t yes \n",
        "csv": 'text , label\n " a b ", yes \n'.replace(' "', '"'),
        "jsonl": '\n{"text": " a b ", "label": "yes\\n"}\n',
    }[kind]
    assert list(rows_of(content, kind)) == EXPECTED[:1]


@FORMATS
def test_the_same_file_can_be_read_twice(rows_of, kind):
    rows = rows_of(CLEAN[kind], kind)
    assert list(rows) == list(rows) == EXPECTED


# -- short rows ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("tsv", "text\tlabel\na b\tyes\nonly\n\nc\tno\n"),
        ("csv", "text,label\na b,yes\nonly\n\nc,no\n"),
        ("jsonl", '\n{"text": "a b", "label": "yes"}\n  \n{"text": "c", "label": "no"}\n'),
    ],
)
def test_short_rows_are_skipped_and_counted(rows_of, kind, content):
    rows = rows_of(content, kind)
    assert [row["text"] for _, row in rows] == ["a b", "c"]
    assert rows.short == 2


def test_rows_after_a_short_one_keep_their_numbers(rows_of):
    assert [number for number, _ in rows_of("text\tlabel\na\tb\nonly\nc\td\n", "tsv")] == [2, 4]


# -- quotes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ['"unclosed', 'in"side', '"closed"', '""', "it's", '"a\\"'])
def test_quotes_in_a_tsv_are_text(rows_of, cell):
    rows = rows_of(f"text\tlabel\n{cell}\tyes\nnext\tno\n", "tsv")
    assert [row["text"] for _, row in rows] == [cell, "next"]


def test_quotes_in_a_csv_hold_a_cell_together(rows_of):
    rows = rows_of('text,label\n"a, ""b""",yes\n"two\nlines",no\nlast,yes\n', "csv")
    assert list(rows) == [
        (2, {"text": 'a, "b"', "label": "yes"}),
        (3, {"text": "two\nlines", "label": "no"}),
        (5, {"text": "last", "label": "yes"}),
    ]


def test_an_unclosed_quote_in_a_csv_names_the_row_that_opens_it(rows_of):
    assert message(rows_of('text,label\na,yes\n"b,no\nc,yes\nd,no\n', "csv")).startswith("row 3: expected quoted CSV: ")


def test_text_after_a_closing_quote_in_a_csv_is_an_error(rows_of):
    assert message(rows_of('text,label\n"a"b,yes\n', "csv")).startswith("row 2: expected quoted CSV: ")


def test_an_unclosed_quote_that_swallows_a_large_csv_names_the_row_that_opens_it(rows_of):
    content = 'text,label\n"a,yes\n' + "some words,no\n" * 20_000
    assert message(rows_of(content, "csv")).startswith("row 2: expected quoted CSV: ")


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("tsv", "text\tlabel\na\tyes\nb\tno\tmore\n", "row 3: expected 2 columns, got 3"),
        ("csv", "text,label\na,yes\nb, c,no\n", "row 3: expected 2 columns, got 3"),
        (
            "tsv",
            "id\ttext\tlabels\n",
            "row 1: expected a column 'label', got id, text, labels; did you mean 'labels'?",
        ),
        ("csv", "id,words,label\n", "row 1: expected a column 'text', got id, words, label"),
        ("tsv", "\n", "row 1: expected a column 'text', got none"),
        (
            "jsonl",
            '{"text": "a", "label": "yes"}\n{"text": "a", "lable": "yes"}\n',
            "row 2: expected a column 'label', got text, lable; did you mean 'lable'?",
        ),
        ("jsonl", "{}\n", "row 1: expected a column 'text', got none"),
        ("jsonl", '["a", "yes"]\n', "row 1: expected a JSON object, got list"),
        ("jsonl", "3\n", "row 1: expected a JSON object, got int"),
        (
            "jsonl",
            '{"text": ["a"], "label": "yes"}\n',
            "row 1: expected a text or a number in 'text', got list",
        ),
        (
            "jsonl",
            '{"text": "a", "label": {"yes": 1}}\n',
            "row 1: expected a text or a number in 'label', got dict",
        ),
        (
            "jsonl",
            '{"text": "a", "label": "yes"}\n{"text": "\\ud800", "label": "yes"}\n',
            "row 2: expected text in 'text', got half of a surrogate pair",
        ),
    ],
)
def test_a_malformed_row_is_an_error_with_its_number(rows_of, kind, content, expected):
    assert message(rows_of(content, kind)) == expected


@pytest.mark.parametrize(
    "line", ['{"text": "a", "label": "yes"', "text", '{"text": "a" "label": "yes"}', "[" * 100_000, "{'text': 'a'}"]
)
def test_a_malformed_json_line_is_an_error_with_its_number(rows_of, line):
    content = '{"text": "a", "label": "yes"}\n' + line + "\n"
    assert message(rows_of(content, "jsonl")).startswith("row 2: expected a JSON object: ")


@FORMATS
def test_a_byte_that_is_not_utf8_is_an_error_with_its_row_and_value(rows_of, kind):
    content = CLEAN[kind].replace(b"c", b"caf\xe9")
    assert message(rows_of(content, kind)) == (
        "row 3: expected UTF-8 text, got the byte 0xe9; if the file is in another encoding, name it, for example "
        'encoding = "latin-1"'
    )


def test_utf16_is_an_error_about_its_first_byte(rows_of):
    content = CLEAN["tsv"].decode().encode("utf-16")
    assert message(rows_of(content, "tsv")).startswith("row 1: expected UTF-8 text, got the byte 0x")


@FORMATS
def test_an_empty_file_is_an_error_that_names_the_wanted_columns(rows_of, kind):
    assert message(rows_of("", kind)) == "expected rows with text, label, got an empty file"


@pytest.mark.parametrize(("kind", "content"), [("tsv", "text\tlabel\n"), ("csv", "text,label")])
def test_a_header_alone_is_an_error(rows_of, kind, content):
    assert message(rows_of(content, kind)) == "expected rows with text, label; the file has a header but no rows"


@FORMATS
@pytest.mark.parametrize(("name", "reason"), [("missing", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_an_error_that_says_why(tmp_path, kind, name, reason):
    assert reason in message(RowFile(str(tmp_path / name), kind, COLUMNS))


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (1, "1"), (0.5, "0.5"), (True, "True"), (" a ", "a"), ("\u2028", "")]
)
def test_json_values_become_text(rows_of, value, text):
    content = json.dumps({"text": value, "label": "yes"})
    assert [row["text"] for _, row in rows_of(content, "jsonl")] == [text]


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_only_a_line_feed_ends_a_row_of_a_tsv(rows_of, separator):
    rows = rows_of(f"text\tlabel\na{separator}b\tyes\n", "tsv")
    assert list(rows) == [(2, {"text": f"a{separator}b", "label": "yes"})]


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n"), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1))
def test_every_tsv_cell_without_tab_and_line_feed_is_read_as_it_is(rows_of, table):
    content = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in table)
    rows = rows_of(content, "tsv")
    assert [(row["text"], row["label"]) for _, row in rows] == [(t.strip(), label.strip()) for t, label in table]
    assert rows.short == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.tsv", "tsv"),
        ("a.TXT", "tsv"),
        ("dir.csv/a.csv", "csv"),
        ("a.jsonl", "jsonl"),
        ("a.json", "jsonl"),
        ("a.parquet", None),
        ("tsv", None),
    ],
)
def test_the_ending_of_a_name_tells_the_format(name, kind):
    assert RowFile.format_of(str(Path("data", name))) == kind


@pytest.mark.parametrize(
    ("content", "expected"),
    [('\n{"b": 1, "a": [2]}\n{"c": 3}\n', ("b", "a")), ("{}\n", ()), ("", ()), ("\n \n", ())],
)
def test_the_columns_of_json_lines_are_those_of_the_first_row(rows_of, content, expected):
    assert rows_of(content, "jsonl", ()).header() == expected


def test_a_first_row_that_is_no_json_object_is_an_error_with_its_number(rows_of):
    rows = rows_of("\n[1]\n", "jsonl")
    with pytest.raises(DataError, match="row 2: expected a JSON object, got list"):
        rows.header()
