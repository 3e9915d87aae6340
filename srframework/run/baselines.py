"""Two predictors that no stage trains: what a model must beat.

Shapes: N examples of a split, C labels of the task, K labels of the split.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from srframework.contracts import Predictions, Split
from srframework.run.bias import PRECISION
from srframework.run.resources import Materials
from srframework.run.results import BIAS_MODEL, MAJORITY, Figures

_MOST_ORDERS = 12
"""Different orders of equally probable labels; enough for 2, 3, 4 and 6 of them."""


def baselines(materials: Materials) -> dict[str, Figures]:
    """Return the figures of the majority class and, where p_b is known, of the bias model alone.

    :data:`MAJORITY` always predicts the most frequent label of the training set, the first of a tie; its logits are the
    logarithms of the labels' shares. :data:`BIAS_MODEL` predicts the label of the split with the highest p_b. If
    several labels have it, each figure is the mean over them; so n labels count as 1/n of a right prediction each.

    Raises:
        SRFrameworkError: An evaluator or the bias model fails.
    """
    task, bias = materials.task, materials.bias
    counts = np.bincount(np.asarray(task.train.examples["label"][:]), minlength=len(task.labels))
    shares = np.log((counts + 1e-6) / counts.sum()).astype(np.float32)
    evaluations = {
        split.name: materials.evaluators.figures(
            materials.predictions_of(split, np.tile(shares, (len(split.examples), 1)))
        )
        for split in task.evaluated
    }
    found = {MAJORITY: _figures(materials, evaluations)}
    if bias is not None:
        known = [(split, p) for split in task.evaluated if (p := bias.probabilities(split)) is not None]
        evaluations = {
            split.name: _means([materials.evaluators.figures(each) for each in _by_bias(materials, split, p)])
            for split, p in known
        }
        if evaluations:
            found[BIAS_MODEL] = _figures(materials, evaluations)
    return found


def _by_bias(materials: Materials, split: Split, probabilities: np.ndarray) -> Iterator[Predictions]:
    """Yield the predictions of the bias model: one for each of the equally probable labels in turn."""
    assert materials.bias is not None, "the caller has its probabilities"
    given = materials.predictions_of(split, materials.bias.log_probs(split))
    best = probabilities >= probabilities.max(axis=1, keepdims=True) - PRECISION
    sizes = best.sum(axis=1)
    for order in range(min(_MOST_ORDERS, math.lcm(*map(int, np.unique(sizes))))):
        # The first True of a row is number 0.
        chosen = best & (best.cumsum(axis=1) == (order % sizes + 1)[:, None])
        yield replace(given, predicted=chosen.argmax(axis=1))


def _means(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for figures in each for name in figures)
    return {name: statistics.fmean(figures[name] for figures in each if name in figures) for name in names}


def _figures(materials: Materials, evaluations: Mapping[str, Mapping[str, float]]) -> Figures:
    task, metric = materials.task, materials.task.metric
    values = {split: figures[metric] for split, figures in evaluations.items() if metric in figures}
    return Figures(
        sparsity=None,
        id=values.get(materials.reported.name),
        ood={split.name: values[split.name] for split in task.ood if split.name in values},
        also={split.name: values[split.name] for split in task.also if split.name in values},
        evaluations={split: dict(figures) for split, figures in evaluations.items()},
    )
