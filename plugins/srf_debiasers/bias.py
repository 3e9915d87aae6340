"""Bias models, p_b. Shapes: N examples of a split, F features, C labels."""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import datasets
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from srf_debiasers.npy_header import opened, read_header
from srf_debiasers.options import FileBiasOptions, LogisticBiasOptions
from srframework import BiasModel, DataError, Split, TaskData, did_you_mean, listed, nearest

_SMALLEST = 1e-8
"""Lower bound of probabilities, so that all logarithms are finite."""

LARGEST_JSON = 1 << 31
"""Maximum size of a JSON file, in bytes."""


class LogisticBias(BiasModel):
    """A linear classifier of the label on the spurious features.

    Merged labels, which the features cannot tell apart, are fitted as one class and share its probability evenly.

    Source: Appendix B.3.1; Clark et al. 2019.
    """

    options: LogisticBiasOptions

    def fit(self, task: TaskData, features: Callable[[Split], np.ndarray] | None) -> None:
        """Fit on the training examples.

        Raises:
            DataError: There are no features, or not one finite row for each example; a label has no training
                example; the labels to merge are unknown, or are all labels.
        """
        if features is None:
            raise DataError("bias-logistic: expected a data set with spurious features, got one without")
        classes = self._classes(task)
        rows = _finite_rows(features, task.train)
        labels = np.asarray(task.train.examples["label"][:], dtype=np.int64)
        if missing := set(classes.tolist()) - set(classes[labels].tolist()):
            names = ", ".join(repr(task.labels[index]) for index, each in enumerate(classes) if each in missing)
            raise DataError(f"bias-logistic: expected training examples of every label, got none of {names}")
        self._model = LogisticRegression(
            C=self.options.c, class_weight="balanced" if self.options.balanced else None, max_iter=1000
        )
        with warnings.catch_warnings():
            # Separable features have no finite optimum; the last iterate is good enough.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model.fit(rows, classes[labels])
        self._columns = np.searchsorted(self._model.classes_, classes)
        self._features = features
        # Features may take minutes, so those of the training set, the largest, are computed once.
        self._train, self._train_log_probs = task.train.examples, self._predict(rows)

    def log_probs(self, split: Split) -> np.ndarray:
        """Predict any split; ``(N, C)``.

        Raises:
            DataError: The features are not one finite row for each example, of the same length as in training.
        """
        if split.examples is self._train:
            return self._train_log_probs.copy()
        if len(split.examples) == 0:
            return np.empty((0, len(self._columns)))
        return self._predict(_finite_rows(self._features, split, self._model.n_features_in_))

    def _predict(self, rows: np.ndarray) -> np.ndarray:
        share = np.bincount(self._columns)[self._columns]
        return _log(self._model.predict_proba(rows)[:, self._columns] / share)

    def _classes(self, task: TaskData) -> np.ndarray:
        """Map each label to its class, ``(C,)``: its own index, or that of the first label it is merged with."""
        if self.options.merge is None:
            key, names = "merged_labels of the data set", task.merged_labels
        else:
            key, names = "merge", self.options.merge
        for name in names:
            if name not in task.labels:
                near = nearest(name, task.labels)
                known = ", ".join(task.labels)
                raise DataError(
                    f"bias-logistic: {key}: expected labels among: {known}; got {name!r}{did_you_mean(near)}"
                )
        if len(set(names)) == len(task.labels):
            raise DataError(f"bias-logistic: {key}: expected some of the labels, got all: {', '.join(names)}")
        merged = sorted({task.labels.index(name) for name in names})
        classes = np.arange(len(task.labels))
        if merged:
            classes[merged] = merged[0]
        return classes


class FileBias(BiasModel):
    """Predictions of an external bias model for the training examples, and optionally for other splits.

    Another split gets rows by id if the file has a row for each of its ids. In many data sets the ids of every split
    start from 0, so a split that shares an id with the training set has no predictions.
    """

    options: FileBiasOptions

    def restrict(self, task: TaskData) -> TaskData:
        """Drop the training examples that have no row, if ``missing = "drop"``.

        Raises:
            DataError: The file is damaged, is not a table by id, or has no row for any training example.
        """
        if self.options.missing != "drop":
            return task
        path, ids = self.options.path, _ids(task.train)
        rows = self._content
        if not isinstance(rows, dict) or ids is None:
            got = "training examples without a column 'id'" if ids is None else "rows in order"
            raise DataError(f'{path}: missing = "drop": expected a table from example id to row, got {got}')
        kept = [place for place, each in enumerate(ids) if each in rows]
        if not kept:
            raise DataError(
                f"{path}: expected rows for training examples, got none of their {len(ids)} ids; "
                f"ids of the file: {listed(rows, 3)}; of the examples: {listed(ids, 3)}"
            )
        if len(kept) == len(ids):
            return task
        count = len(ids) - len(kept)
        dropped = f"{count} of {len(ids)} examples dropped, because {path} has no row for them"
        train = replace(task.train, examples=datasets.Dataset.from_dict(task.train.examples[kept]))
        return replace(task, train=train, notes=(*task.notes, f'{task.train.name}: {dropped} (missing = "drop")'))

    def fit(self, task: TaskData, features: Callable[[Split], np.ndarray] | None) -> None:
        """Read the file; the features are not used.

        Raises:
            DataError: The file is damaged, or has not one distribution for each training example.
        """
        content = self._content
        self._by_id: dict[str, Any] = {}
        self._train, self._labels = task.train, len(task.labels)
        ids = _ids(task.train)
        self._train_ids = frozenset(ids or ())
        if isinstance(content, dict):
            if ids is None:
                expected = "a list of rows, since the training examples have no column 'id'"
                raise DataError(f"{self.options.path}: expected {expected}; got rows by id")
            if missing := [each for each in ids if each not in content]:
                expected = f"a row for every training example, got none for id {missing[0]!r} ({len(missing)} missing)"
                hint = 'missing = "drop" drops them from the training set'
                raise DataError(f"{self.options.path}: expected {expected}; {hint}")
            self._by_id = content
            self._train_log_probs = self._checked([content[each] for each in ids], task.train, ids)
        else:
            self._train_log_probs = self._checked(content, task.train)

    def log_probs(self, split: Split) -> np.ndarray | None:
        """Give the rows of the training split, or of another split by id; ``(N, C)``, or None without rows.

        Raises:
            DataError: The rows are not one distribution for each example.
        """
        if split.examples is self._train.examples:
            return self._train_log_probs.copy()
        ids = _ids(split)
        if not ids or not all(each in self._by_id and each not in self._train_ids for each in ids):
            return None
        return self._checked([self._by_id[each] for each in ids], split, ids)

    @cached_property
    def _content(self) -> Any:
        return self._read()

    def _read(self) -> Any:
        """Read a ``(N, C)`` array, or from JSON a list of rows or a table of rows."""
        path = self.options.path
        try:
            if path.endswith(".npy"):
                with opened(path) as array:
                    read_header(array, path)
                    return np.lib.format.read_array(array, allow_pickle=False)
            if not path.endswith(".json"):
                raise DataError(f"{path}: expected a .npy or a .json file")
            with opened(path) as file:
                if (size := os.fstat(file.fileno()).st_size) > LARGEST_JSON:
                    raise DataError(f"{path}: expected at most {LARGEST_JSON} bytes of JSON, got {size}; save a .npy")
                return json.loads(file.read().decode("utf-8-sig"), object_pairs_hook=_each_once)
        except RecursionError as error:
            raise self._unreadable("nested too deeply") from error
        except MemoryError as error:
            raise self._unreadable("it does not fit into memory") from error
        except (ValueError, TypeError, OSError) as error:
            raise self._unreadable(error) from error

    def _checked(self, content: Any, split: Split, ids: Sequence[str] | None = None) -> np.ndarray:
        """Convert rows in the order of the split to log-probabilities; ``ids``: names of the rows, for messages."""
        path, log = self.options.path, self.options.log
        if isinstance(content, list):
            self._check_rows(content, ids)
        try:
            rows = np.asarray(content, dtype=np.float64)
        except (ValueError, TypeError, OverflowError) as error:
            raise self._unreadable(error) from error
        shape = len(split.examples), self._labels
        if rows.shape != shape:
            whose = "training example" if split is self._train else f"example of split {split.name!r}"
            expected = f"a row for each {whose} and a column for each label, {shape}"
            raise DataError(f"{path}: expected {expected}, got {rows.shape}")
        with np.errstate(over="ignore", invalid="ignore"):
            probabilities = np.exp(rows) if log else rows
            sums_to_one = np.abs(probabilities.sum(axis=1) - 1) < 1e-3  # NaN and infinity do not
        good = sums_to_one & (probabilities >= 0).all(axis=1)
        if not good.all():
            first = int(np.argmin(good))
            kind = "log-probabilities" if log else "probabilities"
            where = f"row {first + 1}" if ids is None else f"id {ids[first]!r}"
            raise DataError(f"{path}: {where}: expected {kind} that sum to 1, got {rows[first].tolist()}")
        return _log(probabilities)

    def _check_rows(self, rows: list[Any], ids: Sequence[str] | None) -> None:
        """Check that the rows of a JSON file are lists of numbers of one length."""
        width = len(rows[0]) if rows and isinstance(rows[0], list) else None
        for place, row in enumerate(rows):
            where = f"row {place + 1}" if ids is None else f"id {_short(ids[place])}"
            if width is None:
                if isinstance(row, int | float) and not isinstance(row, bool):
                    continue  # refused later, by its shape
                raise self._unreadable(f"{where}: expected a list of numbers, got {_short(row)}")
            if not isinstance(row, list) or len(row) != width:
                got = f"{len(row)} of them" if isinstance(row, list) else _short(row)
                raise self._unreadable(f"{where}: expected a list of {width} numbers, as in the first row, got {got}")
            for value in row:
                if isinstance(value, bool) or not isinstance(value, int | float | list):
                    raise self._unreadable(f"{where}: expected a number, got {_short(value)}")

    def _unreadable(self, reason: object) -> DataError:
        text = " ".join(str(reason).split())
        return DataError(f"{self.options.path}: expected rows of numbers, which cannot be read: {text[:400]}")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"expected each id once, got {_short(twice)} several times")
    return table


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _finite_rows(features: Callable[[Split], np.ndarray], split: Split, width: int | None = None) -> np.ndarray:
    """Compute and check the features of a split: ``(N, F)``, finite; ``width``: F, if it is known."""
    rows, count = features(split), len(split.examples)
    fits = rows.ndim == 2 and len(rows) == count and width in (None, rows.shape[1])
    if not fits or not np.isfinite(rows).all():
        expected = f"finite features of shape ({count}, {'F' if width is None else width})"
        got = "some that are not finite" if fits else rows.shape
        raise DataError(f"bias-logistic: split {split.name!r}: expected {expected}, got {got}")
    return rows


def _ids(split: Split) -> list[str] | None:
    return [str(each) for each in split.examples["id"][:]] if "id" in split.examples.column_names else None


def _log(probabilities: np.ndarray) -> np.ndarray:
    clipped = np.clip(probabilities, _SMALLEST, None)
    found: np.ndarray = np.log(clipped / clipped.sum(axis=1, keepdims=True))
    return found
