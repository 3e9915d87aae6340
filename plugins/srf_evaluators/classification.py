"""Figures of a classifier's predictions, by scikit-learn."""

from __future__ import annotations

from sklearn.metrics import accuracy_score, f1_score

from srframework import Evaluator, Predictions


class Accuracy(Evaluator):
    """``accuracy``, in [0, 1]."""

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Give the accuracy in the split's own labels."""
        return {"accuracy": accuracy_score(predictions.gold, predictions.predicted)}


class F1(Evaluator):
    """``f1``, in [0, 1]: each class's F1, weighted by its number of true examples; a class that
    is never predicted has F1 0. And ``accuracy/<label>``, the recall of each label that occurs."""

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Give F1 and per-class accuracy in the split's own labels."""
        gold, predicted = predictions.gold, predictions.predicted
        figures = {"f1": f1_score(gold, predicted, average="weighted", zero_division=0.0)}
        for index, label in enumerate(predictions.split.labels):
            of_class = gold == index
            if of_class.any():
                figures[f"accuracy/{label}"] = accuracy_score(gold[of_class], predicted[of_class])
        return figures
