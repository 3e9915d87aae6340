"""Metrics of a classifier's predictions, computed by scikit-learn."""

from __future__ import annotations

import numpy as np

from srframework import Evaluator, Figure, Predictions

# sklearn is imported inside functions: `compare` needs only resampled(), and starts much faster without sklearn.


class Accuracy(Evaluator):
    """``accuracy``, in [0, 1]."""

    def figures(self) -> list[Figure]:
        """Declare the accuracy."""
        return [Figure("accuracy", "fraction", "higher", "Fraction of examples with the right predicted label.")]

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Give the accuracy in the labels of the split."""
        from sklearn.metrics import accuracy_score

        return {"accuracy": accuracy_score(predictions.gold, predictions.predicted)}

    def resampled(self, predictions: Predictions, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Give the accuracy."""
        return {"accuracy": counts @ (predictions.predicted == predictions.gold) / counts.sum(axis=1)}


class F1(Evaluator):
    """``f1``, in [0, 1]: the F1 of the classes, weighted by their numbers of true examples; 0 for a class that is never
    predicted. ``f1/<label>`` and ``accuracy/<label>``: F1 and recall of each label that the split has."""

    def figures(self) -> list[Figure]:
        """Declare F1, and F1 and accuracy of each class."""
        return [
            Figure("f1", "fraction", "higher", "F1 of the classes, weighted by their numbers of true examples."),
            Figure("f1/*", "fraction", "higher", "F1 of one label of the split."),
            Figure("accuracy/*", "fraction", "higher", "Recall of one label of the split."),
        ]

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Give F1, and F1 and accuracy of each class in the labels of the split."""
        from sklearn.metrics import accuracy_score, f1_score

        gold, predicted = predictions.gold, predictions.predicted
        figures = {"f1": f1_score(gold, predicted, average="weighted", zero_division=0.0)}
        for index, label in enumerate(predictions.labels):
            of_class = gold == index
            if of_class.any():
                figures[f"f1/{label}"] = f1_score(of_class, predicted == index, zero_division=0.0)
                figures[f"accuracy/{label}"] = accuracy_score(gold[of_class], predicted[of_class])
        return figures

    def resampled(self, predictions: Predictions, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Give F1, and F1 and accuracy of each class."""
        gold, predicted = predictions.gold, predictions.predicted
        f1, figures = np.zeros(len(counts)), {}
        for index, label in enumerate(predictions.labels):
            of_class = gold == index
            hits, true, found = (
                counts @ each for each in (of_class & (predicted == gold), of_class, predicted == index)
            )
            of_label = _ratio(2 * hits, true + found, 0.0)
            f1 += true * of_label
            if of_class.any():
                figures[f"f1/{label}"] = np.where(true > 0, of_label, np.nan)
                figures[f"accuracy/{label}"] = _ratio(hits, true, np.nan)
        return {"f1": f1 / counts.sum(axis=1), **figures}


def _ratio(part: np.ndarray, of: np.ndarray, undefined: float) -> np.ndarray:
    ratio: np.ndarray = np.divide(part, of, out=np.full_like(part, undefined), where=of > 0)
    return ratio
