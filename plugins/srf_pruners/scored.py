"""Base class of the pruners that prune by magnitude and train the masked weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from srf_pruners.arithmetic import soft_scores
from srframework import PruneOptions, ScoringPruner


class MagnitudePruner(ScoringPruner):
    """Prunes the smallest magnitudes first, in the matrices of the parts in the options."""

    options: PruneOptions

    def __init__(self, options: PruneOptions) -> None:
        super().__init__(options, options.parts(), options.scope)

    def scores(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Give |W|."""
        return soft_scores(weights)
