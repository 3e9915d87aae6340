"""Data sets with one fault each, and the check that must find it."""

from __future__ import annotations

import dataclasses
import random

import datasets
import numpy as np
from pydantic import Field

from srframework import Dataset, Options, Split, TaskData


class Size(Options):
    size: int = Field(12, ge=6, description="Training examples; at least 6.")


def split(name, size, labels=("no", "yes"), seed=0, **changed):
    draw = random.Random(f"{name}{seed}")
    rows = {
        "text_a": [f"{name} {draw.random():.9f}" for _ in range(size)],
        "text_b": [f"b b{index}" for index in range(size)],
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


TestIsDev = changed("TestIsDev", test=lambda: dataclasses.replace(split("dev", 6, seed=1), name="test"))
OodTrainIsOod = changed("OodTrainIsOod", ood_train=lambda: dataclasses.replace(split("far", 6, seed=1), name="more"))
DevHasOneLabel = changed("DevHasOneLabel", dev=lambda: split("dev", 6, label=[0] * 6))
OneTextInOod = changed(
    "OneTextInOod",
    ood=lambda: (dataclasses.replace(part := split("far", 6), examples=part.examples.remove_columns("text_b")),),
)
SameTextTwice = changed("SameTextTwice", dev=lambda: split("dev", 6, text_a=list("abcdef"), text_b=list("abcdef")))
MostlyEmpty = changed("MostlyEmpty", dev=lambda: split("dev", 6, text_b=["", "", "", "", "a", "b"]))
CollapseMissesALabel = changed(
    "CollapseMissesALabel", ood=lambda: (Split("far", split("far", 6).examples, ("a", "b"), collapse=(0, 0)),)
)
NegativeWeights = changed("NegativeWeights", train=lambda: split("train", 12, weight=[-1.0, 1.0] * 6))
AllFeaturesEqual = changed(
    "AllFeaturesEqual", spurious_features=lambda: lambda part, _: np.ones((len(part.examples), 2))
)


class LabelInTheText(SoundTask):
    def load(self, seed):
        data = super().load(seed)

        def marked(part):
            columns = part.examples.to_dict()
            columns["text_b"] = [f"{each} {label}" for each, label in zip(columns["text_b"], "01" * 6, strict=False)]
            return dataclasses.replace(part, examples=datasets.Dataset.from_dict(columns))

        ood = tuple(map(marked, data.ood))
        return dataclasses.replace(data, train=marked(data.train), dev=marked(data.dev), ood=ood)


class SizeOfTheDefault(SoundTask):
    def sizes(self):
        return {"train": 12}


class IgnoresItsSize(SoundTask):
    def load(self, seed):
        return dataclasses.replace(super().load(seed), train=split("train", 12, seed=seed))


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
    TestIsDev: "splits_are_disjoint",
    OodTrainIsOod: "splits_are_disjoint",
    DevHasOneLabel: "labels_present",
    OneTextInOod: "columns",
    SameTextTwice: "texts_are_strings",
    MostlyEmpty: "texts_are_strings",
    CollapseMissesALabel: "label_names",
    NegativeWeights: "sound_weights",
    AllFeaturesEqual: "features_differ",
    LabelInTheText: "no_label_in_texts",
    SizeOfTheDefault: "true_sizes",
    IgnoresItsSize: "options_matter",
}
