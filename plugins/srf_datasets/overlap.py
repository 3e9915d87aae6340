"""Hand-made features of how two texts overlap: what NLI models fall for."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from srframework import Split

_WORD = re.compile(r"\w+")


def overlap_features(split: Split) -> np.ndarray:
    """Features of each pair (premise P = text_a, hypothesis H = text_b).

    Returns:
        ``(N, 4)``, float64: whether all words of H are in P; whether H is a contiguous
        subsequence of P; the share, in [0, 1], of H's words that are in P; log(max(|P| − |H|, 1)).
        Words are lower-cased, without punctuation.

    Source: Appendix B.3.1; Clark et al. 2019.
    """
    pairs = zip(split.examples["text_a"], split.examples["text_b"], strict=True)
    return np.array([_features(_words(premise), _words(hypothesis)) for premise, hypothesis in pairs], dtype=np.float64)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _features(premise: Sequence[str], hypothesis: Sequence[str]) -> tuple[float, float, float, float]:
    known = set(premise)
    shared = sum(word in known for word in hypothesis)
    contiguous = f" {' '.join(hypothesis)} " in f" {' '.join(premise)} "
    return (
        float(shared == len(hypothesis)),
        float(contiguous),
        shared / max(len(hypothesis), 1),
        math.log(max(len(premise) - len(hypothesis), 1)),
    )
