"""The bias model ``bias-file``: files of predictions, good and bad."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pytest
from pydantic import ValidationError

from srf_debiasers.bias import FileBias
from srf_debiasers.options import FileBiasOptions
from srframework import DataError, Split, TaskData

LABELS = ("contradiction", "entailment", "neutral")


def make_split(name: str, ids: list[object] | None = None) -> Split:
    """A split of examples with these ids, or of two without."""
    count = 2 if ids is None else len(ids)
    columns = {"text_a": ["a"] * count, "label": [0] * count} | ({} if ids is None else {"id": ids})
    return Split(name, datasets.Dataset.from_dict(columns), LABELS)


ROWS = [[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]


def file_bias(path: Path, ids: list[object] | None = None, log: bool = False) -> tuple[FileBias, Split]:
    """Fitted on two training examples, which are given back too."""
    bias, train = FileBias(FileBiasOptions(path=str(path), log=log)), make_split("train", ids=ids)
    bias.fit(TaskData(LABELS, "accuracy", train, train), None)
    return bias, train


def from_file(path: Path, ids: list[object] | None = None, log: bool = False) -> np.ndarray:
    bias, train = file_bias(path, ids, log)
    return bias.log_probs(train)


def saved(path: Path, content: object) -> Path:
    if path.suffix == ".npy":
        np.save(path, content)
    else:
        path.write_text(json.dumps(content))
    return path


class TestFile:
    @pytest.mark.parametrize("name", ["bias.npy", "bias.json"])
    def test_rows_are_taken_in_the_order_of_the_examples(self, tmp_path, name):
        np.testing.assert_allclose(from_file(saved(tmp_path / name, ROWS)), np.log(ROWS), atol=1e-12)

    @pytest.mark.parametrize("ids", [["b", "a"], [7, 3]], ids=["strings", "integers"])
    def test_rows_by_id_are_taken_by_id(self, tmp_path, ids):
        content = {str(ids[1]): ROWS[1], "of another split": [1, 0, 0], str(ids[0]): ROWS[0]}
        np.testing.assert_allclose(from_file(saved(tmp_path / "b.json", content), ids), np.log(ROWS), atol=1e-12)

    def test_a_list_is_taken_in_order_although_the_examples_have_ids(self, tmp_path):
        path = saved(tmp_path / "bias.json", ROWS)
        np.testing.assert_allclose(from_file(path, ids=["b", "a"]), np.log(ROWS), atol=1e-12)

    @pytest.mark.parametrize("name", ["bias.npy", "bias.json"])
    def test_log_probabilities_are_taken_as_they_are(self, tmp_path, name):
        path = saved(tmp_path / name, np.log(ROWS).tolist())
        np.testing.assert_allclose(from_file(path, log=True), np.log(ROWS), atol=1e-12)

    @pytest.mark.parametrize("dtype", ["float16", "float32", "int64"])
    def test_any_type_of_number_will_do(self, tmp_path, dtype):
        path = saved(tmp_path / "bias.npy", np.array([[1, 0, 0], [0, 1, 0]], dtype=dtype))
        log_probs = from_file(path)
        assert log_probs.dtype == np.float64
        assert log_probs.argmax(axis=1).tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("rows", "log"), [([[1, 0, 0], [0, 0, 1]], False), ([[0, -np.inf, -np.inf], [-np.inf, -np.inf, 0]], True)]
    )
    def test_a_probability_of_zero_has_a_finite_logarithm(self, tmp_path, rows, log):
        log_probs = from_file(saved(tmp_path / "bias.npy", rows), log=log)
        assert np.isfinite(log_probs).all()
        np.testing.assert_allclose(log_probs[0], [0, np.log(1e-8), np.log(1e-8)], atol=1e-6)

    def test_rows_that_are_nearly_normalised_are_normalised(self, tmp_path):
        log_probs = from_file(saved(tmp_path / "bias.json", [[0.333, 0.333, 0.3335], [0.2, 0.3, 0.5]]))
        np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-12)


TABLE = {"a": ROWS[0], "b": ROWS[1], "7": [0.5, 0.25, 0.25], "8": [0.1, 0.8, 0.1]}
"""Rows of the training examples, a and b, and of two others."""


class TestOtherSplits:
    def test_a_table_by_id_is_asked_for_any_split(self, tmp_path):
        bias, _ = file_bias(saved(tmp_path / "bias.json", TABLE), ["a", "b"])
        log_probs = bias.log_probs(make_split("dev", ids=[8, 7, 8]))
        expected = np.log([TABLE["8"], TABLE["7"], TABLE["8"]])
        np.testing.assert_allclose(log_probs, expected, atol=1e-12)

    @pytest.mark.parametrize(
        "ids",
        [None, [7, 9], ["a", "b"], ["a", "7"], []],
        ids=["without ids", "one is not there", "ids of the training set", "one of the training set", "empty"],
    )
    def test_of_a_split_that_is_not_in_the_table_nothing_is_known(self, tmp_path, ids):
        bias, _ = file_bias(saved(tmp_path / "bias.json", TABLE), ["a", "b"])
        assert bias.log_probs(make_split("dev", ids=ids)) is None

    @pytest.mark.parametrize("name", ["bias.npy", "bias.json"])
    @pytest.mark.parametrize("ids", [None, ["a", "b"]])
    def test_of_rows_in_order_only_the_training_set_has_any(self, tmp_path, name, ids):
        bias, _ = file_bias(saved(tmp_path / name, ROWS), ids)
        assert bias.log_probs(make_split("train", ids=ids)) is None  # another two examples

    def test_the_training_set_may_be_evaluated_too(self, tmp_path):
        bias, train = file_bias(saved(tmp_path / "bias.json", ROWS))
        np.testing.assert_allclose(bias.log_probs(Split("dev", train.examples, LABELS)), np.log(ROWS), atol=1e-12)

    def test_what_a_caller_does_to_its_copy_changes_nothing(self, tmp_path):
        bias, train = file_bias(saved(tmp_path / "bias.json", ROWS))
        bias.log_probs(train)[:] = 0
        np.testing.assert_allclose(bias.log_probs(train), np.log(ROWS), atol=1e-12)

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ([0.5, 0.2, 0.2], "id '8': expected probabilities that sum to 1, got [0.5, 0.2, 0.2]"),
            ([0.5, 0.5], "expected rows of numbers, which cannot be read"),
            ("half", "expected rows of numbers, which cannot be read"),
        ],
    )
    def test_their_rows_are_checked_too(self, tmp_path, row, message):
        path = saved(tmp_path / "bias.json", {**TABLE, "8": row})
        bias, _ = file_bias(path, ["a", "b"])
        with pytest.raises(DataError) as refused:
            bias.log_probs(make_split("dev", ids=[7, 8]))
        assert str(refused.value).startswith(f"{path}: {message}")

    def test_their_rows_have_a_column_for_each_label(self, tmp_path):
        bias, _ = file_bias(saved(tmp_path / "bias.json", {**TABLE, "8": [0.5, 0.5]}), ["a", "b"])
        expected = r"a row for each example of split 'dev' and a column for each label, \(1, 3\), got \(1, 2\)"
        with pytest.raises(DataError, match=expected):
            bias.log_probs(make_split("dev", ids=[8]))


class TestBadFile:
    def assert_refused(self, path: Path, expected: str, **options: object) -> None:
        with pytest.raises(DataError) as refused:
            from_file(path, **options)
        assert str(refused.value).startswith(f"{path}: ")
        assert expected in str(refused.value)

    @pytest.mark.parametrize(
        ("content", "shape"),
        [
            ([*ROWS, ROWS[0]], "(3, 3)"),
            ([ROWS[0]], "(1, 3)"),
            ([[0.5, 0.5], [0.5, 0.5]], "(2, 2)"),
            ([0.5, 0.5], "(2,)"),
            ([], "(0,)"),
            ([ROWS], "(1, 2, 3)"),
            (0.5, "()"),
        ],
    )
    @pytest.mark.parametrize("name", ["bias.npy", "bias.json"])
    def test_another_shape_is_shown_expected_first(self, tmp_path, name, content, shape):
        expected = f"expected a row for each training example and a column for each label, (2, 3), got {shape}"
        self.assert_refused(saved(tmp_path / name, content), expected)

    @pytest.mark.parametrize(
        "row",
        [[0.7, 0.2, 0.2], [0.0, 0.0, 0.0], [1.2, -0.1, -0.1], [np.nan, 0.5, 0.5], [np.inf, -np.inf, 1.0]],
        ids=["sum", "zero", "negative", "NaN", "infinite"],
    )
    @pytest.mark.parametrize("name", ["bias.npy", "bias.json"])
    def test_a_row_that_is_no_distribution_is_numbered_and_shown(self, tmp_path, name, row):
        path = saved(tmp_path / name, [ROWS[0], row])
        self.assert_refused(path, f"row 2: expected probabilities that sum to 1, got {row}")

    @pytest.mark.parametrize("row", [[0.7, 0.2, 0.1], [1000.0, 0.0, 0.0], [np.nan, 0.0, 0.0]])
    def test_a_row_that_is_no_log_distribution_is_numbered_and_shown(self, tmp_path, row):
        path = saved(tmp_path / "bias.npy", [row, np.log(ROWS[1])])
        self.assert_refused(path, f"row 1: expected log-probabilities that sum to 1, got {row}", log=True)

    def test_a_row_by_id_is_named_by_its_id(self, tmp_path):
        path = saved(tmp_path / "bias.json", {"x": ROWS[0], "y": [0.7, 0.2, 0.2]})
        self.assert_refused(path, "id 'y': expected probabilities that sum to 1, got [0.7, 0.2, 0.2]", ids=["x", "y"])

    def test_log_probabilities_that_are_not_announced_are_refused(self, tmp_path):
        self.assert_refused(saved(tmp_path / "bias.npy", np.log(ROWS)), "row 1: expected probabilities")

    @pytest.mark.parametrize(
        "content",
        [b"", b"\x93NUMPY", b"rubbish", b"PK\x03\x04 rubbish", b"\x80\x04K\x01.", b"\xff" * 200],
        ids=["empty", "cut short", "rubbish", "like a zip", "a pickle", "binary"],
    )
    def test_a_damaged_npy_is_named(self, tmp_path, content):
        (tmp_path / "bias.npy").write_bytes(content)
        self.assert_refused(tmp_path / "bias.npy", "expected rows of numbers, which cannot be read")

    def test_an_npy_cut_short_in_its_numbers_is_named(self, tmp_path):
        path = saved(tmp_path / "bias.npy", ROWS)
        path.write_bytes(path.read_bytes()[:-8])
        self.assert_refused(path, "expected rows of numbers, which cannot be read")

    def test_python_objects_in_an_npy_are_never_unpickled(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (pytest.fail, ("unpickled",))

        np.save(tmp_path / "bias.npy", np.array([[Trap()]], dtype=object), allow_pickle=True)
        self.assert_refused(tmp_path / "bias.npy", "Object arrays cannot be loaded")

    def test_an_archive_of_arrays_is_refused(self, tmp_path):
        np.savez(tmp_path / "bias.npz", ROWS)
        (tmp_path / "bias.npz").rename(tmp_path / "bias.npy")
        self.assert_refused(tmp_path / "bias.npy", "expected rows of numbers, which cannot be read")

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"[[0.5, 0.5",
            b"\xff\xfe\x00",
            b'["half", "half"]',
            b"[[0.1, 0.9], [1.0]]",
            b'[{"p": 1}, {"p": 0}]',
            b"[[1" + b"0" * 400 + b", 0, 0], [1, 0, 0]]",
            b"[" * 100_000,
        ],
        ids=["empty", "unclosed", "binary", "words", "ragged", "tables", "huge", "deep"],
    )
    def test_a_damaged_json_is_named(self, tmp_path, content):
        (tmp_path / "bias.json").write_bytes(content)
        self.assert_refused(tmp_path / "bias.json", "expected rows of numbers, which cannot be read")

    @pytest.mark.parametrize("content", [b"null", b"[[null, 0.5, 0.5], [1, 0, 0]]"])
    def test_null_is_no_number(self, tmp_path, content):
        (tmp_path / "bias.json").write_bytes(content)
        self.assert_refused(tmp_path / "bias.json", "expected")

    def test_ids_without_a_row_are_counted_and_the_first_is_named(self, tmp_path):
        path = saved(tmp_path / "bias.json", {"c": ROWS[0]})
        self.assert_refused(path, "got none for id 'a' (2 missing)", ids=["a", "b"])

    def test_rows_by_id_for_examples_without_ids_are_refused(self, tmp_path):
        path = saved(tmp_path / "bias.json", {"a": ROWS[0]})
        self.assert_refused(path, "the training examples have no column 'id'; got rows by id")

    def test_rows_of_different_lengths_by_id_are_refused(self, tmp_path):
        path = saved(tmp_path / "bias.json", {"a": ROWS[0], "b": [1.0]})
        self.assert_refused(path, "cannot be read", ids=["a", "b"])

    @pytest.mark.parametrize("name", ["bias.csv", "bias", "bias.npz"])
    def test_another_kind_of_file_is_refused(self, tmp_path, name):
        (tmp_path / name).write_text("0.5,0.5")
        self.assert_refused(tmp_path / name, "expected a .npy or a .json file")

    def test_a_missing_file_or_a_directory_is_refused_with_the_recipe(self, tmp_path):
        with pytest.raises(ValidationError, match="no such file"):
            FileBiasOptions(path=str(tmp_path / "no.npy"))
        with pytest.raises(ValidationError, match="a directory"):
            FileBiasOptions(path=str(tmp_path))

    def test_a_file_that_has_gone_since_is_named(self, tmp_path):
        path = saved(tmp_path / "bias.json", ROWS)
        bias = FileBias(FileBiasOptions(path=str(path)))
        path.unlink()
        with pytest.raises(DataError, match="No such file"):
            bias.fit(TaskData(LABELS, "accuracy", make_split("train"), make_split("dev")), None)


# -- rows that are missing -------------------------------------------------------------------------


def dropping(path: Path, ids: list[object] | None) -> TaskData:
    """The task that is left of one with these training examples."""
    bias = FileBias(FileBiasOptions(path=str(path), missing="drop"))
    train = make_split("train", ids)
    left = bias.restrict(TaskData(LABELS, "accuracy", train, make_split("dev", [1, 2]), notes=("before",)))
    bias.fit(left, None)
    assert bias.log_probs(left.train).shape == (len(left.train.examples), 3)
    return left


def test_examples_without_a_row_are_dropped_counted_and_reported(tmp_path):
    path = saved(tmp_path / "bias.json", {"7": ROWS[0], "9": ROWS[1], "1": ROWS[0]})
    left = dropping(path, [9, 8, 7, 6])
    assert left.train.examples["id"][:] == [9, 7]
    assert left.dev.examples["id"][:] == [1, 2]  # only the training set is restricted
    assert left.notes == (
        "before",
        f'train: 2 of 4 examples dropped, because {path} has no row for them (missing = "drop")',
    )


def test_the_rows_of_the_examples_that_are_left_are_theirs(tmp_path):
    path = saved(tmp_path / "bias.json", {"7": ROWS[0], "9": ROWS[1]})
    bias = FileBias(FileBiasOptions(path=str(path), missing="drop"))
    train = make_split("train", [9, 8, 7])
    left = bias.restrict(TaskData(LABELS, "accuracy", train, train))
    bias.fit(left, None)
    np.testing.assert_allclose(bias.log_probs(left.train), np.log([ROWS[1], ROWS[0]]), atol=1e-12)


def test_nothing_is_dropped_where_there_is_every_row_or_nobody_asks(tmp_path):
    path = saved(tmp_path / "bias.json", {"7": ROWS[0], "9": ROWS[1]})
    train = make_split("train", [7, 9])
    task = TaskData(LABELS, "accuracy", train, train)
    assert FileBias(FileBiasOptions(path=str(path), missing="drop")).restrict(task) is task
    task = TaskData(LABELS, "accuracy", make_split("train", [7, 8]), train)
    bias = FileBias(FileBiasOptions(path=str(path)))
    assert bias.restrict(task) is task
    with pytest.raises(DataError, match=r"got none for id '8' \(1 missing\); missing = \"drop\" drops them"):
        bias.fit(task, None)


@pytest.mark.parametrize(
    ("content", "ids", "expected"),
    [
        (ROWS, [1, 2], 'missing = "drop": expected a table from example id to row, got rows in order'),
        ({"1": ROWS[0]}, None, "got training examples without a column 'id'"),
        (
            {"a": ROWS[0]},
            [1, 2, 3, 4],
            "none of their 4 ids; ids of the file: a; of the examples: 1, 2, 3 and 1 more",
        ),
    ],
)
def test_what_cannot_be_dropped_is_a_sentence(tmp_path, content, ids, expected):
    with pytest.raises(DataError) as caught:
        dropping(saved(tmp_path / "bias.json", content), ids)
    assert expected in str(caught.value)
