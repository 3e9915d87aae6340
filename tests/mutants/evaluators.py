"""Evaluators with one fault each, and the check that must find it."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from srframework import Evaluator, Options


class Cased(Options):
    scale: float = Field(1.0, gt=0, description="Factor above 0.")


class Sound(Evaluator):
    """The accuracy times a factor."""

    def evaluate(self, predictions):
        return {"hits": self.options.scale * float((predictions.gold == predictions.predicted).mean())}


class OnlyNaN(Sound):
    def evaluate(self, predictions):
        return {"hits": float("nan")}


class NumberAsName(Sound):
    def evaluate(self, predictions):
        return {1: 0.5}


class Nothing(Sound):
    def evaluate(self, predictions):
        return {}


class FirstHalf(Sound):
    def evaluate(self, predictions):
        return {"hits": float((predictions.gold == predictions.predicted)[:5].mean()) * self.options.scale}


class PairsRows(Sound):
    def evaluate(self, predictions):
        return {"hits": float((predictions.gold[1:] == predictions.predicted[:-1]).mean())}


class BestAtHalf(Sound):
    def evaluate(self, predictions):
        hits = (predictions.gold == predictions.predicted).mean()
        return {"hits": float(hits * (1 - hits))}


class ShiftedLabels(Sound):
    def evaluate(self, predictions):
        return {"hits": float(((predictions.gold + predictions.predicted) % 3 == 1).mean())}


class CountsRows(Sound):
    def evaluate(self, predictions):
        return {"hits": float(len(predictions.gold))}


class OnlyGold(Sound):
    def evaluate(self, predictions):
        return {"hits": float((predictions.gold == 0).mean())}


class OnlyPredicted(Sound):
    def evaluate(self, predictions):
        return {"hits": float((predictions.predicted == 0).mean())}


class IgnoresCollapse(Sound):
    def evaluate(self, predictions):
        return {"hits": float((predictions.gold == predictions.logits.argmax(1)).mean())}


class SortsLogits(Sound):
    def evaluate(self, predictions):
        figures = super().evaluate(predictions)
        predictions.logits.sort(axis=0)
        return figures


class ChangesWeights(Sound):
    def measure(self, matrices):
        for weight in matrices.values():
            weight.data.abs_()
        return {}


class EmptyGroup(Sound):
    def evaluate(self, predictions):
        of_two = predictions.gold == 2
        with np.errstate(all="ignore"):
            return {"hits": float((predictions.predicted[of_two] == 2).sum() / np.float64(of_two.sum()))}


class NeedsTwoGroups(Sound):
    def evaluate(self, predictions):
        _one, _two = sorted(set(predictions.split.examples["heuristic"]))
        return {**super().evaluate(predictions)}


class Accumulates(Sound):
    seen = 0.0

    def evaluate(self, predictions):
        self.seen += super().evaluate(predictions)["hits"]
        return {"hits": self.seen}


class Bootstraps(Sound):
    def evaluate(self, predictions):
        at = np.random.randint(0, len(predictions.gold), 200)
        return {"hits": float((predictions.gold == predictions.predicted)[at].mean())}


class LogitsAreProbabilities(Sound):
    def evaluate(self, predictions):
        return {"confidence": float(predictions.logits.max(1).mean())}


class ReadsTexts(Sound):
    def evaluate(self, predictions):
        return {"hits": super().evaluate(predictions)["hits"] + len(predictions.split.examples["text_a"][0])}


class ConfusionTransposed(Sound):
    def evaluate(self, predictions):
        of_zero = predictions.gold == 0
        return {"hits": float((predictions.predicted[of_zero] == 0).mean()) * self.options.scale}

    def of_confusion(self, confusion):
        return {"hits": confusion[:, 0, 0] / confusion[:, :, 0].sum(1)}


class IgnoresOption(Sound):
    def evaluate(self, predictions):
        return {"hits": float((predictions.gold == predictions.predicted).mean())}


class RaisesInEvaluate(Sound):
    def evaluate(self, predictions):
        raise IndexError("row 12")


EVALUATORS = {
    OnlyNaN: "computes_figures",
    NumberAsName: "computes_figures",
    Nothing: "computes_figures",
    RaisesInEvaluate: "computes_figures",
    FirstHalf: "order_of_rows",
    PairsRows: "order_of_rows",
    BestAtHalf: "perfect_predictions",
    ShiftedLabels: "perfect_predictions",
    CountsRows: "predictions_matter",
    OnlyGold: "predictions_matter",
    OnlyPredicted: "labels_matter",
    IgnoresCollapse: "respects_collapse",
    SortsLogits: "inputs_unchanged",
    ChangesWeights: "inputs_unchanged",
    EmptyGroup: "absent_labels_and_groups",
    NeedsTwoGroups: "absent_labels_and_groups",
    Accumulates: "repeats",
    Bootstraps: "repeats",
    LogitsAreProbabilities: "only_the_order_of_logits",
    ReadsTexts: "ignores_other_columns",
    ConfusionTransposed: "agrees_with_confusion",
    IgnoresOption: "options_matter",
}
