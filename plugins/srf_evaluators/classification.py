"""Metrics of a classifier's predictions, computed by scikit-learn."""

from __future__ import annotations

import numpy as np

from srframework import Evaluator, Figure, Predictions

# sklearn is imported inside functions: `compare` needs only of_confusion(), and starts much faster without sklearn.


class Accuracy(Evaluator):
    """``accuracy``, in [0, 1]."""

    def figures(self) -> list[Figure]:
        """Declare the accuracy."""
        return [Figure("accuracy", "fraction", "higher", "Fraction of examples with the right predicted label.")]

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Give the accuracy in the labels of the split."""
        from sklearn.metrics import accuracy_score

        return {"accuracy": accuracy_score(predictions.gold, predictions.predicted)}

    def of_confusion(self, confusion: np.ndarray) -> dict[str, np.ndarray]:
        """Give the accuracy."""
        return {"accuracy": confusion.trace(axis1=1, axis2=2) / confusion.sum(axis=(1, 2))}


class F1(Evaluator):
    """``f1``, in [0, 1]: the F1 of the classes, weighted by their numbers of true examples; 0 for a class that is never
    predicted. ``accuracy/<label>``: the recall of each label in the split."""

    def figures(self) -> list[Figure]:
        """Declare F1 and the accuracy of each class."""
        return [
            Figure("f1", "fraction", "higher", "F1 of the classes, weighted by their numbers of true examples."),
            Figure("accuracy/*", "fraction", "higher", "Recall of one label of the split."),
        ]

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Give F1 and the accuracy of each class in the labels of the split."""
        from sklearn.metrics import accuracy_score, f1_score

        gold, predicted = predictions.gold, predictions.predicted
        figures = {"f1": f1_score(gold, predicted, average="weighted", zero_division=0.0)}
        for index, label in enumerate(predictions.labels):
            of_class = gold == index
            if of_class.any():
                figures[f"accuracy/{label}"] = accuracy_score(gold[of_class], predicted[of_class])
        return figures

    def of_confusion(self, confusion: np.ndarray) -> dict[str, np.ndarray]:
        """Give F1."""
        hits = confusion.diagonal(axis1=1, axis2=2)
        true, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
        f1 = np.divide(2 * hits, true + predicted, out=np.zeros_like(true), where=true + predicted > 0)
        return {"f1": (true * f1).sum(axis=1) / true.sum(axis=1)}
