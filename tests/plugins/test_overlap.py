"""Features of how two texts overlap, worked out by hand."""

from __future__ import annotations

import math

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srf_datasets.overlap import overlap_features
from srframework import Split


def features(*pairs: tuple[str, str]) -> np.ndarray:
    premises, hypotheses = zip(*pairs, strict=True)
    columns = {"text_a": premises, "text_b": hypotheses, "label": [0] * len(pairs)}
    return overlap_features(Split("train", datasets.Dataset.from_dict(columns), ("no", "yes")))


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
    ],
)
def test_the_four_features_of_a_pair(premise, hypothesis, expected):
    assert features((premise, hypothesis)).tolist() == [pytest.approx(expected)]


def test_a_matrix_of_float64_has_one_row_for_each_pair_in_their_order():
    matrix = features(("a b", "b"), ("a", "z"), ("a", "a"))
    assert matrix.dtype == np.float64
    assert matrix.shape == (3, 4)
    assert matrix[:, 0].tolist() == [1, 0, 1]


WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=6)


@given(WORDS, WORDS)
def test_a_contiguous_hypothesis_is_covered_and_a_covered_one_has_share_one(premise, hypothesis):
    ((covered, contiguous, share, length),) = features((" ".join(premise), " ".join(hypothesis)))
    places = range(len(premise) - len(hypothesis) + 1)
    assert contiguous == any(premise[i : i + len(hypothesis)] == hypothesis for i in places)
    assert covered == (set(hypothesis) <= set(premise))
    assert contiguous <= covered
    assert (share == 1) == covered
    assert length >= 0
