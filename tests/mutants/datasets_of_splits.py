"""Data sets whose splits, columns or features are wrong, and the check that must find each."""

from __future__ import annotations

import dataclasses

import datasets
import numpy as np
from mutants.datasets_of_tasks import SoundTask, changed, split
from pydantic import Field

from srf_datasets.synthetic import Synthetic
from srf_datasets.synthetic_options import SyntheticOptions
from srframework import Options, Split

OTHER = ("other", "yes")


class Choices(Options):
    size: int = Field(12, ge=6, description="Training examples; at least 6.")
    lower: bool = Field(False, description="Whether texts are in lower case.")


class SoundChoices(SoundTask):
    """Drawn texts in lower case or as they are, two labels, a column of groups, and a split with other labels."""

    options_class, provides = Choices, ("spurious-features", "column:group")

    def load(self, seed):
        data = super().load(seed)
        data = dataclasses.replace(data, train=self.grouped(data.train), dev=self.grouped(data.dev))
        rows = split("far", 6, seed=seed)
        return dataclasses.replace(data, ood=(dataclasses.replace(rows, labels=OTHER, collapse=self.collapse()),))

    def grouped(self, part):
        texts = [self.cased(f"The {each}") for each in part.examples["text_a"]]
        rows = part.examples.to_dict() | {"text_a": texts, "group": [f"g{i % 3}" for i in range(len(texts))]}
        return dataclasses.replace(part, examples=datasets.Dataset.from_dict(rows))

    def cased(self, text):
        return text.lower() if self.options.lower else text

    def collapse(self):
        return (0, 1)


class IgnoresASwitch(SoundChoices):
    def cased(self, text):
        return text


class CollapseAgainstTheNames(SoundChoices):
    def collapse(self):
        return (1, 0)


class OneLabelAfterCollapse(SoundChoices):
    def load(self, seed):
        data = super().load(seed)
        rows = split("far", 6, seed=seed, labels=OTHER, label=[1] * 6)
        return dataclasses.replace(data, ood=(dataclasses.replace(rows, collapse=(0, 1)),))


class NoGroup(SoundChoices):
    def grouped(self, part):
        return part


class GroupIsNone(SoundChoices):
    def grouped(self, part):
        grouped = super().grouped(part)
        rows = grouped.examples.to_dict() | {"group": ["g", None] * (len(part.examples) // 2)}
        return dataclasses.replace(grouped, examples=datasets.Dataset.from_dict(rows))


class OneFewer(SoundTask):
    def load(self, seed):
        data = super().load(seed)
        return dataclasses.replace(data, train=split("train", self.options.size - 1, seed=seed))

    def sizes(self):
        return {"train": self.options.size - 1}


class FeaturesOfAName(SoundTask):
    def load(self, seed):
        data = super().load(seed)

        def named(part):
            names = [part.labels[label] for label in part.examples["label"]]
            return dataclasses.replace(part, examples=part.examples.add_column("gold", names))

        return dataclasses.replace(
            data,
            train=named(data.train),
            dev=named(data.dev),
            ood=tuple(map(named, data.ood)),
            spurious_features=lambda part, _: np.array([[float(len(each))] for each in part.examples["gold"]]),
        )


class HashedFeatures(SoundTask):
    def load(self, seed):
        features = lambda part, _: np.array([[hash(text) % 97] for text in part.examples["text_b"]])  # noqa: E731
        return dataclasses.replace(super().load(seed), spurious_features=features)


class NoisyFeatures(SoundTask):
    def load(self, seed):
        features = lambda part, _: np.random.rand(len(part.examples), 2)  # noqa: E731
        return dataclasses.replace(super().load(seed), spurious_features=features)


class FewNumberErrors(SoundTask):
    def load(self, seed):
        np.seterr(all="ignore")
        return super().load(seed)


class NeedsHeuristics(SoundTask):
    requires = ("evaluator/accuracy", "evaluator/hans")


class SeedOfTheBaseClass(Synthetic):
    """Draws in a base class of another package."""

    options_class, provides = SyntheticOptions, staticmethod(SyntheticOptions.provided)
    example = {"train_size": 30, "dev_size": 12, "ood_size": 12}  # noqa: RUF012

    def load(self, seed):
        return super().load(7)


class OodIsDev(SoundTask):
    def load(self, seed):
        data = super().load(seed)
        return dataclasses.replace(data, ood=(dataclasses.replace(data.dev, name="far"),))


MergedOne = changed("MergedOne", merged_labels=lambda: ("no",))
OodTrainOfOthers = changed(
    "OodTrainOfOthers", ood_train=lambda: Split("more", split("more", 6).examples, OTHER, collapse=(0, 1))
)

SPLITS = {
    IgnoresASwitch: "options_matter",
    CollapseAgainstTheNames: "collapse_fits_names",
    OneLabelAfterCollapse: "collapse_fits_names",
    NoGroup: "sound_columns",
    GroupIsNone: "sound_columns",
    OneFewer: "sizes_are_exact",
    FeaturesOfAName: "no_label_in_features",
    HashedFeatures: "same_rows_in_another_process",
    NoisyFeatures: "seed_decides",
    FewNumberErrors: "settings_untouched",
    NeedsHeuristics: "required_evaluators_apply",
    SeedOfTheBaseClass: "seed_matters",
    OodIsDev: "splits_differ",
    MergedOne: "training_labels",
    OodTrainOfOthers: "training_labels",
}
