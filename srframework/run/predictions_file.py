"""The predictions of a model for a split, as a file: ``predictions/SPLIT.safetensors``.

Tensors ``logits``, ``predicted``, ``label``; for each column that an evaluator asks for, ``column.NAME``: its numbers,
or indices into its values; and ``bias``, p_b, if an evaluator requires it. The metadata has the names of the labels and
the values, as JSON under ``split``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from srframework.contracts import Predictions
from srframework.errors import DataError
from srframework.files import open_file

_MOST = 4 << 30
"""Size limit of a file, in bytes."""

_LABELS = 1 << 8
"""Upper bound of label indices; no task has so many."""

_COLUMN = "column."
_BIAS = "bias"
_FACTS = "split"


def save(predictions: Predictions, path: Path) -> None:
    """Write a new file."""
    arrays = {
        "logits": predictions.logits,
        "predicted": np.asarray(predictions.predicted, dtype=np.int64),
        "label": np.asarray(predictions.gold, dtype=np.int64),
    }
    if predictions.bias_probs is not None:
        arrays[_BIAS] = predictions.bias_probs
    values: dict[str, list[str]] = {}
    for name, column in predictions.columns.items():
        if column.dtype.kind in "iufb":
            arrays[_COLUMN + name] = column
        else:
            texts, arrays[_COLUMN + name] = np.unique([str(each) for each in column], return_inverse=True)
            values[name] = texts.tolist()
    # One key: safetensors writes several in a random order.
    metadata = {_FACTS: json.dumps({"labels": predictions.labels, "values": values})}
    save_file({name: np.ascontiguousarray(each) for name, each in arrays.items()}, path, metadata)


def read(path: Path, split: str) -> Predictions:
    """Read a file.

    Args:
        path: The file.
        split: Name of the split.

    Raises:
        DataError: There is no such file, or it is damaged.
    """
    try:
        with open_file(path) as file:  # safe_open would block on a pipe
            if os.fstat(file.fileno()).st_size > _MOST:
                raise DataError(f"{path}: a predictions file must have at most {_MOST} bytes")
        with safe_open(path, framework="np") as tensors:
            arrays = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 -- not a mapping
            metadata = tensors.metadata() or {}
        facts = json.loads(metadata[_FACTS])
        labels, values = facts["labels"], facts["values"]
        columns = {
            name.removeprefix(_COLUMN): _column(array, values.get(name.removeprefix(_COLUMN)))
            for name, array in arrays.items()
            if name.startswith(_COLUMN)
        }
        found = Predictions(
            split,
            tuple(labels),
            arrays["logits"],
            _indices(path, arrays["predicted"]),
            _indices(path, arrays["label"]),
            columns,
            arrays.get(_BIAS),
        )
    except FileNotFoundError as error:
        raise DataError(f"no predictions: {path}") from error
    except OSError as error:
        raise DataError(f"{path}: the predictions cannot be read: {error.strerror or error}") from error
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise DataError(f"{path}: the predictions cannot be read: {type(error).__name__}: {error}") from error
    sizes = {each.shape[:1] for each in (found.logits, found.predicted, found.gold, *columns.values())}
    if (bias := found.bias_probs) is not None and bias.shape != (len(found.gold), len(found.labels)):
        expected = f"p_b of {len(found.gold)} examples and {len(found.labels)} labels"
        raise DataError(f"{path}: expected {expected}, got an array of shape {bias.shape}")
    if len(sizes) > 1 or found.gold.ndim != 1 or found.predicted.ndim != 1 or not len(found.gold):
        shapes = f"{found.gold.shape} and {found.predicted.shape}"
        raise DataError(f"{path}: labels and predictions must have the same shape (got {shapes})")
    return found


def _indices(path: Path, array: np.ndarray) -> np.ndarray:
    if not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"{path}: labels must be integers (got {array.dtype})")
    if array.size and not 0 <= array.min() <= array.max() < _LABELS:
        raise DataError(f"{path}: labels must be from 0 to {_LABELS - 1}")
    return array.astype(np.int64)


def _column(array: np.ndarray, values: Any) -> np.ndarray:
    if values is None:
        return array
    texts = np.empty(len(values), dtype=object)
    texts[:] = values
    column: np.ndarray = texts[array]
    return column
