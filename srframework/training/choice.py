"""The choice of a stage's result among its checkpoints, and when to stop early."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from srframework.masks import Mask
from srframework.training.checkpoints import TrainingState
from srframework.training.events import KeptModel
from srframework.training.options import TrainingOptions


class Choice:
    """Keeps the best of the checkpoints that count: those after ``best_after`` of the steps.

    Args:
        options: The stage's options.
        keeps_best: Whether the pruner keeps the best checkpoint.
        planned: The planned optimizer steps.
        lower: Whether the lowest metric is the best.

    Attributes:
        candidates: Number of checkpoints that could be the best so far.
        best: The best of them; None if there is none.
    """

    def __init__(self, options: TrainingOptions, keeps_best: bool, planned: int, lower: bool) -> None:
        self._keeps, self._patience, self._lower = keeps_best and options.keep == "best", options.patience, lower
        share = options.best_after or 0 if options.keep == "best" else 0
        self._first = round(share * planned, 6)  # 0.55 * 100 is slightly more than 55
        self._metric, self._behind = math.inf if lower else -math.inf, 0
        self.candidates = 0
        self.best: KeptModel | None = None

    def counts(self, step: int) -> bool:
        """Whether the checkpoint after this step can be the best, or counts for the patience."""
        return step >= self._first and (self._keeps or self._patience is not None)

    def add(self, metric: float, model: Callable[[], KeptModel]) -> None:
        """Consider a checkpoint that counts. ``model`` makes it, and is called only if it is the best so far."""
        self.candidates += self._keeps
        # The first one is the best whatever its metric is.
        is_best = metric < self._metric if self._lower else metric > self._metric
        if not is_best and not (self._keeps and self.best is None):
            self._behind += 1
            return
        self._metric, self._behind = metric, 0
        if self._keeps:
            self.best = model()

    @property
    def is_over(self) -> bool:
        """Whether to stop: the last ``patience`` checkpoints were not better than the best one before them."""
        return self._patience is not None and self._behind >= self._patience

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what :meth:`restore` needs: tensors, and other values as JSON."""
        metric = self._metric if math.isfinite(self._metric) else None
        facts: dict[str, Any] = {"metric": metric, "behind": self._behind, "candidates": self.candidates, "step": None}
        if self.best is None:
            return {}, facts
        tensors = {f"best.{name}": value for name, value in self.best.weights.items()}
        tensors |= {f"best-mask.{name}": value for name, value in self.best.mask.items()}
        return tensors, facts | {"step": self.best.step}

    def restore(self, snapshot: TrainingState, names: Sequence[str]) -> None:
        """Restore a :meth:`state` from a checkpoint, with its facts under ``choice``. ``names``: of the weights."""
        facts = snapshot.facts["choice"]
        if facts["metric"] is not None:
            self._metric = facts["metric"]
        self._behind, self.candidates = facts["behind"], facts["candidates"]
        if facts["step"] is not None:
            weights = {name: snapshot.tensors[f"best.{name}"] for name in names}
            self.best = KeptModel(facts["step"], None, weights, Mask(snapshot.part("best-mask.")))
