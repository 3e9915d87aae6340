"""Bootstrap intervals of a figure, and paired ones of B − A (Efron & Tibshirani 1993, §13.3: percentiles), 95 %.

N examples, R resamples. Examples with the same label and columns, and the same predictions and p_b in every run, are of
one *sort*, unless the figure needs the logits. Drawing N examples with replacement means drawing a count for each of
the K sorts: a multinomial.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from srframework.contracts import Predictions
from srframework.errors import DataError
from srframework.report.metrics import Floats, Metric

Ints: TypeAlias = NDArray[np.int64]

SEED = 20221003
"""Seed of the resampling, so that a comparison gives the same digits again."""

MOST_NUMBERS = 1 << 21
"""Entries of the largest table of counts."""


@dataclass(frozen=True)
class Sample:
    """The predictions of the runs of A and of B for the same N examples, which have equal labels and columns.

    Attributes:
        a, b: A prediction of each run, at least one; A and B may have different numbers of runs.
    """

    a: Sequence[Predictions]
    b: Sequence[Predictions]

    @property
    def size(self) -> int:
        """N."""
        return len(self.a[0].gold)


def over_examples(metric: Metric, samples: Sequence[Sample], resamples: int) -> tuple[float, float]:
    """The interval of the difference of means over runs, when examples are resampled.

    Args:
        metric: Computed from the predictions.
        samples: One sample if all runs have the same examples; otherwise one for each set of examples. Sets are
            resampled independently, and each counts with the number of runs that A has on it.
        resamples: R.

    Raises:
        DataError: The evaluator does not compute the figure of resamples, or it is defined for none of them.
    """
    generator = np.random.default_rng(SEED)
    runs = sum(len(sample.a) for sample in samples)
    total = np.asarray(sum(len(s.a) / runs * _differences(metric, s, resamples, generator) for s in samples))
    if np.isnan(total).all():
        raise DataError(f"{metric.name} is not defined for resampled examples")
    return _percentiles(total)


def of_one(metric: Metric, predictions: Predictions, resamples: int) -> tuple[float, float]:
    """The interval of a figure itself, when examples are resampled.

    Args:
        metric: Computed from the predictions.
        predictions: N examples.
        resamples: R.

    Raises:
        DataError: As :func:`over_examples`.
    """
    first, numbers = _sorts([predictions], metric.needs_logits)
    chosen, rows = subset(predictions, first), max(1, MOST_NUMBERS // len(numbers))
    generator = np.random.default_rng(SEED)
    found = np.concatenate([metric(chosen, counts) for counts in _counts(numbers, resamples, rows, generator)])
    if np.isnan(found).all():
        raise DataError(f"{metric.name} is not defined for resampled examples")
    return _percentiles(found)


def over_seeds(differences: Sequence[float], resamples: int) -> tuple[float, float]:
    """The interval of the mean difference (one per seed), when seeds are resampled."""
    count = len(differences)
    drawn = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=resamples)
    return _percentiles(drawn @ np.asarray(differences, dtype=np.float64) / count)


def point_estimate(metric: Metric, predictions: Predictions) -> float:
    """The figure of the examples themselves."""
    return float(metric(predictions, np.ones((1, len(predictions.gold))))[0])


def _differences(metric: Metric, sample: Sample, resamples: int, generator: np.random.Generator) -> Floats:
    """``(R,)``."""
    first, numbers = _sorts([*sample.a, *sample.b], metric.needs_logits)
    a, b = ([subset(each, first) for each in side] for side in (sample.a, sample.b))
    rows = max(1, MOST_NUMBERS // len(numbers))
    parts: list[Floats] = []
    for counts in _counts(numbers, resamples, rows, generator):
        of_a, of_b = (np.mean([metric(run, counts) for run in runs], axis=0) for runs in (a, b))
        parts.append(of_b - of_a)
    return np.concatenate(parts)


def _sorts(runs: Sequence[Predictions], needs_logits: bool) -> tuple[Ints, Ints]:
    """Index of the first example of each sort, and the number of its examples, ``(K,)`` each."""
    if needs_logits:
        count = len(runs[0].gold)
        return np.arange(count), np.ones(count, dtype=np.int64)
    columns = [np.unique(each, return_inverse=True)[1] for each in runs[0].columns.values()]
    biases = [each.bias_probs for each in runs if each.bias_probs is not None]
    columns += [np.unique(each, axis=0, return_inverse=True)[1].reshape(-1) for each in biases]
    codes = np.vstack([runs[0].gold, *(each.predicted for each in runs), *columns])
    _, first, numbers = np.unique(codes, axis=1, return_index=True, return_counts=True)
    return first, numbers


def subset(predictions: Predictions, chosen: Ints) -> Predictions:
    """The predictions of these examples."""
    arrays = {name: getattr(predictions, name)[chosen] for name in ("logits", "predicted", "gold")}
    columns = {name: each[chosen] for name, each in predictions.columns.items()}
    bias = None if predictions.bias_probs is None else predictions.bias_probs[chosen]
    return replace(predictions, **arrays, columns=columns, bias_probs=bias)


def _counts(numbers: Ints, resamples: int, rows: int, generator: np.random.Generator) -> Iterator[Floats]:
    """Resampled counts of each sort, in tables of at most ``(rows, K)``; R rows in total."""
    total = int(numbers.sum())
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        yield generator.multinomial(total, numbers / total, size=size).astype(np.float64)


def _percentiles(values: Floats) -> tuple[float, float]:
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
