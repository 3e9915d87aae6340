"""Evaluate a model on disk on a file of labelled texts, and on slices of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from srframework.contracts import Predictions
from srframework.errors import UsageError
from srframework.files import atomic_file
from srframework.models import classifier
from srframework.models.data_file import DataFile, Read, read
from srframework.models.predictions import RESAMPLES, Predictor, estimate, length_for
from srframework.models.saved import on_disk
from srframework.registry.registry import Registry
from srframework.report.bootstrap import subset
from srframework.report.metrics import Metric, metric_of
from srframework.run import predictions_file
from srframework.run.collapse import has_collapsed
from srframework.run.processes import Processes
from srframework.text import shorten

MOST_SLICES = 200
"""A column with more values is no column of groups."""

FIGURE = "accuracy"


@dataclass(frozen=True)
class Slice:
    """The examples of a file with one value in a column, or all of them.

    Attributes:
        value: The value; None for all examples.
        examples: Their number.
        accuracy: In [0, 1].
        interval: 95 % interval of the accuracy over resampled examples.
        majority: Accuracy of a model that always predicts the most frequent true label of these examples.
        collapsed: Whether the model predicts one label only; see :func:`srframework.run.collapse.has_collapsed`.
    """

    value: str | None
    examples: int
    accuracy: float
    interval: tuple[float, float]
    majority: float
    collapsed: bool


@dataclass(frozen=True)
class Evaluation:
    """The figures of a model on a file.

    Attributes:
        model, data: As the user wrote them.
        labels: The labels of the model.
        read: How the file was read.
        rows: All examples; then each slice, in the order of the values.
        notes: Sentences about skipped rows and cut texts.
        max_length: Tokens of an example.
    """

    model: str
    data: str
    labels: tuple[str, ...]
    read: Read
    rows: tuple[Slice, ...]
    notes: tuple[str, ...]
    max_length: int

    def to_json(self) -> dict[str, Any]:
        """Return what ``evaluate --json`` prints."""
        columns = {"text_a": self.read.text_a, "text_b": self.read.text_b or None, "label": self.read.label}
        labels = {"model": self.labels, "data": self.read.labels.own, "collapse": dict(self.read.labels.collapse)}
        found: dict[str, Any] = {"model": self.model, "data": self.data, "columns": columns, "labels": labels}
        found |= {"max_length": self.max_length, "notes": self.notes}
        return found | {"slices": [asdict(row) for row in self.rows]}


def evaluate(
    model: str,
    file: DataFile,
    registry: Registry,
    split_by: str | None = None,
    out: Path | None = None,
    max_length: int | None = None,
    batch_size: int = 128,
) -> Evaluation:
    """Evaluate a model on a file.

    Args:
        model: A directory, or RUN@STAGE; see :func:`srframework.models.saved.on_disk`.
        file: The file, with its columns and labels.
        registry: Has the backbone, the data set and the evaluator.
        split_by: A column of the file; each of its values is a slice.
        out: A new file for the predictions.
        max_length: Tokens of an example; None: 128, or the positions of the model if these are fewer.
        batch_size: Examples of a batch.

    Raises:
        UsageError: There is no such model, the labels do not match, or ``out`` exists.
        BackboneError: The model is not a classifier, or damaged.
        DataError: The file cannot be read, or a row is not valid.
    """
    if out is not None and out.exists():
        raise UsageError(f"--out {out}: expected a new file, got one that exists")
    with on_disk(model) as found:
        labels = classifier.labels_of(found)
        data = read(file, labels, registry)
        network = classifier.load(found, registry, labels)
    length = length_for(network, model, max_length)
    predictor = Predictor(network, model, Processes().accelerator, length, batch_size)
    logits, cut = predictor.logits(data.split)
    predictions = Predictions.of_split(data.split, logits, data.kept)
    metric = metric_of([{"use": FIGURE}], FIGURE, registry)
    rows = [_slice(None, predictions, metric)]
    if split_by is not None:
        rows += [_slice(value, each, metric) for value, each in _slices(split_by, data, predictions)]
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(out) as temporary:
            predictions_file.save(predictions, temporary)
    return Evaluation(model, file.path, labels, data, tuple(rows), (*data.notes, *cut), length)


def _slices(column: str, data: Read, predictions: Predictions) -> Iterator[tuple[str, Predictions]]:
    if column == data.label:
        values = np.asarray(predictions.labels, dtype=object)[predictions.gold]
    else:
        values = predictions.columns[column]
    names, of_names = np.unique([str(each) for each in values], return_inverse=True)
    if len(names) > MOST_SLICES:
        expected = f"expected a column with at most {MOST_SLICES} different values"
        raise UsageError(f"--split-by {shorten(column)}: {expected}, got {len(names):,}")
    for index, name in enumerate(names):
        yield str(name), subset(predictions, np.flatnonzero(of_names == index))


def _slice(value: str | None, predictions: Predictions, metric: Metric) -> Slice:
    # Examples that differ only in their ids are counted together.
    found = estimate(metric, Predictions(predictions.split, predictions.labels, *_arrays(predictions)), RESAMPLES)
    majority = float(np.bincount(predictions.gold).max() / found.examples)
    return Slice(value, found.examples, found.value, found.interval, majority, has_collapsed(predictions))


def _arrays(predictions: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return predictions.logits, predictions.predicted, predictions.gold
