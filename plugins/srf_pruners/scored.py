"""What the pruners share that prune by a score and train the weights under the mask."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from srf_pruners.arithmetic import soft_scores
from srf_pruners.options import PrunedParts
from srframework import ScoringPruner


class MagnitudePruner(ScoringPruner):
    """The smallest magnitudes go first, among the matrices of the parts that the options name."""

    options: PrunedParts

    def __init__(self, options: PrunedParts) -> None:
        super().__init__(options, options.parts(), options.scope)

    def scores(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """|W|."""
        return soft_scores(weights)
