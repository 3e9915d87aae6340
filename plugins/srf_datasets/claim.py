"""Features of a claim without its evidence, a known bias of fact verification models."""

from __future__ import annotations

import numpy as np

from srf_datasets.word_vectors import WordVectors, table
from srf_datasets.words import words
from srframework import Split


def claim_features(split: Split, word_vectors: WordVectors) -> np.ndarray:
    """Max-pool the word vectors of each claim (text_a).

    Args:
        split: N claims.
        word_vectors: Called once, with all words of the split; gives vectors of d numbers.

    Returns:
        ``(N, d)``, in the precision of the vectors: in each dimension the largest value of the claim's words
        that have a vector; zeros if no word has one. Words are in lower case, without punctuation.

    Source: Appendix B.3.1.
    """
    claims = [words(text) for text in split.examples["text_a"][:]]
    rows, vectors = table(claims, word_vectors)
    has_vector: np.ndarray = np.any(vectors, axis=1)
    features = np.zeros((len(claims), vectors.shape[1]), dtype=vectors.dtype)
    for place, claim in enumerate(claims):
        if known := [rows[word] for word in claim if has_vector[rows[word]]]:
            features[place] = vectors[known].max(axis=0)
    return features
