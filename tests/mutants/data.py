"""Evaluators, data sets and backbones with one fault each, and the check that must find it."""

from __future__ import annotations

import dataclasses
import random

import datasets
import numpy as np
import torch
from pydantic import Field
from torch import nn

from srframework import Backbone, Dataset, Evaluator, Options, Split, TaskData, testing


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


class Size(Options):
    size: int = Field(12, ge=6, description="Training examples; at least 6.")


def split(name, size, labels=("no", "yes"), seed=0, **changed):
    draw = random.Random(f"{name}{seed}")
    rows = {
        "text_a": [f"{name} {draw.random():.9f}" for _ in range(size)],
        "text_b": [f"b {index}" for index in range(size)],
        "label": [index % 2 for index in range(size)],
        "id": [f"{name}-{index}" for index in range(size)],
    }
    return Split(name, datasets.Dataset.from_dict(rows | changed), labels)


class SoundTask(Dataset):
    """Drawn texts, two labels."""

    def load(self, seed):
        return TaskData(
            ("no", "yes"),
            "accuracy",
            split("train", self.options.size, seed=seed),
            split("dev", 6, seed=seed),
            ood=(split("far", 6, seed=seed),),
            spurious_features=lambda part, _: np.array([[float(len(text))] for text in part.examples["text_b"]]),
        )

    def sizes(self):
        return {"train": self.options.size, "dev": 6, "far": 6}


class Changed(SoundTask):
    """A task with some fields replaced."""

    def load(self, seed):
        return dataclasses.replace(super().load(seed), **self.changed(seed))


def changed(name, **fields):
    """A data set whose task has other values in these fields."""
    return type(name, (Changed,), {"changed": lambda _self, _seed: {k: v() for k, v in fields.items()}})


NoTextA = changed("NoTextA", dev=lambda: Split("dev", datasets.Dataset.from_dict({"label": [0, 1]}), ("no", "yes")))
NoRows = changed("NoRows", dev=lambda: split("dev", 0))
LabelTooLarge = changed("LabelTooLarge", dev=lambda: split("dev", 6, label=[0, 1, 2, 0, 1, 0]))
LabelNegative = changed("LabelNegative", dev=lambda: split("dev", 6, label=[0, 1, -1, 0, 1, 0]))
LabelAsFloat = changed("LabelAsFloat", dev=lambda: split("dev", 6, label=[0.0, 1.0] * 3))
LabelAsText = changed("LabelAsText", dev=lambda: split("dev", 6, label=["no", "yes"] * 3))
OneLabelOnly = changed("OneLabelOnly", train=lambda: split("train", 12, label=[0] * 12))
SameLabelTwice = changed("SameLabelTwice", dev=lambda: split("dev", 6, labels=("no", "no")))
OtherLabels = changed("OtherLabels", dev=lambda: split("dev", 6, labels=("false", "true")))
BadCollapse = changed("BadCollapse", dev=lambda: dataclasses.replace(split("dev", 6), collapse=(0, 5)))
UnknownMerged = changed("UnknownMerged", merged_labels=lambda: ("no", "maybe"))
TextIsNumber = changed("TextIsNumber", dev=lambda: split("dev", 6, text_a=list(range(6))))
TextIsNone = changed("TextIsNone", dev=lambda: split("dev", 6, text_b=["b", None] * 3))
TextsEmpty = changed("TextsEmpty", dev=lambda: split("dev", 6, text_a=[""] * 6))
DevIsTrain = changed("DevIsTrain", dev=lambda: dataclasses.replace(split("train", 12, seed=1), name="dev"))
SameName = changed("SameName", ood=lambda: (split("dev", 6),))
NamedModel = changed("NamedModel", ood=lambda: (split("model", 6),))
IdsTwice = changed("IdsTwice", dev=lambda: split("dev", 6, id=["x"] * 6))
UnknownMetric = changed("UnknownMetric", metric=lambda: "acuracy")
UndeclaredOodTrain = changed("UndeclaredOodTrain", ood_train=lambda: split("more", 6))
NoFeaturesButPromised = changed("NoFeaturesButPromised", spurious_features=lambda: None)


class SizesTooSmall(SoundTask):
    def sizes(self):
        return {"train": 3}


class SizesOfUnknownSplit(SoundTask):
    def sizes(self):
        return {"trian": self.options.size}


class GrowsWithEachLoad(SoundTask):
    loads = 0

    def load(self, seed):
        self.loads += 1
        data = super().load(seed)
        return dataclasses.replace(data, dev=split("dev", 6, seed=self.loads))


class UnseededShuffle(SoundTask):
    def load(self, seed):
        return dataclasses.replace(super().load(seed), dev=split("dev", 6, seed=random.random()))


class SeedsTheGlobalState(SoundTask):
    def load(self, seed):
        np.random.seed(seed)
        return dataclasses.replace(super().load(seed), dev=split("dev", 6, seed=np.random.rand()))


class IgnoresTheSeed(SoundTask):
    def load(self, seed):
        return super().load(0)


class OrderOfASet(SoundTask):
    def load(self, seed):
        data = super().load(seed)
        words = list({f"word{index}" for index in range(12)})
        return dataclasses.replace(data, dev=split("dev", 12, text_a=words))


class FeaturesNaN(SoundTask):
    def load(self, seed):
        features = lambda part, _: np.full((len(part.examples), 1), np.nan)  # noqa: E731
        return dataclasses.replace(super().load(seed), spurious_features=features)


class FeaturesOneDimensional(SoundTask):
    def load(self, seed):
        return dataclasses.replace(super().load(seed), spurious_features=lambda part, _: np.ones(len(part.examples)))


class FeaturesAreLabels(SoundTask):
    def load(self, seed):
        features = lambda part, _: np.array(part.examples["label"], dtype=float)[:, None]  # noqa: E731
        return dataclasses.replace(super().load(seed), spurious_features=features)


class FeaturesStandardised(SoundTask):
    def load(self, seed):
        def features(part, _):
            rows = np.array([[float(text[-1])] for text in part.examples["text_a"]])
            return rows - rows.mean()

        return dataclasses.replace(super().load(seed), spurious_features=features)


class RaisesInLoad(SoundTask):
    def load(self, seed):
        raise FileNotFoundError("train.tsv")


DATASETS = {
    NoTextA: "columns",
    NoRows: "columns",
    RaisesInLoad: "columns",
    LabelTooLarge: "labels_in_range",
    LabelNegative: "labels_in_range",
    LabelAsFloat: "labels_in_range",
    LabelAsText: "labels_in_range",
    OneLabelOnly: "labels_present",
    SameLabelTwice: "label_names",
    OtherLabels: "label_names",
    BadCollapse: "label_names",
    UnknownMerged: "label_names",
    TextIsNumber: "texts_are_strings",
    TextIsNone: "texts_are_strings",
    TextsEmpty: "texts_are_strings",
    DevIsTrain: "splits_are_disjoint",
    SameName: "split_names",
    NamedModel: "split_names",
    IdsTwice: "unique_ids",
    UnknownMetric: "known_metric",
    UndeclaredOodTrain: "provides_what_it_has",
    NoFeaturesButPromised: "provides_what_it_has",
    SizesTooSmall: "true_sizes",
    SizesOfUnknownSplit: "true_sizes",
    GrowsWithEachLoad: "same_rows_again",
    UnseededShuffle: "seed_decides",
    SeedsTheGlobalState: "seed_decides",
    IgnoresTheSeed: "seed_matters",
    OrderOfASet: "same_rows_in_another_process",
    FeaturesNaN: "features_are_finite",
    FeaturesOneDimensional: "features_are_finite",
    FeaturesAreLabels: "no_label_in_features",
    FeaturesStandardised: "features_follow_rows",
}


class SoundModel(Backbone):
    """The small BERT, with the labels that are asked for."""

    def load(self, labels, seed):
        network = testing.network(seed)
        config = network.model.config
        config.id2label, config.label2id = dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = type(network.model)(config)
        return dataclasses.replace(network, model=model)


def with_prunable(name, change):
    """A backbone with other prunable modules."""

    def load(self, labels, seed):
        network = SoundModel.load(self, labels, seed)
        return dataclasses.replace(network, prunable=change(dict(network.prunable)))

    return type(name, (SoundModel,), {"load": load})


def without(text):
    return lambda prunable: {name: part for name, part in prunable.items() if text not in name}


PrunesEmbeddings = with_prunable("PrunesEmbeddings", lambda p: {**p, "bert.embeddings.word_embeddings": "encoder"})
PrunesMissing = with_prunable("PrunesMissing", lambda p: {**p, "bert.layer9": "encoder"})
NothingPrunable = with_prunable("NothingPrunable", lambda _: {})
UnknownPart = with_prunable("UnknownPart", lambda p: dict.fromkeys(p, "body"))
NoSecondLayer = with_prunable("NoSecondLayer", without("layer.1."))
NoValues = with_prunable("NoValues", without("self.value"))
NoClassifier = with_prunable("NoClassifier", without("classifier"))
WrongParts = with_prunable("WrongParts", lambda p: dict.fromkeys(p, "classifier"))


class AlwaysThreeOutputs(SoundModel):
    def load(self, labels, seed):
        return super().load(testing.LABELS, seed)


class NoLabelNames(SoundModel):
    def load(self, labels, seed):
        return super().load([f"LABEL_{index}" for index in range(len(labels))], seed)


class LabelsReversed(SoundModel):
    def load(self, labels, seed):
        return super().load(labels[::-1], seed)


class Unseeded(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        network.model.classifier.reset_parameters()
        return network


class IgnoresSeed(SoundModel):
    def load(self, labels, seed):
        return super().load(labels, 0)


class SeedsGlobally(SoundModel):
    def load(self, labels, seed):
        torch.manual_seed(seed)
        return super().load(labels, seed)


class SameObject(SoundModel):
    def load(self, labels, seed):
        if not hasattr(self, "network"):
            self.network = super().load(labels, seed)
        return self.network


class SameModule(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        first, second = network.model.bert.encoder.layer
        second.attention.self.query.weight = first.attention.self.query.weight
        return network


class FirstTextOnly(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        original = network.tokenizer
        return dataclasses.replace(network, tokenizer=OneText(original))


class OneText:
    """A tokenizer that drops the second text."""

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer

    def __call__(self, text, second=None, **options):
        return self._tokenizer(text, **options)

    def __getattr__(self, name):
        return getattr(self._tokenizer, name)


class IgnoresPadding(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        forward = network.model.forward
        network.model.forward = lambda **batch: forward(**{k: v for k, v in batch.items() if k != "attention_mask"})
        return network


class Frozen(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        network.model.bert.embeddings.requires_grad_(False)
        return network


class HalfPrecision(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        return dataclasses.replace(network, model=network.model.double())


class InfiniteWeights(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        network.model.classifier.weight.data[0, 0] = torch.inf
        return network


class ExtraHead(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        network.model.classifier = nn.Sequential(nn.Linear(8, 8), network.model.classifier)
        return dataclasses.replace(
            network, prunable=without("classifier")(network.prunable) | {"classifier.1": "classifier"}
        )


class RaisesForTwoLabels(SoundModel):
    def load(self, labels, seed):
        return super().load((labels[0], labels[1], labels[2]), seed)


class ReturnsTheModel(SoundModel):
    def load(self, labels, seed):
        return super().load(labels, seed).model


BACKBONES = {
    AlwaysThreeOutputs: "one_output_per_label",
    RaisesForTwoLabels: "one_output_per_label",
    ReturnsTheModel: "one_output_per_label",
    NoLabelNames: "names_the_labels",
    LabelsReversed: "names_the_labels",
    Unseeded: "same_seed_same_weights",
    IgnoresSeed: "seed_matters",
    SeedsGlobally: "random_state_untouched",
    SameObject: "fresh_object",
    PrunesEmbeddings: "prunable_is_linear",
    PrunesMissing: "prunable_is_linear",
    NothingPrunable: "prunable_is_linear",
    UnknownPart: "prunable_is_linear",
    SameModule: "prunable_is_distinct",
    NoSecondLayer: "prunable_covers_the_model",
    NoValues: "prunable_covers_the_model",
    NoClassifier: "prunable_covers_the_model",
    WrongParts: "prunable_covers_the_model",
    FirstTextOnly: "second_text_is_used",
    IgnoresPadding: "padding_is_ignored",
    Frozen: "sound_weights",
    HalfPrecision: "sound_weights",
    InfiniteWeights: "sound_weights",
    ExtraHead: "saves_and_loads",
}

SOUND_DATA = [("evaluator", Sound), ("dataset", SoundTask), ("backbone", SoundModel)]
