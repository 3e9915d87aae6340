"""Models that predict one label only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srframework.contracts import Predictions

if TYPE_CHECKING:
    import numpy as np

COLLAPSED = 0.99
"""A model has collapsed on a split if at least this share of its predictions is one label."""


def has_collapsed(predictions: Predictions) -> bool:
    """Whether at least :data:`COLLAPSED` of the predictions are one label of the split, and fewer of the true labels
    are."""
    return _largest_share(predictions.predicted) >= COLLAPSED > _largest_share(predictions.gold)


def _largest_share(labels: np.ndarray) -> float:
    import numpy as np  # not at the top: tables need only the constant

    return float(np.bincount(labels).max() / len(labels)) if len(labels) else 0.0
