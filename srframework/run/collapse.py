"""Models that predict one label only."""

from __future__ import annotations

import numpy as np

from srframework.contracts import Predictions
from srframework.run.results import COLLAPSED


def has_collapsed(predictions: Predictions) -> bool:
    """Whether at least :data:`~srframework.run.results.COLLAPSED` of the predictions are one label of the split, and
    fewer of the true labels are."""
    return _largest_share(predictions.predicted) >= COLLAPSED > _largest_share(predictions.gold)


def _largest_share(labels: np.ndarray) -> float:
    return float(np.bincount(labels).max() / len(labels)) if len(labels) else 0.0
