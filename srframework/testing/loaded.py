"""The data of a data set, loaded once for the checks that only read them."""

from __future__ import annotations

from srframework.contracts import TaskData
from srframework.testing.check import Subject


def loaded(subject: Subject) -> TaskData:
    """Return the data for seed 1."""
    data: TaskData = subject.once("data", lambda: subject.build().load(1))
    return data
