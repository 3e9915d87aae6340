"""Evaluators that handle models, splits, units or columns wrongly, and the check that must find each."""

from __future__ import annotations

import numpy as np
import torch
from mutants.evaluators import Sound
from pydantic import Field
from scipy.special import log_softmax, softmax

from srframework import Figure, Options, StageReference


class Teacher(Options):
    teacher: StageReference = Field("full", description="The stage to compare with.")


class GroupBy(Options):
    group_by: tuple[str, ...] = Field(("group", "heuristic"), strict=False, min_length=1, description="Columns.")


class SoundGap(Sound):
    """The accuracy on ID minus that on OOD, and the flips against another stage."""

    options_class = Teacher

    def figures(self):
        return [
            Figure("gap", "fraction", "lower", "Accuracy on ID minus that on OOD."),
            Figure("flips", "fraction", "lower", "Share of examples with another prediction than the teacher's."),
            Figure("zeros", "fraction", None, "Share of zeros."),
        ]

    def evaluate(self, predictions):
        return {}

    def measure(self, evaluated):
        hits = [float((each.gold == each.predicted).mean()) for each in (evaluated.id, *evaluated.ood)]
        gap = hits[0] - sum(hits[1:]) / len(hits[1:]) if evaluated.ood else 0.0
        weights = evaluated.network.counted().values()
        zeros = sum(int((each == 0).sum()) for each in weights) / sum(each.numel() for each in weights)
        return {"gap": gap, "flips": self.flips(evaluated), "zeros": zeros}

    def flips(self, evaluated):
        other = evaluated.stages[self.options.teacher].predictions[evaluated.id.split]
        return float((evaluated.id.predicted != other.predicted).mean())


class ComparesWithItself(SoundGap):
    def flips(self, evaluated):
        return 0.0


class NeedsOod(SoundGap):
    def measure(self, evaluated):
        evaluated.ood[0].gold.mean()
        return super().measure(evaluated)


class ZerosInPerCent(SoundGap):
    def measure(self, evaluated):
        found = super().measure(evaluated)
        return found | {"zeros": 100 * found["zeros"]}


class FailsWithAMask(SoundGap):
    def measure(self, evaluated):
        kept = [] if evaluated.mask is None else [each.mean() for each in evaluated.mask.values()]
        return super().measure(evaluated) | {"zeros": float(sum(kept))}


class InvertsTheMask(SoundGap):
    def measure(self, evaluated):
        for kept in (evaluated.mask or {}).values():
            kept.logical_not_()
        return super().measure(evaluated)


class SubtractsFromPretrained(SoundGap):
    def measure(self, evaluated):
        with torch.no_grad():
            for weight in evaluated.pretrained.counted().values():
                weight.sub_(0.1)
        return super().measure(evaluated)


class LeavesTrainingMode(SoundGap):
    def measure(self, evaluated):
        evaluated.network.model.train()
        return super().measure(evaluated)


class WritesIntoFigures(SoundGap):
    def measure(self, evaluated):
        found = super().measure(evaluated)
        evaluated.figures["dev"].update(found)
        return found


class GradientsOff(SoundGap):
    def measure(self, evaluated):
        torch.set_grad_enabled(False)
        return super().measure(evaluated)


class SoundLoss(Sound):
    """The mean negative log-likelihood."""

    def figures(self):
        return [Figure("nll", "nats", "lower", "Mean negative log-likelihood.", needs_logits=True)]

    def losses(self, predictions):
        log_probs = log_softmax(predictions.logits.astype(np.float64), axis=1)
        return -self.options.scale * log_probs[np.arange(len(log_probs)), predictions.gold]

    def evaluate(self, predictions):
        if len(predictions.labels) != predictions.logits.shape[1]:
            return {}
        return {"nll": float(self.losses(predictions).mean())}


class SumsTheLosses(SoundLoss):
    def evaluate(self, predictions):
        return {name: value * len(predictions.gold) for name, value in super().evaluate(predictions).items()}


class BrierIsNoFraction(SoundLoss):
    def figures(self):
        return [Figure("nll", "fraction", "lower", "Brier score.", needs_logits=True)]

    def losses(self, predictions):
        wanted = np.eye(len(predictions.labels))[predictions.gold]
        return self.options.scale * ((softmax(predictions.logits, axis=1) - wanted) ** 2).sum(axis=1)


class LosesTheSure(Sound):
    """Bins by confidence. The last one does not contain 1."""

    def figures(self):
        return [Figure("ece", "fraction", "lower", "Calibration error.", needs_logits=True)]

    def evaluate(self, predictions):
        confidence = softmax(predictions.logits.astype(np.float64), axis=1).max(axis=1)
        gaps = (predictions.gold == predictions.predicted) - confidence
        bins = (confidence * 10).astype(int)
        found = [abs(gaps[bins == each].sum()) for each in range(10)]
        return {"ece": self.options.scale * float(sum(found)) / len(gaps)}


class SoundGroups(Sound):
    """The accuracy of each group, and the lowest one."""

    options_class = GroupBy

    def figures(self):
        names = ("worst-hits", "hits/*")
        return [Figure(name, "fraction", "higher", "Accuracy of a group, or the lowest.") for name in names]

    def columns(self):
        return list(self.options.group_by)

    def evaluate(self, predictions):
        right = predictions.gold == predictions.predicted
        names = np.array(["/".join(map(str, row)) for row in zip(*self.values(predictions), strict=True)])
        found = {f"hits/{name}": float(right[names == name].mean()) for name in sorted(set(names))}
        return {"worst-hits": self.worst(list(found.values())), **found}

    def values(self, predictions):
        return [predictions.columns[name] for name in self.options.group_by]

    def worst(self, values):
        return min(values)


class WorstIsMean(SoundGroups):
    def worst(self, values):
        return float(np.mean(values))


class AlwaysBothColumns(SoundGroups):
    def columns(self):
        return ["group", "heuristic"]

    def values(self, predictions):
        return [predictions.columns[name] for name in ("group", "heuristic")]


class AsksForTheLabel(SoundGroups):
    def columns(self):
        return ["label", *self.options.group_by]


class SortsGold(Sound):
    def evaluate(self, predictions):
        figures = super().evaluate(predictions)
        predictions.gold.sort()
        return figures


OF_MODELS = {
    ComparesWithItself: "references_matter",
    NeedsOod: "any_number_of_splits",
    ZerosInPerCent: "with_and_without_mask",
    FailsWithAMask: "with_and_without_mask",
    InvertsTheMask: "model_unchanged",
    SubtractsFromPretrained: "model_unchanged",
    LeavesTrainingMode: "model_unchanged",
    WritesIntoFigures: "model_unchanged",
    GradientsOff: "settings_untouched",
    SumsTheLosses: "doubled_examples",
    BrierIsNoFraction: "fractions_in_range",
    LosesTheSure: "extreme_logits",
    WorstIsMean: "worst_is_worst",
    AlwaysBothColumns: "options_matter",
    AsksForTheLabel: "columns_exist",
    SortsGold: "inputs_unchanged",
}
