"""Accuracy on HANS, as published: for each heuristic, and for each of its labels."""

from __future__ import annotations

from srframework import Evaluator, Figure, Predictions


class Hans(Evaluator):
    """``hans/<heuristic>`` and ``hans/<heuristic>/<label>``: accuracies in [0, 1].

    Applies to splits with a column ``heuristic``.
    """

    def figures(self) -> list[Figure]:
        """Declare the accuracies."""
        return [Figure("hans/*", "fraction", "higher", "Accuracy for one heuristic, or for one label of a heuristic.")]

    def applies_to(self, predictions: Predictions) -> bool:
        """Whether the split has a column ``heuristic``."""
        return "heuristic" in predictions.columns

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Give the accuracy for each heuristic, and for each of its labels."""
        gold = predictions.gold
        right = predictions.predicted == gold
        heuristics = predictions.columns["heuristic"]
        figures = {}
        for heuristic in sorted(set(heuristics)):
            chosen = heuristics == heuristic
            figures[f"hans/{heuristic}"] = right[chosen].mean()
            for index, label in enumerate(predictions.labels):
                if (both := chosen & (gold == index)).any():
                    figures[f"hans/{heuristic}/{label}"] = right[both].mean()
        return figures
