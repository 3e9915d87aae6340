"""Hand-made features of how two texts overlap: what NLI and paraphrase models fall for.

Shapes: a premise of |P| words, a hypothesis of |H| words, vectors of d numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from srf_datasets.word_vectors import WordVectors, table
from srf_datasets.words import words
from srframework import DataError, Split


def overlap_features(split: Split, word_vectors: WordVectors) -> np.ndarray:
    """Features of each pair (premise P = text_a, hypothesis H = text_b).

    Args:
        split: N pairs.
        word_vectors: Asked once, for all words of the split.

    Returns:
        ``(N, 7)``, float64: whether all words of H are in P; whether H is a contiguous
        subsequence of P; the share, in [0, 1], of H's words that are in P; log(max(|P| − |H|, 1));
        then the mean, the minimum and the second-smallest, each in [−1, 1], over H's words of the
        largest cosine similarity to a word of P. A word that is itself in P has 1; one without a vector, or
        with nothing in P to compare, 0. The second-smallest is the minimum where H has one word.
        All three are 0 where H has none. Words are lower-cased, without punctuation; one that H has twice counts twice.

    Raises:
        DataError: The split has one text only.

    Source: Appendix B.3.1; Clark et al. 2019.
    """
    if "text_b" not in split.examples.column_names:
        raise DataError(f"split {split.name!r}: expected two texts, for features of how they overlap, got one")
    premises = [words(text) for text in split.examples["text_a"][:]]
    hypotheses = [words(text) for text in split.examples["text_b"][:]]
    rows, vectors = table((*premises, *hypotheses), word_vectors)
    units = _units(vectors)
    features = np.empty((len(premises), 7), dtype=np.float64)
    for place, (premise, hypothesis) in enumerate(zip(premises, hypotheses, strict=True)):
        features[place] = _features(premise, hypothesis, rows, units)
    return features


def _features(
    premise: Sequence[str], hypothesis: Sequence[str], rows: Mapping[str, int], units: np.ndarray
) -> tuple[float, ...]:
    known = dict.fromkeys(premise)  # no set: the order of the columns, and so every last bit, is always the same
    absent = [rows[word] for word in hypothesis if word not in known]
    shared = len(hypothesis) - len(absent)
    similarities = [1.0] * shared
    if absent and known:
        cosines = units[absent] @ units[[rows[word] for word in known]].T
        similarities += np.clip(cosines.max(axis=1), -1, 1).tolist()
    else:
        similarities += [0.0] * len(absent)
    similarities.sort()
    return (
        float(not absent),
        float(bool(hypothesis) and f" {' '.join(hypothesis)} " in f" {' '.join(premise)} "),
        shared / max(len(hypothesis), 1),
        math.log(max(len(premise) - len(hypothesis), 1)),
        math.fsum(similarities) / max(len(hypothesis), 1),
        similarities[0] if similarities else 0.0,
        similarities[:2][-1] if similarities else 0.0,
    )


def _units(vectors: np.ndarray) -> np.ndarray:
    """The vectors at length 1; what is zero stays so."""
    lengths = np.sqrt(np.einsum("vd,vd->v", vectors, vectors, dtype=np.float64))
    lengths[lengths == 0] = 1
    units: np.ndarray = vectors / lengths[:, None].astype(vectors.dtype)
    return units
