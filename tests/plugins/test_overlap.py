"""Features of how two texts overlap, worked out by hand."""

from __future__ import annotations

import math

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srf_datasets.overlap import overlap_features
from srframework import DataError, Split

VECTORS = {"x": [1.0, 0.0], "y": [0.0, 2.0], "xy": [3.0, 3.0], "minus": [-4.0, 0.0], "long": [3.0, 4.0]}
"""Cosines: x, y: 0; x, xy and y, xy: √½; x, minus: −1; xy, minus: −√½; x, long: 0.6; y, long: 0.8."""

HALF = math.sqrt(0.5)


def vectors_of(words):
    return np.array([VECTORS.get(word, [0.0, 0.0]) for word in words]).reshape(len(words), 2)


def split_of(*pairs: tuple[str, str]) -> Split:
    premises, hypotheses = zip(*pairs, strict=True)
    columns = {"text_a": premises, "text_b": hypotheses, "label": [0] * len(pairs)}
    return Split("train", datasets.Dataset.from_dict(columns), ("no", "yes"))


def features(*pairs: tuple[str, str]) -> np.ndarray:
    return overlap_features(split_of(*pairs), vectors_of)


@pytest.mark.parametrize(
    ("premise", "hypothesis", "expected"),
    [
        ("the doctor paid the actor", "the doctor paid", [1, 1, 1, math.log(2)]),
        ("the doctor paid the actor", "the actor paid the doctor", [1, 0, 1, 0]),
        ("the doctor paid the actor", "the doctor slept", [0, 0, 2 / 3, math.log(2)]),
        ("a b", "c d", [0, 0, 0, 0]),
        ("a", "b a c d", [0, 0, 0.25, 0]),
        ("a b", "a b", [1, 1, 1, 0]),
        ("The Doctor, paid!", "the doctor paid.", [1, 1, 1, 0]),
        ("an actor's dog", "actor s", [1, 1, 1, math.log(2)]),
        ("the cart", "the car", [0, 0, 0.5, 0]),
        ("a b a b c d e", "a a", [1, 0, 1, math.log(5)]),
        ("Ça va bien", "ça va", [1, 1, 1, 0]),
        ("a b c", "...", [1, 0, 0, math.log(3)]),
        ("...", "a", [0, 0, 0, 0]),
        ("...", "!", [1, 0, 0, 0]),
    ],
)
def test_the_four_features_of_the_words_of_a_pair(premise, hypothesis, expected):
    assert features((premise, hypothesis))[:, :4].tolist() == [pytest.approx(expected)]


@pytest.mark.parametrize(
    ("premise", "hypothesis", "mean", "least", "second"),
    [
        pytest.param("x y", "xy", HALF, HALF, HALF, id="one word: the second-smallest is the smallest"),
        pytest.param("x", "xy minus", (HALF - 1) / 2, -1, HALF, id="two words"),
        pytest.param("long", "x y xy", (0.6 + 0.8 + 1.4 * HALF) / 3, 0.6, 0.8, id="three words"),
        pytest.param("x y", "long", 0.8, 0.8, 0.8, id="the largest over the premise, not their mean"),
        pytest.param("x", "x minus", 0, -1, 1, id="a word of the premise has 1"),
        pytest.param("x cat", "cat dog", 0.5, 0, 1, id="a word of the premise has 1, even without a vector"),
        pytest.param("x", "y y x", 1 / 3, 0, 0, id="a word that is there twice counts twice"),
        pytest.param("minus cat", "x", 0, 0, 0, id="a word without a vector in the premise has similarity 0"),
        pytest.param("minus", "x", -1, -1, -1, id="alone in the premise, an opposite has -1"),
        pytest.param("x y", "X, Y!", 1, 1, 1, id="words are lower-cased, without punctuation"),
        pytest.param("x y", "...", 0, 0, 0, id="no hypothesis"),
        pytest.param("...", "x y", 0, 0, 0, id="no premise"),
        pytest.param("...", "...", 0, 0, 0, id="nothing"),
    ],
)
def test_the_three_features_of_the_vectors_of_a_pair(premise, hypothesis, mean, least, second):
    assert features((premise, hypothesis))[0, 4:].tolist() == pytest.approx([mean, least, second], abs=1e-12)


def test_a_matrix_of_float64_has_one_row_for_each_pair_in_their_order():
    matrix = features(("a b", "b"), ("a", "z"), ("a", "a"))
    assert matrix.dtype == np.float64
    assert matrix.shape == (3, 7)
    assert matrix[:, 0].tolist() == [1, 0, 1]


def test_the_vectors_of_all_words_are_looked_up_in_one_call_each_word_once():
    calls = []

    def recorded(words):
        calls.append(list(words))
        return vectors_of(words)

    overlap_features(split_of(("x y", "x cat"), ("Y x", "dog")), recorded)
    (words,) = calls
    assert sorted(words) == ["cat", "dog", "x", "y"]


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_vectors_of_another_precision_give_the_same(dtype):
    pairs = ("x y", "xy minus long"), ("long", "x")
    other = overlap_features(split_of(*pairs), lambda words: vectors_of(words).astype(dtype))
    assert other == pytest.approx(features(*pairs), abs=1e-6)


def test_words_of_one_direction_have_no_more_than_one():
    drawn = np.random.default_rng(1).standard_normal((100, 7))
    vectors = {name: row for i, row in enumerate(drawn) for name, row in ((f"a{i}", row), (f"b{i}", 3 * row))}
    pairs = [(f"a{i}", f"b{i}") for i in range(100)]
    given = overlap_features(split_of(*pairs), lambda words: np.array([vectors[word] for word in words]))
    assert given[:, 4:] == pytest.approx(1)
    assert given.max() == 1  # though some scalar products of unit vectors are more, by rounding


def test_a_split_with_one_text_is_an_error():
    split = Split("far", datasets.Dataset.from_dict({"text_a": ["a"], "label": [0]}), ("no", "yes"))
    with pytest.raises(DataError) as caught:
        overlap_features(split, vectors_of)
    assert str(caught.value) == "split 'far': the overlap features need two texts, got one"


WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=6)
PLANE = st.fixed_dictionaries({word: st.tuples(*[st.integers(-3, 3)] * 2) for word in "abcd"})


@given(WORDS, WORDS)
def test_a_contiguous_hypothesis_is_covered_and_a_covered_one_has_share_one(premise, hypothesis):
    ((covered, contiguous, share, length, *_),) = features((" ".join(premise), " ".join(hypothesis)))
    places = range(len(premise) - len(hypothesis) + 1)
    assert contiguous == any(premise[i : i + len(hypothesis)] == hypothesis for i in places)
    assert covered == (set(hypothesis) <= set(premise))
    assert contiguous <= covered
    assert (share == 1) == covered
    assert length >= 0


def cosine(a, b) -> float:
    lengths = math.hypot(*a) * math.hypot(*b)
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


@given(WORDS, WORDS, PLANE)
def test_similarities_are_those_of_a_plain_double_loop(premise, hypothesis, vectors):
    best = sorted(
        1.0 if word in premise else max(cosine(vectors[word], vectors[other]) for other in premise)
        for word in hypothesis
    )
    given = overlap_features(
        split_of((" ".join(premise), " ".join(hypothesis))), lambda words: np.array([vectors[word] for word in words])
    )
    expected = [sum(best) / len(best), best[0], best[1] if len(best) > 1 else best[0]]
    assert given[0, 4:].tolist() == pytest.approx(expected, abs=1e-9)
