"""The data of a data set, loaded once for the checks that only read them."""

from __future__ import annotations

from srframework import hashing
from srframework.contracts import Split, TaskData
from srframework.testing.check import Subject


def loaded(subject: Subject) -> TaskData:
    """Return the data for seed 1."""
    data: TaskData = subject.once("data", lambda: subject.build().load(1))
    return data


def splits_of(data: TaskData) -> list[Split]:
    """Return all splits of a task, the training set first."""
    return [data.train, *data.evaluated, *([data.ood_train] if data.ood_train is not None else [])]


def digest(data: TaskData) -> str:
    """Return a hash of all rows of all splits."""
    return hashing.digest([[split.name, split.labels, split.examples.to_dict()] for split in splits_of(data)])
