"""p_b: bias models. Shapes: N training examples, F features, C labels."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from srf_debiasers.options import FileBiasOptions, LogisticBiasOptions
from srframework import BiasModel, DataError, TaskData

_SMALLEST = 1e-8
"""Probabilities are kept above this, so that every logarithm is finite."""


class LogisticBias(BiasModel):
    """A linear classifier of the label on the hand-made spurious features."""

    options: LogisticBiasOptions

    def log_probs(self, task: TaskData) -> np.ndarray:
        """Fit on the training examples, predict the same; ``(N, C)``.

        Raises:
            DataError: A label has no training example, or the features are not one finite row for each.
        """
        assert task.spurious_features is not None, "required when it is registered"
        features, labels = task.spurious_features(), np.asarray(task.train.examples["label"])
        if features.ndim != 2 or len(features) != len(labels) or not np.isfinite(features).all():
            expected = f"finite features of shape ({len(labels)}, F)"
            what = "some that are not finite" if features.ndim == 2 and len(features) == len(labels) else features.shape
            raise DataError(f"bias-logistic: expected {expected}, got {what}")
        if missing := set(range(len(task.labels))) - set(labels.tolist()):
            names = ", ".join(repr(task.labels[index]) for index in sorted(missing))
            raise DataError(f"bias-logistic: expected training examples of every label, got none of {names}")
        model = LogisticRegression(
            C=self.options.c, class_weight="balanced" if self.options.balanced else None, max_iter=1000
        )
        with warnings.catch_warnings():
            # Separable features have no optimum at a finite weight; where it stopped will do.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features, labels)
        return _log(model.predict_proba(features))


class FileBias(BiasModel):
    """Predictions that somebody else's bias model made of the training examples."""

    options: FileBiasOptions

    def log_probs(self, task: TaskData) -> np.ndarray:
        """Read the file; ``(N, C)``.

        Raises:
            DataError: It is damaged, or its rows are not one distribution for each training example.
        """
        path, rows = self.options.path, self._read(task)
        shape = len(task.train.examples), len(task.labels)
        if rows.shape != shape:
            expected = f"a row for each training example and a column for each label, {shape}"
            raise DataError(f"{path}: expected {expected}, got {rows.shape}")
        with np.errstate(over="ignore", invalid="ignore"):
            probabilities = np.exp(rows) if self.options.log else rows
            sums_to_one = np.abs(probabilities.sum(axis=1) - 1) < 1e-3  # NaN and infinity do not
        good = sums_to_one & (probabilities >= 0).all(axis=1)
        if not good.all():
            first = int(np.argmin(good))
            what = "log-probabilities" if self.options.log else "probabilities"
            raise DataError(f"{path}: row {first + 1}: expected {what} that sum to 1, got {rows[first].tolist()}")
        return _log(probabilities)

    def _read(self, task: TaskData) -> np.ndarray:
        path = self.options.path
        try:
            if path.endswith(".npy"):
                with open(path, "rb") as array:
                    return np.asarray(np.lib.format.read_array(array, allow_pickle=False), dtype=np.float64)
            if not path.endswith(".json"):
                raise DataError(f"{path}: expected a .npy or a .json file")
            with open(path, encoding="utf-8") as file:
                content = json.load(file)
            return np.asarray(self._by_id(content, task) if isinstance(content, dict) else content, dtype=np.float64)
        except (ValueError, TypeError, OverflowError, RecursionError, OSError) as error:
            raise DataError(f"{path}: expected rows of numbers, which cannot be read: {error}") from error

    def _by_id(self, content: dict[str, Any], task: TaskData) -> list[Any]:
        if "id" not in task.train.examples.column_names:
            expected = "a list of rows, since the training examples have no column 'id'"
            raise DataError(f"{self.options.path}: expected {expected}; got rows by id")
        ids = [str(each) for each in task.train.examples["id"]]
        if missing := [each for each in ids if each not in content]:
            expected = f"a row for every training example, got none for id {missing[0]!r} ({len(missing)} missing)"
            raise DataError(f"{self.options.path}: expected {expected}")
        return [content[each] for each in ids]


def _log(probabilities: np.ndarray) -> np.ndarray:
    clipped = np.clip(probabilities, _SMALLEST, None)
    return np.log(clipped / clipped.sum(axis=1, keepdims=True))  # type: ignore[no-any-return]
