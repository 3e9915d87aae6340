"""Evaluators that are wrong in unusual circumstances, and the check that must find each."""

from __future__ import annotations

import random

import numpy as np
from mutants.evaluators import Sound


class AtMostThreeLabels(Sound):
    def evaluate(self, predictions):
        confusion = np.zeros((3, 3))
        np.add.at(confusion, (predictions.gold, predictions.predicted), 1)
        return {"hits": float(confusion.trace() / confusion.sum())}


class AbsentLabelsCountAsWrong(Sound):
    def evaluate(self, predictions):
        gold, predicted = predictions.gold, predictions.predicted
        recalls = [((gold == label) & (predicted == label)).sum() / max(1, (gold == label).sum()) for label in range(3)]
        return {"hits": float(np.mean(recalls))}


class DividesByOneMore(Sound):
    def evaluate(self, predictions):
        return {"hits": float((predictions.gold == predictions.predicted).sum() / (len(predictions.gold) + 1))}


class Overflows(Sound):
    def evaluate(self, predictions):
        with np.errstate(all="ignore"):
            p = np.exp(predictions.logits.astype(np.float64))
            return {"hits": float((p / p.sum(axis=1, keepdims=True))[:, 0].mean())}


class Correlates(Sound):
    def evaluate(self, predictions):
        with np.errstate(all="ignore"):
            return {"hits": float(np.corrcoef(predictions.gold, predictions.predicted)[0, 1])}


class SeedsPython(Sound):
    def evaluate(self, predictions):
        random.seed(0)
        return super().evaluate(predictions)


class KeepsTheFirst(Sound):
    def evaluate(self, predictions):
        self.first = getattr(self, "first", None) or super().evaluate(predictions)
        return self.first


class MeasuresNothing(Sound):
    def evaluate(self, predictions):
        return {}

    def measure(self, _):
        return {"hits": 0.5}


ROBUST = {
    AtMostThreeLabels: "any_number_of_labels",
    AbsentLabelsCountAsWrong: "absent_labels_do_not_count",
    DividesByOneMore: "doubled_examples",
    Overflows: "extreme_logits",
    Correlates: "constant_predictions",
    SeedsPython: "random_state_untouched",
    KeepsTheFirst: "earlier_calls_do_not_matter",
    MeasuresNothing: "model_matters",
}
