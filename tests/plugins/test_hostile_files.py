"""A zoo of files that are not what their name says: each is a sentence, the same for `validate` and for a run."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import resource
import zipfile
from pathlib import Path

import pytest
from hostile_file import CLEAN, CSV, JSONL, TSV, pairs, refusal
from pydantic import ValidationError

from srf_datasets.pairs import Pairs
from srf_datasets.task_options import FactVerificationOptions, NliOptions, ParaphraseOptions
from srframework import DataError
from srframework.text_file import LONGEST


def zipped(content: bytes) -> bytes:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"srframework-zip-{os.getpid()}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train.tsv", content)
    try:
        return path.read_bytes()
    finally:
        path.unlink()


OBJECT = {"a": "x", "b": "y", "label": "yes"}

ZOO: dict[str, tuple[str, str | bytes, str]] = {
    # another format
    "commas in tsv": ("f.tsv", CSV, 'row 1: expected columns separated by tabs, got commas; set format = "csv"'),
    "quoted commas in tsv": ("f.tsv", '"a","b","label"\n"x","y","yes"\n', 'set format = "csv"'),
    "semicolons in tsv": ("f.tsv", TSV.replace("\t", ";"), "got semicolons; convert the file"),
    "bars in txt": ("f.txt", TSV.replace("\t", "|"), "got vertical bars; convert the file"),
    "tabs in csv": ("f.csv", TSV, 'expected columns separated by commas, got tabs; set format = "tsv"'),
    "semicolons in csv": ("f.csv", TSV.replace("\t", ";"), "got semicolons; convert the file"),
    "json lines in tsv": ("f.tsv", JSONL, 'got a JSON object; set format = "jsonl"'),
    "json lines in csv": ("f.csv", JSONL, 'set format = "jsonl"'),
    "tabs in jsonl": ("f.jsonl", TSV, 'set format = "tsv"'),
    "commas in jsonl": ("f.jsonl", CSV, 'set format = "csv"'),
    "array in jsonl": ("f.jsonl", json.dumps([OBJECT, OBJECT]), "write one object in each line, not an array"),
    "indented array in json": ("f.json", json.dumps([OBJECT], indent=2), "expected one object in each line"),
    "indented object in json": ("f.json", json.dumps(OBJECT, indent=2), "expected one object in each line"),
    "gzip": ("f.tsv", gzip.compress(TSV.encode()), "got a gzip archive; unpack it first"),
    "gzip bomb": ("f.jsonl", gzip.compress(b"0" * 10_000_000, mtime=0), "got a gzip archive; unpack it first"),
    "zip or xlsx": ("f.csv", zipped(TSV.encode()), "got a zip archive or an Excel file"),
    "bzip2": ("f.csv", bz2.compress(TSV.encode()), "got a bzip2 archive"),
    "xz": ("f.csv", lzma.compress(TSV.encode()), "got an xz archive"),
    "parquet": ("f.jsonl", b"PAR1" + bytes(100), "got a parquet file"),
    "npy": ("f.jsonl", b"\x93NUMPY\x01\x00" + bytes(100), "got a NumPy file"),
    "git lfs": ("f.tsv", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
    "html": ("f.tsv", "\n<!DOCTYPE html>\n<html></html>\n", "got an HTML or XML page"),
    # another encoding
    "latin-1": ("f.tsv", TSV.replace("z", "é").encode("latin-1"), "row 3: expected UTF-8 text, got the byte 0xe9; "),
    "latin-1 in csv": ("f.csv", CSV.replace("z", "é").encode("latin-1"), 'encoding = "latin-1"'),
    "latin-1 in json": ("f.jsonl", JSONL.replace("z", "é").encode("latin-1"), "row 2: expected UTF-8 text"),
    "utf-16": ("f.tsv", TSV.encode("utf-16"), 'a byte-order mark of UTF-16; set encoding = "utf-16"'),
    "utf-16 big": ("f.csv", b"\xfe\xff" + CSV.encode("utf-16-be"), 'set encoding = "utf-16"'),
    "utf-32": ("f.jsonl", JSONL.encode("utf-32"), 'set encoding = "utf-32"'),
    "utf-16 without mark": ("f.tsv", TSV.encode("utf-16-le"), 'NUL bytes, as UTF-16 has; set encoding = "utf-16-le"'),
    "utf-16-be without mark": ("f.tsv", TSV.encode("utf-16-be"), 'set encoding = "utf-16-be"'),
    "binary": ("f.tsv", bytes(range(256)) * 8, "row "),
    # headers
    "empty": ("f.tsv", "", "expected rows with a, b, label, got an empty file"),
    "header alone": ("f.tsv", "a\tb\tlabel\n", "the file has a header but no rows"),
    "header alone in csv": ("f.csv", "a,b,label", "the file has a header but no rows"),
    "used column twice": (
        "f.tsv",
        "a\tb\tlabel\ta\nx\ty\tyes\tq\n",
        "one column 'a', got 2 (columns 1 and 4)".replace(" and", ","),
    ),
    "used column twice in csv": ("f.csv", "label,a,b,label\nyes,x,y,no\n", "one column 'label', got 2"),
    "used key twice in json": (
        "f.jsonl",
        '{"a": "x", "b": "y", "label": "yes", "label": "no"}\n',
        "got several of that name",
    ),
    "columns in capitals": ("f.tsv", TSV.upper(), "expected a column 'a', got A, B, LABEL; did you mean 'A'?"),
    "spaces for tabs": ("f.tsv", "a\tb\tlabel\nx y yes\n", "got none (1 short, 0 unlabelled)"),
    "JSON null": ("f.jsonl", "null\n", "row 1: expected a JSON object, got null"),
    "many columns": ("f.tsv", "\t".join(f"c{i}" for i in range(100_000)) + "\n", "and 99,980 more"),
    "long column": ("f.tsv", "c" * 1_000_000 + "\td\n", "expected a column 'a'"),
    "CR alone": ("f.tsv", TSV.replace("\n", "\r"), "expected lines that end in LF or CRLF, got CR alone"),
    "CR alone in csv": ("f.csv", CSV.replace("\n", "\r"), "row 1: expected"),
    # rows
    "too many cells": ("f.tsv", TSV + "x\ty\tyes\tmore\n", "row 4: expected 3 columns, got 4"),
    "every row short": ("f.tsv", "a\tb\tlabel\nx\ny\n", "got none (2 short, 0 unlabelled)"),
    "unclosed quote": (
        "f.csv",
        CSV + '"x,y,yes\n',
        "row 4: expected quoted CSV: unexpected end of data; a quote is not",
    ),
    "field of 10^7 characters": (
        "f.csv",
        CSV + "x" * 10_000_000 + ",y,yes\n",
        "row 4: expected quoted CSV: a cell of more than",
    ),
    "row without end": ("f.tsv", TSV + "x" * (LONGEST + 10), "row 4: expected at most 16 MiB in a row"),
    "row without end in json": ("f.jsonl", '{"a": "' + "x" * (LONGEST + 10), "row 1: expected at most 16 MiB in a row"),
    "surrogate": (
        "f.jsonl",
        JSONL + '{"a": "\\ud800", "b": "y", "label": "yes"}\n',
        "row 3: expected text in 'a', got half of",
    ),
    "surrogate in a key": ("f.jsonl", '{"\\ud800": "x"}\n', "row 1: expected a column 'a', got \\ud800"),
    "deep json": (
        "f.jsonl",
        JSONL + '{"a": ' + "[" * 100_000 + "\n",
        "row 3: expected a JSON object: nested too deeply",
    ),
    "long number": ("f.jsonl", '{"a": "x", "b": "y", "label": 1' + "0" * 5000 + "}\n", "a number with too many digits"),
    "large number": ("f.jsonl", '{"a": 1e999, "b": "y", "label": "yes"}\n', "got a number too large"),
    "NaN": ("f.jsonl", '{"a": "x", "b": "y", "label": NaN}\n', "row 1: expected a JSON object: NaN is no JSON value"),
    "null label": ("f.jsonl", '{"a": "x", "b": "y", "label": null}\n', "got none (0 short, 1 unlabelled)"),
    "a list as a text": (
        "f.jsonl",
        '{"a": ["x"], "b": "y", "label": "yes"}\n',
        "expected a text or a number in 'a', got list",
    ),
    "label in capitals": ("f.tsv", TSV + "x\ty\tYES\n", "row 4: expected a label (yes, no), got 'YES'"),
    "long label": ("f.tsv", TSV + f"x\ty\t{'l' * 100_000}\n", "row 4: expected a label (yes, no), got 'lll"),
    "empty text": ("f.tsv", TSV + "\t\tyes\n", "row 4: expected a text in column 'a', got an empty one"),
    "line feed in a cell of a tsv": (
        "f.tsv",
        'a\tb\tlabel\n"x\nx"\ty\tmaybe\tno\n',
        "row 3: expected 3 columns, got 4".replace("4", "4"),
    ),
}


@pytest.mark.parametrize("name", ZOO)
def test_a_hostile_file_is_a_sentence_in_a_run_and_for_validate(hostile, name):
    file, content, expected = ZOO[name]
    options = pairs(hostile(file, content))
    message = refusal(options)
    assert message.startswith(str(options.train.path))
    assert expected in message
    found = [*options.check_files()]
    assert found
    assert found[0].message.split("; did you mean")[0] in message


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl"])
def test_a_clean_file_has_no_problem(hostile, kind):
    assert [*pairs(hostile(f"f.{kind}", CLEAN[kind])).check_files()] == []


def test_what_comes_after_the_first_rows_is_not_looked_at(hostile):
    options = pairs(hostile("f.csv", CSV * 1 + "x,y,yes\n" * 50_000 + '"unclosed,\n'))
    assert [*options.check_files()] == []
    assert "row 50004: expected quoted CSV" in refusal(options)


def test_a_row_that_is_longer_than_what_is_looked_at_is_no_problem(hostile):
    options = pairs(hostile("f.csv", 'a,b,label\n"' + "x\n" * 300_000 + '",y,yes\n'))
    assert [*options.check_files()] == []
    assert "a cell of more than" in refusal(options)
    assert [*pairs(hostile("g.tsv", f"a\tb\tlabel\n{'x ' * 1_000_000}\ty\tyes\n")).check_files()] == []


# -- not a file ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["fifo", "directory", "socket", "link to a fifo", "broken link"])
def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path, kind):
    path = tmp_path / "f.tsv"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        import socket

        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.close()
    else:
        if "fifo" in kind:
            os.mkfifo(tmp_path / "other")
        path.symlink_to(tmp_path / "other")
    found = [*pairs(path).check_files()]
    assert [each.key for each in found] == [("train", "path"), ("dev", "path")]
    assert all(each.message.startswith(f"{path}: cannot be read: ") for each in found)
    assert [each.state for each in pairs(path).check_data()] == ["problem", "problem"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, os.unlink], ids=["a fifo", "a directory", "gone"])
def test_what_is_no_file_any_more_is_refused_and_never_waited_for(hostile, make):
    path = hostile("f.tsv", TSV)
    options = pairs(path)
    path.unlink()
    if make is not os.unlink:
        make(path)
    assert "cannot be read" in refusal(options)
    assert [each.key for each in options.check_files()] == [("train", "path"), ("dev", "path")]


def test_a_file_that_may_not_be_read_is_a_sentence(hostile):
    path = hostile("f.tsv", TSV)
    options = pairs(path)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    assert "Permission denied" in refusal(options)


def test_a_large_file_without_line_ends_takes_little_memory(hostile):
    path = hostile("f.tsv", TSV)
    os.truncate(path, 1 << 34)  # 16 GiB of NUL bytes, none of them on the disk
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "row 4: expected at most 16 MiB in a row" in refusal(pairs(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 * 1024


def test_duplicate_columns_that_are_not_used_are_noted(hostile):
    options = pairs(hostile("f.tsv", "a\tq\tb\tq\tlabel\t\t\nx\t1\ty\t2\tyes\t\t\nz\t1\tw\t2\tno\t\t\n"))
    assert [*options.check_files()] == []
    note = f"{options.train.path}: row 1: duplicate columns, not used: q"
    assert set(Pairs(options).load(0).notes) == {note}


@pytest.mark.parametrize("labels", [[" yes", "no"], ["yes", ""], ["yes", "-"], ["yes\n", "no"]])
def test_labels_that_no_file_can_have_are_refused(hostile, labels):
    with pytest.raises(ValidationError, match="labels without spaces around them"):
        pairs(hostile("f.tsv", TSV), labels=labels)


# -- keys of problems ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "key", "nearest"),
    [
        ({"text_a": "words"}, ("text_a",), None),
        ({"text_b": "words"}, ("text_b",), None),
        ({"label": "lable"}, ("label",), "label"),
        ({"dev": {"path": "{}", "label": "labels"}}, ("dev", "label"), "label"),
        ({"dev": {"path": "{}", "where": {"labl": "x"}}}, ("dev", "where", "labl"), "label"),
        ({"dev": {"path": "{}", "keep": ["labelled"]}}, ("dev", "keep"), "label"),
        ({"ood": {"far": {"path": "{}", "text_b": "labe"}}}, ("ood", "far", "text_b"), None),
        ({"labels": ["yes", "nope"]}, ("train", "path"), None),
        ({"dev": {"hub": "./none"}}, ("dev", "hub"), None),
        ({"ood_train": {"hub": "data/none"}}, ("ood_train", "hub"), None),
    ],
)
def test_a_problem_has_the_key_of_the_recipe_and_the_nearest_column(hostile, changes, key, nearest):
    path = hostile("f.tsv", TSV)
    filled = json.loads(json.dumps(changes).replace("{}", str(path)))
    first = next(iter(pairs(path, **filled).check_files()))
    assert (first.key, first.nearest) == (key, nearest)


NLI = "gold_label\tsentence1\tsentence2\theuristic\tsubcase\ttemplate\npremise\tx\ty\th\ts\tt\n"


def test_the_files_of_the_tasks_are_looked_at_too(tmp_path):
    for name in ("train", "dev_matched"):
        (tmp_path / f"{name}.tsv").write_text("gold_label\tsentence1\tsentenc2\nneutral\tx\ty\n")
    (tmp_path / "hans").mkdir()
    (tmp_path / "hans" / "heuristics_evaluation_set.txt").write_text(NLI)
    found = [*NliOptions(path=str(tmp_path)).check_files()]
    assert [each.key for each in found] == [("path",)] * 3
    assert "dev_matched.tsv: row 1: expected a column 'sentence2'" in found[1].message
    assert "row 2: expected a label (non-entailment, entailment), got 'premise'" in found[2].message


def test_the_files_of_paraphrase_are_looked_at_too(tmp_path):
    for name in ("train", "dev"):
        (tmp_path / f"{name}.tsv").write_text("id,question1,question2,is_duplicate\n1,x,y,0\n")
    for name in ("paws_qqp/dev", "paws_wiki/test"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / f"{name}.tsv").write_text("id\tsentence1\tsentence2\tlabel\n1\tb'x\ty\t0\n")
    messages = [each.message for each in ParaphraseOptions(path=str(tmp_path)).check_files()]
    assert [
        "got commas; convert the file" in messages[0],
        "got commas" in messages[1],
        "expected a Python bytes literal" in messages[2],
    ] == [True] * 3
    assert len(messages) == 3


def test_the_files_of_fact_verification_are_looked_at_too(tmp_path):
    for name in ("fever.train.jsonl", "fever.dev.jsonl", "sym1/test.jsonl", "sym2/test.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"claim": "c", "evidense": "e", "label": "SUPPORTS"}\n')
    found = [*FactVerificationOptions(path=str(tmp_path)).check_files()]
    assert len(found) == 4
    assert {each.nearest for each in found} == {"evidense"}
    assert "row 1: expected a column 'evidence' or 'evidence_sentence'" in found[0].message


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        (NliOptions(path="data/MNLI"), [("path",)]),
        (NliOptions(path="glue/mnli", hans="./hans"), [("hans",)]),
        (NliOptions(), []),
        (ParaphraseOptions(path="glue/qqp", paws_wiki="a/b/c"), [("paws_wiki",)]),
        (FactVerificationOptions(path="../fever"), [("path",)]),
    ],
)
def test_a_path_that_is_not_there_is_a_problem_of_its_option(options, keys):
    found = [*options.check_files()]
    assert [each.key for each in found] == keys
    assert all(each.message.startswith("Data set not found: ") for each in found)


# -- word vectors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"1000000000000 300\nthe 1\n", "numbers that fit the file"),
        (b"1 1000000000000\nthe 1\n", "numbers that fit the file"),
        (b"0 1000000000000\n", "numbers that fit the file"),
        (b"9" * 5000 + b" 2\n", "numbers that fit the file"),
        (b"1 " + b"9" * 5000 + b"\n", "numbers that fit the file"),
        (b"00001 00000\n", "expected the number of words"),
        (gzip.compress(b"1 1\nthe 1\n", mtime=0), "got a gzip archive"),
        (zipped(b"x"), "got a zip archive"),
        (b"\xba\x16\x4f\x2f" + bytes(100), "got a binary model of fastText"),
        (b"\xff\xfe1\x00", "got the byte 0xff"),
        (b"", "expected the number of words"),
    ],
)
def test_a_file_of_word_vectors_that_claims_more_than_it_has_is_refused(hostile, content, expected):
    vectors = hostile("words.vec", content)
    options = pairs(hostile("f.tsv", TSV), word_vectors=str(vectors))
    [found] = options.check_files()
    assert found.key == ("word_vectors",)
    assert expected in found.message
    task = Pairs(options).load(0)
    with pytest.raises(DataError, match=expected):
        task.spurious_features(task.train, None)


@pytest.mark.parametrize("number", ["1e39", "-1e39", "1e999", "nan", "inf"])
def test_a_number_that_is_none_in_single_precision_is_a_sentence(hostile, number):
    vectors = hostile("words.vec", f"1 1\nx {number}\n")
    task = Pairs(pairs(hostile("f.tsv", TSV), word_vectors=str(vectors))).load(0)
    with pytest.raises(DataError, match="row 2: expected a number"):
        task.spurious_features(task.train, None)
