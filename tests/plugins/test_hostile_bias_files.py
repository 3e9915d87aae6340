"""A zoo of bias files that claim what they are not: each is a sentence, and nothing that they claim is allocated."""

from __future__ import annotations

import io
import json
import os
import resource
import struct
from pathlib import Path

import datasets
import numpy as np
import pytest
from pydantic import ValidationError

from srf_debiasers.bias import FileBias
from srf_debiasers.options import FileBiasOptions
from srframework import DataError, Split, TaskData

LABELS = ("no", "yes")
ROWS = np.array([[0.25, 0.75], [0.5, 0.5]])


def npy(header: str | dict[str, object], data: bytes = ROWS.tobytes(), version: int = 1) -> bytes:
    """A .npy file with any header."""
    text = (header if isinstance(header, str) else repr(header)).encode("utf-8" if version == 3 else "latin-1")
    text = text.ljust(118) + b"\n"
    size = struct.pack("<H", len(text)) if version == 1 else struct.pack("<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + data


def claim(shape: object = (2, 2), descr: object = "<f8", fortran_order: object = False) -> dict[str, object]:
    return {"descr": descr, "fortran_order": fortran_order, "shape": shape}


def objects() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([[0.5, 0.5], [None, 0.5]], dtype=object), allow_pickle=True)
    return file.getvalue()


HOSTILE = {
    "10^12 rows": (npy(claim((10**12, 2))), "its header claims (1000000000000, 2), 16000000000000 bytes"),
    "10^12 columns": (npy(claim((2, 10**12))), "its header claims"),
    "an overflow": (npy(claim((2**63, 2**63))), "its header claims"),
    "an overflow to nothing": (npy(claim((2**32, 2**32)), b""), "its header claims"),
    "digits without end": (
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 5000 + ", 2)}"),
        "damaged",
    ),
    "no rows but columns": (npy(claim((0, 10**18)), b""), "got (0, 1000000000000000000)"),
    "negative": (npy(claim((-2, 2))), "its header is damaged"),
    "a negative product": (npy(claim((-2, -2))), "its header is damaged"),
    "a fraction": (npy(claim((2.0, 2))), "its header is damaged"),
    "a truth value": (npy(claim((True, True))), "its header is damaged"),
    "no shape": (npy({"descr": "<f8", "fortran_order": False}), "its header is damaged"),
    "more than a header has": (npy({**claim(), "more": 1}), "its header is damaged"),
    "no table": (npy("[1, 2]"), "its header is damaged"),
    "code": (npy("__import__('os').system('true')"), "its header is damaged"),
    "deep": (npy("(" * 5000), "its header is damaged"),
    "a bomb": (npy("{'shape': (2,)*10**9}"), "its header is damaged"),
    "a long header": (npy(repr(claim()) + " " * 20_000), "its header claims a length of 20"),
    "a header longer than the file": (b"\x93NUMPY\x01\x00\xff\xff{", "which cannot be read"),
    "a header of 4 GiB": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", "its header claims a length of 4294967295 bytes"),
    "version 9": (npy(claim(), version=9), "has an unknown version"),
    "version 0": (npy(claim(), version=0), "has an unknown version"),
    "objects": (objects(), "Object arrays cannot be loaded"),
    "objects in a structure": (npy(claim(descr=[("a", "O")])), "Object arrays cannot be loaded"),
    "a structure": (npy(claim(descr=[("a", "<f8"), ("b", "<f8")])), "expected plain numbers"),
    "texts": (npy(claim(descr="<U2")), "expected plain numbers, got the type '<U2'"),
    "bytes": (npy(claim(descr="|S8")), "expected plain numbers"),
    "complex numbers": (npy(claim((1, 2), "<c16")), "expected plain numbers, got the type '<c16'"),
    "dates": (npy(claim(descr="<M8[s]")), "expected plain numbers"),
    "no type": (npy(claim(descr="zork")), "expected plain numbers"),
    "cut short": (npy(claim())[:-1], "32 bytes of numbers; the file has 31"),
    "more than it claims": (npy(claim()) + b"x", "32 bytes of numbers; the file has 33"),
    "NaN": (
        npy(claim(), np.array([[0.5, 0.5], [np.nan, 0.5]]).tobytes()),
        "row 2: expected probabilities that sum to 1",
    ),
    "infinity": (npy(claim(), np.array([[np.inf, -np.inf], [0.5, 0.5]]).tobytes()), "row 1: expected probabilities"),
    "too large": (npy(claim(), np.array([[1e308, 1e308], [0.5, 0.5]]).tobytes()), "row 1: expected probabilities"),
    "not normalised": (npy(claim(), np.array([[0.5, 0.5], [0.5, 0.6]]).tobytes()), "row 2: expected probabilities"),
    "another shape": (
        npy(claim((4, 1))),
        "expected a row for each training example and a column for each label, (2, 2)",
    ),
    "one dimension": (npy(claim((4,))), "(2, 2), got (4,)"),
    "a thousand dimensions": (npy(claim((1,) * 1000), bytes(8)), "which cannot be read"),
    "empty": (b"", "which cannot be read"),
    "only its name": (b"\x93NUMPY", "which cannot be read"),
    "a pickle": (b"\x80\x04K\x01.", "it is not a .npy file"),
    "a zip": (b"PK\x03\x04" + bytes(40), "it is not a .npy file"),
}

JSON = {
    "deep": ("[" * 100_000, "nested too deeply"),
    "deep tables": ('{"a":' * 100_000, "nested too deeply"),
    "10^400": ("[[1" + "0" * 400 + ", 0], [0.5, 0.5]]", "which cannot be read"),
    "5000 digits": ("[[1" + "0" * 5000 + ", 0], [0.5, 0.5]]", "which cannot be read"),
    "1e999": ("[[1e999, 0], [0.5, 0.5]]", "row 1: expected probabilities that sum to 1"),
    "NaN": ("[[0.5, 0.5], [NaN, 0.5]]", "row 2: expected probabilities that sum to 1"),
    "numbers as texts": ('[["0.5", "0.5"], [0.5, 0.5]]', "row 1: expected a number, got '0.5'"),
    "truth values": ("[[true, false], [0.5, 0.5]]", "row 1: expected a number, got True"),
    "null": ("[[0.5, 0.5], [null, 1]]", "row 2: expected a number, got None"),
    "a short row": ("[[0.5, 0.5], [1]]", "row 2: expected a list of 2 numbers, as in the first row, got 1 of them"),
    "a row that is none": ("[[0.5, 0.5], 1]", "row 2: expected a list of 2 numbers, as in the first row, got 1"),
    "tables as rows": ('[{"no": 0.5, "yes": 0.5}, {}]', "row 1: expected a list of numbers"),
    "ids twice": ('{"a": [0.5, 0.5], "a": [1, 0]}', "expected each id once, got 'a' several times"),
    "ids without examples": ('{"a": [0.5, 0.5]}', "the training examples have no column 'id'; got rows by id"),
    "a text": ('"0.5"', "got"),
    "rows for one example": ("[[0.5, 0.5]]", "(2, 2), got (1, 2)"),
    "utf-16": ("[[0.5, 0.5], [0.5, 0.5]]".encode("utf-16"), "which cannot be read"),
    "binary": (bytes(range(256)), "which cannot be read"),
    "empty": ("", "which cannot be read"),
    "a surrogate": ('{"\\ud800": [0.5, 0.5], "\\ud800": [1, 0]}', "got '\\ud800' several times"),
}


def refusal(path: Path, log: bool = False) -> str:
    train = Split("train", datasets.Dataset.from_dict({"text_a": ["a", "b"], "label": [0, 1]}), LABELS)
    bias = FileBias(FileBiasOptions(path=str(path), log=log))
    with pytest.raises(DataError) as caught:
        bias.fit(TaskData(LABELS, "accuracy", train, train), None)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 1500
    return message


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_array_is_a_sentence_and_takes_no_memory(tmp_path, name):
    content, expected = HOSTILE[name]
    path = tmp_path / "bias.npy"
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message = refusal(path)
    assert expected in message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024
    found = [each.message for each in FileBiasOptions(path=str(path)).check_files()]
    if "which cannot be read" in message and "a thousand" not in name:
        assert found == [message]
    else:
        assert found == []


@pytest.mark.parametrize("name", JSON)
def test_hostile_json_is_a_sentence(tmp_path, name):
    content, expected = JSON[name]
    path = tmp_path / "bias.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert expected in refusal(path)


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "|b1", "|u1", "<i8"])
def test_a_good_array_is_read_whatever_its_order_type_and_version(tmp_path, version, order, dtype):
    rows = np.array([[0, 1], [1, 0]], dtype=dtype)
    path = tmp_path / "bias.npy"
    path.write_bytes(npy(claim((2, 2), dtype, order == "F"), rows.tobytes(order), version))
    train = Split("train", datasets.Dataset.from_dict({"text_a": ["a", "b"], "label": [0, 1]}), LABELS)
    bias = FileBias(FileBiasOptions(path=str(path)))
    assert [*bias.options.check_files()] == []
    bias.fit(TaskData(LABELS, "accuracy", train, train), None)
    assert bias.log_probs(train).argmax(axis=1).tolist() == [1, 0]


def test_positive_log_probabilities_are_refused(tmp_path):
    path = tmp_path / "bias.json"
    path.write_text(json.dumps([[0.1, -5.0], [-0.7, -0.7]]))
    assert "row 1: expected log-probabilities that sum to 1" in refusal(path, log=True)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a fifo", "a directory"])
@pytest.mark.parametrize("name", ["bias.npy", "bias.json"])
def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path, make, name):
    path = tmp_path / name
    path.write_text("[]")
    options = FileBiasOptions(path=str(path))
    path.unlink()
    make(path)
    assert "cannot be read" in refusal_of(options)
    with pytest.raises(ValidationError):
        FileBiasOptions(path=str(path))


def refusal_of(options: FileBiasOptions) -> str:
    train = Split("train", datasets.Dataset.from_dict({"text_a": ["a", "b"], "label": [0, 1]}), LABELS)
    with pytest.raises(DataError) as caught:
        FileBias(options).fit(TaskData(LABELS, "accuracy", train, train), None)
    return str(caught.value)


def test_a_json_file_that_is_larger_than_any_is_not_read(tmp_path):
    path = tmp_path / "bias.json"
    path.write_text("[")
    os.truncate(path, 1 << 32)
    assert "expected at most 2147483648 bytes of JSON" in refusal(path)


def test_another_ending_is_told_by_validate(tmp_path):
    path = tmp_path / "bias.csv"
    path.write_text("0.5,0.5\n")
    [found] = FileBiasOptions(path=str(path)).check_files()
    assert (found.key, found.message) == (("path",), f"{path}: expected a .npy or a .json file")
