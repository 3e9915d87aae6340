"""Claim-only features, worked out by hand."""

from __future__ import annotations

import datasets
import numpy as np
import pytest

from srf_datasets.claim import claim_features
from srframework import Split

VECTORS = {"a": [1.0, -2.0, 0.0], "b": [-3.0, -1.0, 0.5]}


def features(*claims: str, dtype=np.float64) -> np.ndarray:
    columns = {"text_a": claims, "text_b": ["a b"] * len(claims), "label": [0] * len(claims)}
    split = Split("train", datasets.Dataset.from_dict(columns), ("no", "yes"))
    return claim_features(
        split, lambda words: np.array([VECTORS.get(word, [0.0] * 3) for word in words], dtype).reshape(-1, 3)
    )


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("a", [1, -2, 0]),
        ("a b", [1, -1, 0.5]),
        ("b A, a!", [1, -1, 0.5]),
        ("b unknown", [-3, -1, 0.5]),
        ("unknown", [0, 0, 0]),
        ("...", [0, 0, 0]),
    ],
)
def test_the_vectors_of_the_words_that_have_one_are_max_pooled(claim, expected):
    assert features(claim).tolist() == [expected]


def test_there_is_one_row_for_each_claim_in_their_order_and_the_evidence_plays_no_part():
    assert features("b", "?", "a").tolist() == [[-3, -1, 0.5], [0, 0, 0], [1, -2, 0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_precision_is_that_of_the_vectors(dtype):
    assert features("a", dtype=dtype).dtype == dtype


def test_claims_without_any_word_have_the_dimensions_of_the_vectors():
    assert features("...", "!").tolist() == [[0, 0, 0], [0, 0, 0]]
