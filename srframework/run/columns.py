"""Columns of the training examples, which losses and pruners require. Shapes: N examples of all splits together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from srframework.contracts import Split
from srframework.errors import DataError
from srframework.faults import where

WEIGHT = "weight"
"""The column of a training split that has the examples' weights."""


def column(splits: Sequence[Split], name: str, owner: str) -> np.ndarray:
    """Return a column of the training splits, ``(N,)``.

    Args:
        splits: The splits.
        name: Name of the column.
        owner: The data set, for messages.

    Raises:
        DataError: A split has no such column; lists its columns.
    """
    for split in splits:
        if name not in (known := split.examples.column_names):
            raise DataError(
                f"{where()}{owner}: expected the column {name!r} in the split {split.name!r}, "
                f"got the columns {', '.join(known)}"
            )
    return np.concatenate([np.asarray(split.examples[name][:]) for split in splits])


def weights(splits: Sequence[Split], owner: str) -> np.ndarray | None:
    """Return the weights of the training examples, ``(N,)``, float32: the column ``weight``, and 1 in a split without
    it; None if no split has it.

    Raises:
        DataError: A weight is not a finite number of at least 0.
    """
    if not any(WEIGHT in split.examples.column_names for split in splits):
        return None
    found = []
    for split in splits:
        has = WEIGHT in split.examples.column_names
        given = np.asarray(split.examples[WEIGHT][:]) if has else np.ones(len(split.examples))
        if given.dtype.kind not in "iuf" or not np.isfinite(given).all() or given.min() < 0:
            raise DataError(
                f"{where()}{owner}: expected finite numbers of at least 0 in the column {WEIGHT!r} of the split "
                f"{split.name!r}, got others"
            )
        found.append(given.astype(np.float32))
    return np.concatenate(found)
