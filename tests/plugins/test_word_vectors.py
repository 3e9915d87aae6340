"""fastText's text files of word vectors: what is read, and what is an error with a row number."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srf_datasets.word_vectors import read_vectors, table, with_vectors_of
from srframework import DataError, Split

GOOD = "3 2\nthe 0.5 -1\nThe 1 1\ncafé 1e-1 2.5 \n"


@pytest.fixture
def vec(tmp_path):
    def write(content: str | bytes) -> str:
        path = tmp_path / "words.vec"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def message(path: str) -> str:
    with pytest.raises(DataError) as caught:
        read_vectors(path, ["the"])
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    "content",
    [GOOD, GOOD.removesuffix(" \n"), "\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD + "\n"],
    ids=["plain", "no last end", "byte-order mark", "CRLF", "blank last line"],
)
def test_wanted_words_have_their_vectors_in_their_order_and_others_zeros(vec, content):
    vectors = read_vectors(vec(content), ["café", "cat", "the", "café"])
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [pytest.approx(row) for row in [[0.1, 2.5], [0, 0], [0.5, -1], [0.1, 2.5]]]


def test_of_two_rows_for_one_word_the_first_counts(vec):
    assert read_vectors(vec("2 1\na 1\na 2\n"), ["a"]).tolist() == [[1]]


def test_no_words_have_no_rows_and_the_dimensions_of_the_file(vec):
    assert read_vectors(vec(GOOD), []).shape == (0, 2)


def test_only_a_plain_space_and_a_line_feed_divide(vec):
    assert read_vectors(vec("2 1\na\u00a0b 1\nc\u2028d 2\n"), ["a\u00a0b", "c\u2028d"]).tolist() == [[1], [2]]


HEADER = "expected the number of words and the number of dimensions, got "


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("the 0.5 -1\n", f"row 1: {HEADER}'the 0.5 -1'"),
        ("the 1\n", f"row 1: {HEADER}'the 1'"),
        ("3 0\n", f"row 1: {HEADER}'3 0'"),
        ("-3 2\n", f"row 1: {HEADER}'-3 2'"),
        ("3 ²\n", f"row 1: {HEADER}'3 ²'"),
        ("the" + " 0.25" * 9, f"row 1: {HEADER}'{('the' + ' 0.25' * 9)[:39]}…'"),
        ("", f"row 1: {HEADER}''"),
        ("2 2\nthe 1 2\na 1\n", "row 3: expected 2 numbers after 'a', got 1"),
        ("2 2\nthe 1 2 3\na 1 2\n", "row 2: expected 2 numbers after 'the', got 3"),
        ("1 2\nthe\n", "row 2: expected 2 numbers after 'the', got 0"),
        ("1 2\nthe 1 x2\n", "row 2: expected a number, got 'x2'"),
        ("1 2\nthe 1 nan\n", "row 2: expected a number, got 'nan'"),
        ("1 2\nthe  2\n", "row 2: expected a number, got ''"),
        (b"2 1\nthe 1\ncaf\xe9 1\n", "row 3: expected UTF-8 text, got the byte 0xe9"),
        ("3 1\nthe 1\na 2\n", "expected 3 words, as in its first row, got 2"),
        ("1 1\nthe 1\na 2\n", "expected 1 words, as in its first row, got 2"),
    ],
)
def test_whatever_is_wrong_is_an_error_with_file_and_row(vec, content, expected):
    assert message(vec(content)) == expected


@pytest.mark.parametrize(("name", "reason"), [("missing", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_an_error_that_says_why(tmp_path, name, reason):
    assert message(str(tmp_path / name)).startswith(f"cannot be read: {reason}")


WORDS = st.text(st.characters(codec="utf-8", exclude_characters=" \r\n"), min_size=1, max_size=6)
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.dictionaries(WORDS, st.tuples(NUMBERS, NUMBERS), min_size=1))
def test_what_is_written_is_read(vec, vectors):
    rows = "".join(f"{word} {a!r} {b!r}\n" for word, (a, b) in vectors.items())
    read = read_vectors(vec(f"{len(vectors)} 2\n{rows}"), list(vectors))
    assert read.tolist() == [list(each) for each in vectors.values()]


# -- in features ---------------------------------------------------------------------------------


def lengths(split, word_vectors):
    rows, vectors = table([text.split() for text in split.examples["text_a"]], word_vectors)
    assert list(rows) == ["the", "cat"]
    return vectors


SPLIT = Split("train", datasets.Dataset.from_dict({"text_a": ["the cat", "the"], "label": [0, 0]}), ("no", "yes"))


def test_a_file_takes_the_place_of_the_vectors_that_are_given(vec):
    def refused(_):
        raise AssertionError("the file has the vectors")

    assert with_vectors_of(vec(GOOD), lengths)(SPLIT, refused).tolist() == [[0.5, -1], [0, 0]]


def test_without_a_file_the_vectors_are_those_that_are_given():
    given = with_vectors_of(None, lengths)(SPLIT, lambda words: np.array([[len(word) / 2] for word in words]))
    assert given.tolist() == [[1.5], [1.5]]
