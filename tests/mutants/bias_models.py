"""Bias models with one fault each, and the check that must find it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from srframework import BiasModel, Options


class NoOptions(Options):
    """None."""


class SoundBias(BiasModel):
    """The share of each label among the training examples with the same first feature."""

    def fit(self, task, features):
        self.features, self.count = features, len(task.labels)
        rows, labels = features(task.train)[:, 0], np.array(task.train.examples["label"])
        self.shares = {}
        for value in set(rows.tolist()):
            counts = np.bincount(labels[rows == value], minlength=self.count) + 0.1
            merged = [task.labels.index(each) for each in task.merged_labels]
            counts[merged] = counts[merged].sum() / max(1, len(merged))
            self.shares[value] = counts / counts.sum()

    def log_probs(self, split):
        rows = self.features(split)[:, 0]
        return np.log([self.shares.get(value, np.full(self.count, 1 / self.count)) for value in rows.tolist()])


class UnknownTraining(SoundBias):
    def log_probs(self, split):
        return None if split.name == "train" else super().log_probs(split)


class OneColumnTooFew(SoundBias):
    def log_probs(self, split):
        return super().log_probs(split)[:, :2]


class Transposed(SoundBias):
    def log_probs(self, split):
        return super().log_probs(split).T


class Probabilities(SoundBias):
    def log_probs(self, split):
        return np.exp(super().log_probs(split))


class Unnormalised(SoundBias):
    def log_probs(self, split):
        return super().log_probs(split) - 1


class MinusInfinity(SoundBias):
    def log_probs(self, split):
        found = np.full((len(split.examples), 3), -np.inf)
        found[:, 0] = 0
        return found


class AlwaysTrainingRows(SoundBias):
    def fit(self, task, features):
        super().fit(task, features)
        self.kept = super().log_probs(task.train)

    def log_probs(self, split):
        return self.kept[: max(len(split.examples), 6)]


class ByPosition(SoundBias):
    def log_probs(self, split):
        found = super().log_probs(split)
        return np.stack([np.roll(row, index) for index, row in enumerate(found)])


class ReadsLabels(SoundBias):
    def log_probs(self, split):
        found = np.full((len(split.examples), 3), 0.1)
        found[np.arange(len(found)), split.examples["label"]] = 0.8
        return np.log(found)


class Uniform(SoundBias):
    def log_probs(self, split):
        return np.full((len(split.examples), 3), -np.log(3))


class ColumnsReversed(SoundBias):
    def log_probs(self, split):
        return super().log_probs(split)[:, ::-1]


class RandomFit(SoundBias):
    def log_probs(self, split):
        found = super().log_probs(split) + 0.1 * np.random.rand(len(split.examples), 3)
        return found - np.log(np.exp(found).sum(1, keepdims=True))


class IgnoresMerged(SoundBias):
    def fit(self, task, features):
        import dataclasses

        super().fit(dataclasses.replace(task, merged_labels=()), features)
        self.shares = {value: share * [1, 1, 2] / (share * [1, 1, 2]).sum() for value, share in self.shares.items()}


class KeepsTheBalance(SoundBias):
    def fit(self, task, features):
        import dataclasses

        super().fit(dataclasses.replace(task, merged_labels=()), features)


class DividesByTheSplit(SoundBias):
    def log_probs(self, split):
        found = np.exp(super().log_probs(split))
        found /= found.sum(axis=0)
        return np.log(found / found.sum(axis=1, keepdims=True))


class FittedOnDev(SoundBias):
    def fit(self, task, features):
        super().fit(task, features)
        labels = np.array(task.dev.examples["label"])
        share = (np.bincount(labels, minlength=self.count) + 1) / (len(labels) + self.count)
        self.shares = {value: 0.9 * old + 0.1 * share for value, old in self.shares.items()}


class ThreeLabels(SoundBias):
    def fit(self, task, features):
        super().fit(task, features)
        self.shares = {value: np.resize(share, 3) / np.resize(share, 3).sum() for value, share in self.shares.items()}


class ReturnsItsCache(SoundBias):
    def fit(self, task, features):
        super().fit(task, features)
        self.cached = super().log_probs(task.train)

    def log_probs(self, split):
        return self.cached if split.name == "train" else super().log_probs(split)


class SeedsNumpy(SoundBias):
    def fit(self, task, features):
        np.random.seed(0)
        super().fit(task, features)


class ChangesFeatures(SoundBias):
    def fit(self, task, features):
        super().fit(task, features)
        features(task.train)[:] -= 1


class ColumnsByName(SoundBias):
    def fit(self, task, features):
        super().fit(task, features)
        self.order = np.argsort(task.labels)

    def log_probs(self, split):
        return super().log_probs(split)[:, self.order]


class ColumnsByFirstExample(SoundBias):
    def fit(self, task, features):
        super().fit(task, features)
        self.order = list(dict.fromkeys(task.train.examples["label"]))

    def log_probs(self, split):
        return super().log_probs(split)[:, self.order]


class CachesByLength(SoundBias):
    def fit(self, task, features):
        super().fit(task, features)
        self.cache = {}

    def log_probs(self, split):
        return self.cache.setdefault(len(split.examples), super().log_probs(split)).copy()


class KnowsTrainingByItsLength(SoundBias):
    def fit(self, task, features):
        super().fit(task, features)
        self.kept = super().log_probs(task.train)

    def log_probs(self, split):
        return self.kept.copy() if len(split.examples) == len(self.kept) else super().log_probs(split)


class HashesTexts(SoundBias):
    def log_probs(self, split):
        found = super().log_probs(split)
        found[:, 0] += [0.01 * (hash(text) % 100) for text in split.examples["text_a"]]
        return found - np.log(np.exp(found).sum(1, keepdims=True))


class GivesMergedLabelsAll(SoundBias):
    def fit(self, task, features):
        super().fit(task, features)
        merged = [task.labels.index(each) for each in task.merged_labels]
        for share in self.shares.values():
            share[merged] = share[merged].sum()


class ReversesTheTrainingSet(SoundBias):
    def restrict(self, task):
        backwards = range(len(task.train.examples) - 1, -1, -1)
        train = replace(task.train, examples=task.train.examples.select(backwards))
        return replace(task, train=train, notes=("reversed",))


class RestrictsDev(SoundBias):
    def restrict(self, task):
        dev = replace(task.dev, examples=task.dev.examples.select([0, 1, 2]))
        return replace(task, dev=dev)


class DropsInSilence(SoundBias):
    def restrict(self, task):
        return replace(task, train=replace(task.train, examples=task.train.examples.select(range(6))))


class RenamesLabels(SoundBias):
    def fit(self, task, features):
        super().fit(task, features)
        object.__setattr__(task, "labels", tuple(sorted(task.labels)))


class RaisesInFit(SoundBias):
    def fit(self, task, features):
        raise RuntimeError("no data")


BIAS_MODELS = {
    UnknownTraining: "knows_the_training_set",
    RaisesInFit: "knows_the_training_set",
    OneColumnTooFew: "shape",
    Transposed: "shape",
    Probabilities: "normalised",
    Unnormalised: "normalised",
    MinusInfinity: "finite",
    AlwaysTrainingRows: "bound_to_its_split",
    ByPosition: "bound_to_its_split",
    ReadsLabels: "does_not_read_labels",
    Uniform: "features_matter",
    ColumnsReversed: "features_matter",
    RandomFit: "repeats",
    IgnoresMerged: "merged_labels_are_equal",
    KeepsTheBalance: "merged_labels_are_equal",
    DividesByTheSplit: "bound_to_its_split",
    FittedOnDev: "fits_on_the_training_set",
    ThreeLabels: "any_number_of_labels",
    ReturnsItsCache: "repeats",
    SeedsNumpy: "random_state_untouched",
    ChangesFeatures: "inputs_unchanged",
    ColumnsByName: "columns_follow_the_labels",
    ColumnsByFirstExample: "columns_follow_the_labels",
    CachesByLength: "bound_to_its_split",
    KnowsTrainingByItsLength: "bound_to_its_split",
    HashesTexts: "repeats",
    GivesMergedLabelsAll: "merged_labels_are_equal",
    RenamesLabels: "inputs_unchanged",
    ReversesTheTrainingSet: "restricts_the_training_set",
    RestrictsDev: "restricts_the_training_set",
    DropsInSilence: "restricts_the_training_set",
}
