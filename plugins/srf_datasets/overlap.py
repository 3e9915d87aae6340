"""Features of the overlap of two texts, a known bias of NLI and paraphrase models.

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
    """Compute the overlap features of each pair (premise P = text_a, hypothesis H = text_b).

    Args:
        split: N pairs.
        word_vectors: Called once, with all words of the split.

    Returns:
        ``(N, 7)``, float64: whether all words of H are in P; whether H is a contiguous
        subsequence of P; the share, in [0, 1], of H's words that are in P; log(max(|P| − |H|, 1));
        then the mean, the minimum and the second-smallest value, each in [−1, 1], of the largest cosine
        similarity of each word of H to a word of P. The similarity is 1 for a word that is in P, and 0 for a word
        without a vector or an empty P. The second-smallest equals the minimum if H has one word; all three are 0 if
        H has none. Words are in lower case, without punctuation; repeated words of H count each time.

    Raises:
        DataError: The split has only one text.

    Source: Appendix B.3.1; Clark et al. 2019.
    """
    if "text_b" not in split.examples.column_names:
        raise DataError(f"split {split.name!r}: the overlap features need two texts, got one")
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
    known = dict.fromkeys(premise)  # not a set: the fixed order of columns makes results reproducible to the bit
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
    """Scale each vector to length 1; zero vectors stay zero."""
    lengths = np.sqrt(np.einsum("vd,vd->v", vectors, vectors, dtype=np.float64))
    lengths[lengths == 0] = 1
    units: np.ndarray = vectors / lengths[:, None].astype(vectors.dtype)
    return units
