"""Checks of bias models, on the small task."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from srframework.contracts import BiasModel, Split, TaskData
from srframework.testing.check import NotApplicable, Subject, checks_in, require
from srframework.testing.small_task import LABELS, task, word_vectors


def _fitted(subject: Subject, data: TaskData | None = None) -> tuple[BiasModel, TaskData]:
    data = data or task()
    model: BiasModel = subject.build()
    spurious = data.spurious_features
    assert spurious is not None, "the small task has spurious features"
    needs = "spurious-features" in subject.component.required(subject.options())
    model.fit(data, (lambda split: spurious(split, word_vectors)) if needs else None)
    return model, data


def _of_train(subject: Subject, data: TaskData | None = None) -> np.ndarray:
    model, data = _fitted(subject, data)
    found = model.log_probs(data.train)
    require(found is not None, "log_probs() of the training set is None")
    assert found is not None
    return found


def _known(subject: Subject) -> list[tuple[Split, np.ndarray]]:
    model, data = _fitted(subject)
    splits = [data.train, *data.evaluated]
    return [(split, found) for split in splits if (found := model.log_probs(split)) is not None]


def _taken(split: Split, rows: list[int], **changed: Any) -> Split:
    return dataclasses.replace(split, examples=split.examples.select(rows), **changed)


def knows_the_training_set(subject: Subject) -> None:
    """There are log-probabilities of each training example."""
    _of_train(subject)


def shape(subject: Subject) -> None:
    """The log-probabilities have one row for each example and one column for each label."""
    _of_train(subject)
    for split, found in _known(subject):
        expected = len(split.examples), len(LABELS)
        require(found.shape == expected, f"{split.name}: expected the shape {expected}, got {found.shape}")


def normalised(subject: Subject) -> None:
    """The probabilities of each example sum to 1."""
    for split, found in _known(subject):
        sums = np.exp(found.astype(np.float64)).sum(axis=1)
        require(np.allclose(sums, 1, atol=1e-4), f"{split.name}: probabilities sum to {sums.min()}..{sums.max()}")


def finite(subject: Subject) -> None:
    """The log-probabilities are finite, and at most 0."""
    for split, found in _known(subject):
        require(np.isfinite(found).all(), f"{split.name}: expected finite log-probabilities")
        require(found.max() <= 1e-6, f"{split.name}: a log-probability is {found.max()}")


def bound_to_its_split(subject: Subject) -> None:
    """The rows belong to the examples of the split that is asked for, not to another split."""
    model, data = _fitted(subject)
    for split in data.evaluated:
        half = _taken(split, [4, 1, 0])
        found, of_all = model.log_probs(half), model.log_probs(split)
        if found is not None and of_all is not None:
            require(len(found) == 3, f"{split.name}: a split of 3 examples gets {len(found)} rows")
            same = np.allclose(found, of_all[[4, 1, 0]], atol=1e-5)
            require(same, f"{split.name}: the rows do not follow the order of the examples")


def does_not_read_labels(subject: Subject) -> None:
    """The labels of an evaluated split do not matter."""
    model, data = _fitted(subject, _blind())
    for split in data.evaluated:
        columns = split.examples.to_dict() | {"label": [(each + 1) % 3 for each in split.examples["label"]]}
        other = dataclasses.replace(split, examples=type(split.examples).from_dict(columns))
        one, two = model.log_probs(split), model.log_probs(other)
        same = one is two if one is None or two is None else np.allclose(one, two)
        require(same, f"{split.name}: other labels give other log-probabilities")


def _blind() -> TaskData:
    """The small task, with a feature that follows from the text alone."""
    letters = "adgjbehkcfil"

    def features(split: Split, _: Any) -> np.ndarray:
        return np.array([[float(letters.find(text[0]) % 4), float(text < "d")] for text in split.examples["text_a"]])

    return dataclasses.replace(task(), spurious_features=features)


def features_matter(subject: Subject) -> None:
    """A bias model that requires spurious features uses them: rows with other features get other predictions."""
    if "spurious-features" not in subject.component.required(subject.options()):
        raise NotApplicable('the bias model does not require "spurious-features"')
    found = np.exp(_of_train(subject))
    gold = np.array(task().train.examples["label"])
    of_zero, of_others = found[gold == 0, 0].mean(), found[gold != 0, 0].mean()
    sentence = "the feature of the small task marks label 0, which gets the probability"
    require(of_zero > of_others, f"{sentence} {of_zero:.2f} with the mark and {of_others:.2f} without")


def repeats(subject: Subject) -> None:
    """Two fits to the same data give the same log-probabilities, and so does a second call."""
    np.random.seed(3)
    one = _of_train(subject)
    np.random.seed(4)
    require(np.array_equal(one, _of_train(subject)), "two fits to the same data give other log-probabilities")
    model, data = _fitted(subject)
    model.log_probs(data.dev)
    require(np.array_equal(one, model.log_probs(data.train)), "a second call of log_probs() gives other numbers")  # type: ignore[arg-type]


def merged_labels_are_equal(subject: Subject) -> None:
    """Labels that the task merges have equal probabilities."""
    if "spurious-features" not in subject.component.required(subject.options()):
        raise NotApplicable('the bias model does not require "spurious-features"')
    found = _of_train(subject, dataclasses.replace(task(), merged_labels=LABELS[1:]))
    require(np.allclose(found[:, 1], found[:, 2], atol=1e-5), "merged labels have different probabilities")


def inputs_unchanged(subject: Subject) -> None:
    """The bias model changes neither the examples nor the features."""
    data, features = task(), np.ones((12, 1))
    features[::3] = 0
    before = features.copy()
    _fitted(subject, dataclasses.replace(data, spurious_features=lambda split, _: features[: len(split.examples)]))
    require(np.array_equal(features, before), "fit() changes the features in place")


CHECKS = checks_in(
    "bias",
    [
        knows_the_training_set,
        shape,
        normalised,
        finite,
        bound_to_its_split,
        does_not_read_labels,
        features_matter,
        repeats,
        merged_labels_are_equal,
        inputs_unchanged,
    ],
)
