"""Pickled tables of bias probabilities become the JSON that bias-file reads."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest

from srframework.errors import DataError, UsageError
from srframework.inputs import bias_table
from srframework.inputs.bias_table import convert


@pytest.fixture
def converted(tmp_path):
    """What convert returns for a pickled value, and the JSON that it writes."""

    def run(value: object, protocol: int = 2) -> tuple[tuple[int, int, bool], object]:
        source, target = tmp_path / "in.pkl", tmp_path / "out.json"
        source.write_bytes(pickle.dumps(value, protocol=protocol))
        return convert(source, target), json.loads(target.read_text())

    return run


@pytest.fixture
def refused(tmp_path):
    def run(value: object) -> str:
        source, target = tmp_path / "in.pkl", tmp_path / "out.json"
        source.write_bytes(pickle.dumps(value))
        with pytest.raises(DataError) as caught:
            convert(source, target)
        assert not target.exists()
        return str(caught.value).removeprefix(f"{source}: ")

    return run


@pytest.mark.parametrize(
    "row",
    [[0.25, 0.75], (0.25, 0.75), np.array([0.25, 0.75]), np.array([0.25, 0.75], dtype=">f4"), np.array([[0.25, 0.75]])],
    ids=["list", "tuple", "array", "float32", "matrix of one row"],
)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_rows_are_written_by_id(converted, row, protocol):
    assert converted({"a": row, 7: [1, 0]}, protocol) == ((2, 2, False), {"a": [0.25, 0.75], "7": [1.0, 0.0]})


def test_log_probabilities_are_recognised_and_stay_logarithms(converted):
    (rows, columns, is_log), table = converted({1: np.log([0.5, 0.25, 0.25]), 2: np.array([0.0, -np.inf, -np.inf])})
    assert (rows, columns, is_log) == (2, 3, True)
    assert table == {"1": np.log([0.5, 0.25, 0.25]).tolist(), "2": [0.0, -1e9, -1e9]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([[0.5, 0.5]], "expected a dictionary from example ids to rows, got a value of type list"),
        ({}, "expected a dictionary from example ids to rows, got an empty one"),
        ({"a": 1.0}, "id 'a': expected a list, a tuple or an array of numbers, got a value of type float"),
        ({"a": [0.5, "x"]}, "id 'a': expected numbers, got a value of type str"),
        ({"a": [True, False]}, "id 'a': expected numbers, got a value of type bool"),
        ({"a": [None, 1.0]}, "id 'a': expected numbers, got nothing"),
        ({"a": [1.0]}, "id 'a': expected a number for each label, 2 to 1000, got 1"),
        ({"a": [0.001] * 1001}, "id 'a': expected a number for each label, 2 to 1000, got 1001"),
        ({"a": np.full(1001, 0.001)}, "id 'a': expected at most 1000 numbers, got an array of 1001"),
        ({"a": np.full((2, 2), 0.25)}, "id 'a': expected one row of numbers, got an array of shape (2, 2)"),
        ({"a": [0.5, 0.5], "b": [1.0, 0.0, 0.0]}, "id 'b': expected 2 numbers, as in the first row, got 3"),
        ({"1": [0.5, 0.5], 1: [0.5, 0.5]}, "expected each id once, got '1' as a text and as a number"),
        ({"a": [0.5, float("nan")]}, "id 'a': expected finite numbers, got nan"),
        ({"a": [0.5, float("inf")]}, "id 'a': expected finite numbers, got inf"),
    ],
)
def test_other_tables_are_refused(refused, value, expected):
    assert refused(value) == expected


@pytest.mark.parametrize("row", [[0.5, 0.6], [2.0, -1.0], [-1.0, -1.0], [3.0, 4.0], [1000.0, -1000.0]])
def test_rows_that_are_no_probabilities_are_refused(refused, row):
    expected = "expected rows of probabilities, or rows of log-probabilities, that sum to 1"
    assert refused({"a": row, "b": [0.5, 0.5]}) == f"id 'a': {expected}; got '{row}'"


def test_probabilities_and_logarithms_are_not_mixed(refused):
    assert refused({"a": [0.5, 0.5], "b": [-0.6931472, -0.6931472]}).startswith("id 'a': expected rows of ")


def test_one_long_row_that_is_used_often_is_refused(refused):
    row = [0.001] * 1000
    assert refused(dict.fromkeys(range(10_000), row)).startswith("expected at most ")


def test_a_hostile_pickle_writes_nothing(tmp_path, refused):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    assert "nothing in the file was executed" in refused({"a": Hostile()})
    assert not (tmp_path / "made").exists()


def test_a_file_that_exists_is_not_overwritten(tmp_path):
    (tmp_path / "out.json").write_text("mine")
    with pytest.raises(UsageError, match="already exists"):
        convert(tmp_path / "in.pkl", tmp_path / "out.json")
    assert (tmp_path / "out.json").read_text() == "mine"


def test_what_is_no_file_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match=r"in\.pkl: cannot be read: No such file"):
        convert(tmp_path / "in.pkl", tmp_path / "out.json")
    os.mkfifo(tmp_path / "pipe.pkl")
    with pytest.raises(DataError, match="expected a regular file, got a FIFO"):
        convert(tmp_path / "pipe.pkl", tmp_path / "out.json")


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(bias_table, "LARGEST", 3)
    (tmp_path / "in.pkl").write_bytes(b"1234")
    with pytest.raises(DataError, match="expected at most 3 bytes, got 4"):
        convert(tmp_path / "in.pkl", tmp_path / "out.json")
