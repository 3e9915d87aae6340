"""Paired bootstrap intervals of a difference B − A (Efron & Tibshirani 1993, §13.3: percentiles), 95 %.

N examples, C labels, S runs, R resamples. Examples with the same label and the same predictions in every run are of
one *sort*. Drawing N examples with replacement means drawing a count for each of the K sorts: a multinomial.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from srframework.report.metrics import Floats, Metric

Ints: TypeAlias = NDArray[np.int64]

SEED = 20221003
"""Seed of the resampling, so that a comparison gives the same digits again."""

MOST_NUMBERS = 1 << 21
"""Entries of the largest table of counts, or of confusion matrices."""


@dataclass(frozen=True)
class Sample:
    """The predictions of the runs of A and of B for the same N examples.

    Attributes:
        labels: ``(N,)``, true labels, at least 0.
        a, b: ``(S, N)`` each, predicted labels; A and B may have different S.
    """

    labels: Ints
    a: Ints
    b: Ints


def over_examples(metric: Metric, samples: Sequence[Sample], resamples: int) -> tuple[float, float]:
    """The interval of the difference of means over runs, when examples are resampled.

    Args:
        metric: Computed from predicted and true labels.
        samples: One sample if all runs have the same examples; otherwise one for each set of examples. Sets are
            resampled independently, and each counts with the number of runs that A has on it.
        resamples: R.
    """
    generator = np.random.default_rng(SEED)
    runs = sum(len(sample.a) for sample in samples)
    total = sum(len(s.a) / runs * _differences(metric, s, resamples, generator) for s in samples)
    return _percentiles(np.asarray(total))


def over_seeds(differences: Sequence[float], resamples: int) -> tuple[float, float]:
    """The interval of the mean difference (one per seed), when seeds are resampled."""
    count = len(differences)
    drawn = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=resamples)
    return _percentiles(drawn @ np.asarray(differences, dtype=np.float64) / count)


def point_estimate(metric: Metric, labels: Ints, predicted: Ints) -> float:
    """The metric of ``(N,)`` labels and predictions."""
    return float(metric(_confusion(np.ones((1, len(labels))), labels, predicted, _classes(labels, predicted)))[0])


def _differences(metric: Metric, sample: Sample, resamples: int, generator: np.random.Generator) -> Floats:
    """``(R,)``."""
    sorts, numbers = np.unique(np.vstack([sample.labels, sample.a, sample.b]), axis=1, return_counts=True)
    labels, a, b = sorts[0], sorts[1 : 1 + len(sample.a)], sorts[1 + len(sample.a) :]
    classes = _classes(sorts)
    rows = max(1, MOST_NUMBERS // max(len(numbers), classes**2))
    parts: list[Floats] = []
    for counts in _counts(numbers, resamples, rows, generator):
        of_a, of_b = (
            np.mean([metric(_confusion(counts, labels, run, classes)) for run in runs], axis=0) for runs in (a, b)
        )
        parts.append(of_b - of_a)
    return np.concatenate(parts)


def _classes(*labels: Ints) -> int:
    """C: the largest label plus 1, at least 2."""
    return max(2, 1 + max(int(each.max()) for each in labels))


def _confusion(counts: Floats, labels: Ints, predicted: Ints, classes: int) -> Floats:
    """``(R, K)`` counts, ``(K,)`` labels and predictions of the sorts -> ``(R, C, C)`` confusion matrices."""
    cells, cell_of = np.unique(labels * classes + predicted, return_inverse=True)
    of_cell = np.zeros((len(labels), len(cells)))
    of_cell[np.arange(len(labels)), cell_of] = 1
    confusion = np.zeros((len(counts), classes**2))
    confusion[:, cells] = counts @ of_cell
    return confusion.reshape(-1, classes, classes)


def _counts(numbers: Ints, resamples: int, rows: int, generator: np.random.Generator) -> Iterator[Floats]:
    """Resampled counts of each sort, in tables of at most ``(rows, K)``; R rows in total."""
    total = int(numbers.sum())
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        yield generator.multinomial(total, numbers / total, size=size).astype(np.float64)


def _percentiles(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
