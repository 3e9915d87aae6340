"""Accuracy on HANS, as published: for each heuristic, and for each of its labels."""

from __future__ import annotations

import numpy as np

from srframework import Evaluator, Figure, Predictions


class Hans(Evaluator):
    """``hans/<heuristic>`` and ``hans/<heuristic>/<label>``: accuracies in [0, 1].

    Only for splits that have the column ``heuristic``.
    """

    def figures(self) -> list[Figure]:
        """Declare the accuracies."""
        return [Figure("hans/*", "fraction", "higher", "Accuracy for one heuristic, or for one label of a heuristic.")]

    def columns(self) -> list[str]:
        """Ask for the heuristics."""
        return ["heuristic"]

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Give the accuracy for each heuristic, and for each of its labels."""
        return {name: float(each[0]) for name, each in self.resampled(predictions, _once(predictions)).items()}

    def resampled(self, predictions: Predictions, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Give the same; NaN for a resample without such examples."""
        gold, heuristics = predictions.gold, predictions.columns["heuristic"]
        right, figures = predictions.predicted == gold, {}
        for heuristic in sorted(set(heuristics)):
            chosen = heuristics == heuristic
            figures[f"hans/{heuristic}"] = _share(counts, right, chosen)
            for index, label in enumerate(predictions.labels):
                if (both := chosen & (gold == index)).any():
                    figures[f"hans/{heuristic}/{label}"] = _share(counts, right, both)
        return figures


def _once(predictions: Predictions) -> np.ndarray:
    return np.ones((1, len(predictions.gold)))


def _share(counts: np.ndarray, right: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    drawn = counts @ chosen
    share: np.ndarray = np.divide(counts @ (chosen & right), drawn, out=np.full(len(counts), np.nan), where=drawn > 0)
    return share
