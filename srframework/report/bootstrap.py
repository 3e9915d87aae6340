"""Paired bootstrap intervals of a difference B − A (Efron & Tibshirani 1993, §13.3: percentiles), 95 %.

N examples, C labels, S runs, R resamples. Examples that are predicted alike in every run are of one *sort*;
drawing N examples with replacement is drawing how many there are of each of the K sorts, a multinomial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

SEED = 20221003
"""Of the resampling, so that a comparison can be repeated to the last digit."""

_AT_ONCE = 1 << 21
"""Entries of the largest table of counts."""


@dataclass(frozen=True)
class Sample:
    """What runs of A and of B say of the same N examples.

    Attributes:
        labels: ``(N,)``, the true ones, at least 0.
        a, b: ``(S, N)`` each, the predicted ones; their S need not be the same.
    """

    labels: Ints
    a: Ints
    b: Ints


def accuracy(counts: Floats, labels: Ints, predicted: Ints) -> Floats:
    """Of each of R resamples: ``(R, K)`` counts, ``(K,)`` labels and predictions of the sorts -> ``(R,)``."""
    right: Floats = counts @ (labels == predicted) / counts.sum(axis=1)
    return right


def weighted_f1(counts: Floats, labels: Ints, predicted: Ints) -> Floats:
    """Likewise; each class's F1, weighted by its number of true examples, 0 where it is never predicted.

    As the evaluator ``f1`` of the built-ins has it.
    """
    total = np.zeros(len(counts))
    for label in np.unique(labels):
        true, said = labels == label, predicted == label
        gold = counts @ true
        both = gold + counts @ said
        hits = counts @ (true & said)
        total += gold * np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0)
    f1: Floats = total / counts.sum(axis=1)
    return f1


METRICS: dict[str, Callable[[Floats, Ints, Ints], Floats]] = {"accuracy": accuracy, "f1": weighted_f1}
"""The metrics that can be had from predicted and true labels alone."""


def over_examples(metric: str, samples: Sequence[Sample], resamples: int) -> tuple[float, float]:
    """The interval of the difference in the mean over runs, as examples are drawn anew.

    Args:
        metric: One of :data:`METRICS`.
        samples: One where all runs saw the same examples; else one for each set of examples, which
            are drawn independently, and weigh as many runs as A has there.
        resamples: R.
    """
    generator = np.random.default_rng(SEED)
    runs = sum(len(sample.a) for sample in samples)
    total = sum(len(s.a) / runs * _differences(METRICS[metric], s, resamples, generator) for s in samples)
    return _percentiles(np.asarray(total))


def over_seeds(differences: Sequence[float], resamples: int) -> tuple[float, float]:
    """The interval of the mean of the differences, one a seed, as seeds are drawn anew."""
    count = len(differences)
    drawn = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=resamples)
    return _percentiles(drawn @ np.asarray(differences, dtype=np.float64) / count)


def point(metric: str, labels: Ints, predicted: Ints) -> float:
    """The metric itself, of ``(N,)`` labels and predictions."""
    return float(METRICS[metric](np.ones((1, len(labels))), labels, predicted)[0])


def _differences(
    metric: Callable[[Floats, Ints, Ints], Floats], sample: Sample, resamples: int, generator: np.random.Generator
) -> Floats:
    """``(R,)``."""
    sorts, numbers = np.unique(np.vstack([sample.labels, sample.a, sample.b]), axis=1, return_counts=True)
    labels, a, b = sorts[0], sorts[1 : 1 + len(sample.a)], sorts[1 + len(sample.a) :]
    parts: list[Floats] = []
    for counts in _counts(numbers, resamples, generator):
        of_a, of_b = (np.mean([metric(counts, labels, said) for said in runs], axis=0) for runs in (a, b))
        parts.append(of_b - of_a)
    return np.concatenate(parts)


def _counts(numbers: Ints, resamples: int, generator: np.random.Generator) -> Iterator[Floats]:
    """Resampled numbers of each sort, ``(at most R, K)``, R in all."""
    total = int(numbers.sum())
    rows = max(1, _AT_ONCE // len(numbers))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        yield generator.multinomial(total, numbers / total, size=size).astype(np.float64)


def _percentiles(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
