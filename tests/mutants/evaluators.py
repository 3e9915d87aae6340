"""Evaluators with one fault each, and the check that must find it."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from srframework import Evaluator, Figure, Options


class Cased(Options):
    scale: float = Field(1.0, gt=0, le=1, description="Factor in (0, 1].")


class Sound(Evaluator):
    """The accuracy times a factor."""

    unit, better = "fraction", "higher"

    def figures(self):
        return [Figure("hits", self.unit, self.better, "Fraction of right predictions, times a factor.")]

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
    unit, better = "count", None

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
    def measure(self, evaluated):
        for weight in evaluated.network.matrices().values():
            weight.data.abs_()
        return {}


class EmptyGroup(Sound):
    def evaluate(self, predictions):
        of_two = predictions.gold == 2
        with np.errstate(all="ignore"):
            return {"hits": float((predictions.predicted[of_two] == 2).sum() / np.float64(of_two.sum()))}


class NeedsTwoGroups(Sound):
    def columns(self):
        return ["heuristic"]

    def evaluate(self, predictions):
        _one, _two = sorted(set(predictions.columns["heuristic"]))
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
    unit, better = "logits", None

    def evaluate(self, predictions):
        return {"hits": float(predictions.logits.max(1).mean())}


class ReadsTexts(Sound):
    def evaluate(self, predictions):
        return {"hits": super().evaluate(predictions)["hits"] + len(predictions.columns["text_a"][0])}


class ReadsName(Sound):
    def evaluate(self, predictions):
        return {"hits": super().evaluate(predictions)["hits"] * (predictions.split == "dev")}


class CountsEachOnce(Sound):
    def resampled(self, predictions, counts):
        right = predictions.gold == predictions.predicted
        return {"hits": self.options.scale * (counts > 0) @ right / (counts > 0).sum(1)}


class DividesByRows(Sound):
    def resampled(self, predictions, counts):
        right = predictions.gold == predictions.predicted
        return {"hits": self.options.scale * counts @ right / counts.shape[1]}


class NormalisesCounts(Sound):
    def resampled(self, predictions, counts):
        counts /= counts.sum(1, keepdims=True)
        return {"hits": self.options.scale * counts @ (predictions.gold == predictions.predicted)}


class HidesLogits(Sound):
    unit, better = "nats", "lower"

    def evaluate(self, predictions):
        return {"hits": float(self.resampled(predictions, np.ones((1, len(predictions.gold))))["hits"][0])}

    def resampled(self, predictions, counts):
        scores = self.options.scale * predictions.logits.astype(np.float64)
        log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        of_gold = -log_probs[np.arange(len(scores)), predictions.gold]
        return {"hits": counts @ of_gold / counts.sum(1)}


class OtherName(Sound):
    def evaluate(self, predictions):
        return {"right": super().evaluate(predictions)["hits"]}


class DeclaresTooMuch(Sound):
    def figures(self):
        return [*super().figures(), Figure("misses", "fraction", "lower", "Never computed.")]


class PerCent(Sound):
    def evaluate(self, predictions):
        return {"hits": 100 * super().evaluate(predictions)["hits"]}


class HalfCounts(Sound):
    unit = "count"

    def evaluate(self, predictions):
        return {"hits": super().evaluate(predictions)["hits"] * len(predictions.gold) / 2}


class WrongDirection(Sound):
    better = "lower"


class IgnoresOption(Sound):
    def evaluate(self, predictions):
        return {"hits": float((predictions.gold == predictions.predicted).mean())}


class IgnoresBias(Sound):
    requires = ("bias",)


class SquaresBias(Sound):
    requires = ("bias",)

    def evaluate(self, predictions):
        predictions.bias_probs[:] **= 2
        return super().evaluate(predictions)


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
    ChangesWeights: "model_unchanged",
    EmptyGroup: "absent_labels_and_groups",
    NeedsTwoGroups: "absent_labels_and_groups",
    Accumulates: "repeats",
    Bootstraps: "repeats",
    LogitsAreProbabilities: "only_the_order_of_logits",
    ReadsTexts: "computes_figures",
    ReadsName: "ignores_name",
    CountsEachOnce: "agrees_with_resamples",
    DividesByRows: "agrees_with_resamples",
    NormalisesCounts: "agrees_with_resamples",
    HidesLogits: "agrees_with_resamples",
    OtherName: "declares_figures",
    DeclaresTooMuch: "declares_figures",
    PerCent: "fractions_in_range",
    HalfCounts: "fractions_in_range",
    WrongDirection: "perfect_predictions",
    IgnoresOption: "options_matter",
    IgnoresBias: "bias_matters",
    SquaresBias: "inputs_unchanged",
}
