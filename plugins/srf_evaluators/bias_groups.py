"""Accuracy where the bias model is right, and where it is wrong."""

from __future__ import annotations

import numpy as np

from srframework import Evaluator, Figure, Predictions

_PRECISION = 1e-6
"""Probabilities that differ by less are equal."""


class BiasGroups(Evaluator):
    """``bias-groups/aligned`` and ``bias-groups/conflicting``: accuracies in [0, 1] on the examples of a split whose
    true label the bias model predicts, and on all other examples; ``bias-groups/aligned/<label>``: on those of one true
    label; ``bias-group-size/<group>``: their number.

    A bias model predicts the label with the highest probability. If several labels have it, an example is aligned if
    one of them is the true label. A group without examples has no accuracy.

    Only for splits with a known p_b.
    """

    def figures(self) -> list[Figure]:
        """Declare the accuracies and the sizes of the groups."""
        return [
            Figure(
                "bias-groups/aligned", "fraction", "higher", "Accuracy where the bias model predicts the true label."
            ),
            Figure("bias-groups/conflicting", "fraction", "higher", "Accuracy where it predicts another label."),
            Figure("bias-groups/*", "fraction", "higher", "Accuracy on the examples of a group with one true label."),
            Figure("bias-group-size/*", "count", None, "Number of examples of a group."),
        ]

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Give the accuracies and the sizes."""
        found = self.resampled(predictions, np.ones((1, len(predictions.gold))))
        sizes = {f"bias-group-size/{name}": float(group.sum()) for name, group in _groups(predictions).items()}
        return {name: float(each[0]) for name, each in found.items()} | sizes

    def resampled(self, predictions: Predictions, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Give the accuracies; NaN for a resample without such examples."""
        right, figures = predictions.predicted == predictions.gold, {}
        for name, group in _groups(predictions).items():
            drawn = counts @ group
            accuracy = np.full(len(counts), np.nan)
            np.divide(counts @ (group & right), drawn, out=accuracy, where=drawn > 0)
            figures[f"bias-groups/{name}"] = accuracy
        return figures


def _groups(predictions: Predictions) -> dict[str, np.ndarray]:
    """Return the examples of each group that has some, ``(N,)``, bool: both groups, and each by its true labels."""
    probabilities, gold = predictions.bias_probs, predictions.gold
    assert probabilities is not None, 'the component requires "bias"'
    of_gold = probabilities[np.arange(len(gold)), gold]
    aligned = of_gold >= probabilities.max(axis=1) - _PRECISION
    groups = {}
    for name, group in (("aligned", aligned), ("conflicting", ~aligned)):
        groups[name] = group
        groups |= {f"{name}/{label}": group & (gold == index) for index, label in enumerate(predictions.labels)}
    return {name: group for name, group in groups.items() if group.any()}
