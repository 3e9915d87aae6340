"""Data files in encodings other than UTF-8."""

from __future__ import annotations

import pytest
from hostile_file import CLEAN, TSV, pairs, refusal
from pydantic import ValidationError

from srf_datasets.pairs import Pairs


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl"])
@pytest.mark.parametrize(
    "encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "cp500"]
)
def test_a_file_in_another_encoding_is_read(hostile, kind, encoding):
    content = CLEAN[kind].replace("z", "Zoë").replace("x", "« x »" if encoding != "utf-7" else "«x»")
    path = hostile(f"f.{kind}", content.encode(encoding))
    options = pairs(path, encoding=encoding)
    assert [*options.check_files()] == []
    texts = Pairs(options).load(0).train.examples["text_a"][:]
    assert texts == ["« x »" if encoding != "utf-7" else "«x»", "Zoë"]


@pytest.mark.parametrize("encoding", ["utf-16", "shift_jis", "gb18030", "big5", "euc_kr", "iso2022_jp"])
def test_an_encoding_of_several_bytes_is_read(hostile, encoding):
    content = TSV.replace("z", "愛" if encoding != "euc_kr" else "한")
    options = pairs(hostile("f.tsv", content.encode(encoding)), encoding=encoding)
    assert Pairs(options).load(0).train.examples["text_a"][:] == ["x", "愛" if encoding != "euc_kr" else "한"]


def test_a_split_may_have_an_encoding_of_its_own(hostile):
    other = {"path": str(hostile("g.tsv", TSV.replace("z", "é").encode("latin-1"))), "encoding": "latin-1"}
    options = pairs(hostile("f.tsv", TSV.replace("z", "ü")), dev=other)
    task = Pairs(options).load(0)
    assert (task.train.examples["text_a"][1], task.dev.examples["text_a"][1]) == ("ü", "é")
    assert [*options.check_files()] == []


@pytest.mark.parametrize(
    ("encoding", "content", "expected"),
    [
        ("ascii", TSV.replace("z", "é").encode(), "row 3: expected ascii text, got the byte 0xc3"),
        ("utf-16", TSV.encode("utf-16") + b"\x00\xd8a\x00", "row 4: expected utf-16 text, got the byte"),
        ("utf-16", TSV.encode("utf-16") + b"x", "expected utf-16 text"),
        ("utf-16", TSV.encode(), "expected"),
        ("utf-32", TSV.encode(), "expected"),
        ("cp1252", TSV.replace("z", "\x81").encode("latin-1"), "row 3: expected cp1252 text, got the byte 0x81"),
    ],
)
def test_a_byte_that_the_encoding_does_not_have_is_a_sentence(hostile, encoding, content, expected):
    assert expected in refusal(pairs(hostile("f.tsv", content), encoding=encoding))


def test_the_row_of_a_wrong_byte_is_right_deep_in_a_file_of_utf_16(hostile):
    content = (TSV + "x\ty\tyes\n" * 50_000).encode("utf-16-le") + b"\x00\xd8a\x00"
    assert "row 50004: " in refusal(pairs(hostile("f.tsv", content), encoding="utf-16-le"))


@pytest.mark.parametrize(
    "encoding",
    ["utf-9", "", "rot13", "base64", "zip", "idna", "punycode", "undefined", "unicode_escape", "a\0b", "x" * 999],
)
def test_an_encoding_that_is_none_of_text_is_refused_with_the_recipe(hostile, encoding):
    with pytest.raises(ValidationError, match="a text encoding that Python knows"):
        pairs(hostile("f.tsv", TSV), encoding=encoding)
