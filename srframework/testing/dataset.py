"""Checks of data sets."""

from __future__ import annotations

import numpy as np

from srframework.testing.check import NotApplicable, Subject, checks_in, require
from srframework.testing.dataset_features import (
    features_are_finite,
    features_differ,
    features_follow_rows,
    no_label_in_features,
)
from srframework.testing.dataset_rows import CHECKS as ROWS
from srframework.testing.dataset_seeds import CHECKS as SEEDS
from srframework.testing.dataset_splits import CHECKS as SPLITS
from srframework.testing.inputs import predictions
from srframework.testing.loaded import loaded
from srframework.testing.loads import splits_of


def columns(subject: Subject) -> None:
    """Each split has examples with the columns text_a and label."""
    for split in splits_of(loaded(subject)):
        given = split.examples.column_names
        require({"text_a", "label"} <= set(given), f"{split.name}: expected the columns text_a and label, got {given}")
        require(len(split.examples) > 0, f"{split.name} has no examples")
    with_two = [split.name for split in splits_of(loaded(subject)) if "text_b" in split.examples.column_names]
    count = len(splits_of(loaded(subject)))
    require(
        len(with_two) in (0, count), f"expected a column text_b in all splits or in none, got {', '.join(with_two)}"
    )


def labels_in_range(subject: Subject) -> None:
    """Labels are integers that index the labels of their split."""
    for split in splits_of(loaded(subject)):
        for row, label in enumerate(split.examples["label"]):
            is_index = isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(split.labels)
            require(is_index, f"{split.name}: row {row}: expected a label in 0..{len(split.labels) - 1}, got {label!r}")


def labels_present(subject: Subject) -> None:
    """The training set and dev have examples of each label."""
    data = loaded(subject)
    for split in (data.train, data.dev):
        missing = sorted(set(range(len(split.labels))) - set(split.examples["label"]))
        names = ", ".join(split.labels[each] for each in missing)
        require(not missing, f"{split.name}: no example has the label {names}")


def label_names(subject: Subject) -> None:
    """Labels have different names; a split with other labels has a valid collapse; merged labels exist."""
    data = loaded(subject)
    require(len(data.labels) >= 2, f"expected at least two labels, got {len(data.labels)}")
    for split in splits_of(data):
        where, labels = split.name, split.labels
        require(all(isinstance(each, str) and each for each in labels), f"{where}: expected names, got {labels}")
        require(len(set(labels)) == len(labels), f"{where}: two labels have the same name: {labels}")
        if split.collapse is None:
            require(labels == data.labels, f"{where}: expected the task's labels, or a collapse; got {labels}")
            continue
        require(len(split.collapse) == len(data.labels), f"{where}: collapse: expected one index for each label")
        outside = set(split.collapse) - set(range(len(labels)))
        require(not outside, f"{where}: collapse: {outside} are no labels of the split")
        unreachable = set(split.examples["label"]) - set(split.collapse)
        require(not unreachable, f"{where}: collapse: no label of the task becomes {sorted(unreachable)}")
    require(set(data.merged_labels) <= set(data.labels), f"merged_labels: {data.merged_labels} are not all labels")
    require(data.train.collapse is None, "train: the training set must have the labels of the task")


def texts_are_strings(subject: Subject) -> None:
    """Texts are strings, and most are neither empty nor equal."""
    for split in splits_of(loaded(subject)):
        for name in {"text_a", "text_b"} & set(split.examples.column_names):
            texts = split.examples[name][:]
            wrong = next((each for each in texts if not isinstance(each, str)), "")
            require(isinstance(wrong, str), f"{split.name}: {name}: expected strings, got {wrong!r}")
            empty = sum(not each.strip() for each in texts)
            require(empty * 2 < len(texts), f"{split.name}: {empty} of {len(texts)} {name} are empty")
            require(len(set(texts)) > 1 or len(texts) < 4, f"{split.name}: every {name} is the same text")
        if "text_b" in split.examples.column_names:
            same = split.examples["text_a"][:] == split.examples["text_b"][:]
            require(not same, f"{split.name}: text_b is text_a in every row")


def split_names(subject: Subject) -> None:
    """Splits have different names, none of them "model"."""
    names = [split.name for split in splits_of(loaded(subject))]
    require(all(isinstance(each, str) and each for each in names), f"expected names of splits, got {names}")
    require(len(set(names)) == len(names), f"two splits have the same name: {', '.join(names)}")
    require("model" not in names, 'the split name "model" is reserved for the figures of weights')


def unique_ids(subject: Subject) -> None:
    """The ids of a split are unique."""
    found = False
    for split in splits_of(loaded(subject)):
        if "id" in split.examples.column_names:
            found, ids = True, split.examples["id"][:]
            require(len(set(ids)) == len(ids), f"{split.name}: {len(ids) - len(set(ids))} ids occur twice")
    if not found:
        raise NotApplicable("no column id")


def known_metric(subject: Subject) -> None:
    """The metric is a figure of an evaluator that the data set requires."""
    data, found = loaded(subject), set[str]()
    names = [each.partition("/")[2] for each in subject.component.required(subject.options())]
    require(any(names), f'requires: expected the evaluator of the metric {data.metric!r}, as "evaluator/NAME"')
    for name in filter(None, names):
        registered = subject.registry.get("evaluator", name)
        evaluator = registered.build(registered.component.options.model_validate({}))
        logits = np.random.default_rng(1).normal(size=(len(data.dev.examples), len(data.labels))).astype(np.float32)
        given = predictions(data.dev, logits)
        if set(evaluator.columns()) <= set(given.columns):
            found |= evaluator.evaluate(given).keys()
    require(data.metric in found, f"metric: expected one of {', '.join(sorted(found))}, got {data.metric!r}")


def provides_what_it_has(subject: Subject) -> None:
    """The component provides "spurious-features" and "ood-train" exactly if the data have them."""
    data, given = loaded(subject), subject.component.provided(subject.options())
    for name, is_there in (("ood-train", data.ood_train), ("spurious-features", data.spurious_features)):
        there = is_there is not None
        require((name in given) == there, f"provides: {name} is {'missing' if there else 'named, but not in the data'}")


def accepts_its_files(subject: Subject) -> None:
    """check_files() finds no fault in the files of the example."""
    problems = list(subject.options().check_files())
    require(not problems, f"check_files() reports: {problems[:1]}")


CHECKS = checks_in(
    "dataset",
    [
        columns,
        labels_in_range,
        labels_present,
        label_names,
        texts_are_strings,
        split_names,
        unique_ids,
        known_metric,
        provides_what_it_has,
        features_are_finite,
        no_label_in_features,
        features_follow_rows,
        features_differ,
        accepts_its_files,
        *ROWS,
        *SPLITS,
        *SEEDS,
    ],
)
