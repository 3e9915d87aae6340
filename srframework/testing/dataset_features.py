"""Checks of the spurious features of data sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from srframework.contracts import Split, TaskData
from srframework.testing.check import NotApplicable, Subject, require
from srframework.testing.loaded import loaded
from srframework.testing.loads import splits_of
from srframework.testing.small_task import word_vectors


def _features(data: TaskData, split: Split) -> np.ndarray:
    assert data.spurious_features is not None
    return np.asarray(data.spurious_features(split, word_vectors))


def _with_features(subject: Subject) -> Iterator[tuple[TaskData, Split]]:
    data = loaded(subject)
    if data.spurious_features is None:
        raise NotApplicable("no spurious features")
    for split in splits_of(data):
        yield data, split


def features_are_finite(subject: Subject) -> None:
    """Spurious features are finite numbers, one row for each example, with equal columns in all splits."""
    widths = set()
    for data, split in _with_features(subject):
        rows, where = _features(data, split), f"spurious features of {split.name}"
        require(rows.ndim == 2 and len(rows) == len(split.examples), f"{where}: expected (N, F), got {rows.shape}")
        require(np.isfinite(rows).all(), f"{where}: expected finite numbers")
        widths.add(rows.shape[1])
    require(len(widths) == 1, f"the spurious features of the splits have different widths: {sorted(widths)}")


def no_label_in_features(subject: Subject) -> None:
    """Other labels do not change the spurious features."""
    for data, split in _with_features(subject):
        table = split.examples.to_dict()
        old = table["label"]
        table["label"] = [(each + 1) % len(split.labels) for each in old]
        for name in set(table) - {"text_a", "text_b", "label"}:
            table[name] = _follows(table[name], old, table["label"])
        other = dataclasses.replace(split, examples=type(split.examples).from_dict(table))
        same = np.allclose(_features(data, split), _features(data, other))
        require(same, f"the spurious features of {split.name} depend on the labels")


def _follows(values: list[Any], labels: list[int], others: list[int]) -> list[Any]:
    """Return the values that a column has with other labels, if it names the label; else the values."""
    pairs = {(repr(value), label) for value, label in zip(values, labels, strict=True)}
    of_label = dict(zip(labels, values, strict=True))
    is_name = len(pairs) == len(of_label) == len({value for value, _ in pairs}) > 1
    return [of_label.get(label) for label in others] if is_name and set(others) <= set(of_label) else values


def features_follow_rows(subject: Subject) -> None:
    """The spurious features of an example do not depend on the other examples."""
    for data, split in _with_features(subject):
        order = list(range(len(split.examples)))[::-1][: max(1, len(split.examples) // 2)]
        part = dataclasses.replace(split, examples=split.examples.select(order))
        same = np.allclose(_features(data, split)[order], _features(data, part))
        require(same, f"the spurious features of {split.name} depend on the other examples")


def features_differ(subject: Subject) -> None:
    """The spurious features of the training examples are not all equal."""
    data, split = next(_with_features(subject))
    rows = _features(data, split)
    require(len(rows) < 2 or bool((rows != rows[0]).any()), "every training example has the same spurious features")
