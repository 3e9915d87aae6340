"""Baselines that prune once, before any training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from srf_pruners.options import OneShotOptions
from srf_pruners.scored import MagnitudePruner
from srframework import Network, TrainingContext


class OneShotMagnitudePruning(MagnitudePruner):
    """P^omp: prune the smallest magnitudes at once, then train the remaining weights.

    Source: Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks"
    (arXiv 1506.02626), section 3.
    """

    keeps_best = True
    options: OneShotOptions


class RandomPruning(OneShotMagnitudePruning):
    """P^random: draw the mask uniformly among all masks of the sparsity.

    Drawn on the CPU, so that the mask does not depend on the device.

    Source: Frankle & Carbin 2019, "The Lottery Ticket Hypothesis" (arXiv 1803.03635), section 2:
    random sparse networks, the baseline for winning tickets.
    """

    def attach(self, network: Network, context: TrainingContext) -> None:
        """Draw the mask from the context's generator."""
        self._generator = context.generator
        super().attach(network, context)

    def scores(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Draw scores uniformly from [0, 1)."""
        # float64, since float32 has only 2^24 values here: equal scores would be ordered by index.
        return {n: torch.rand(w.shape, dtype=torch.float64, generator=self._generator) for n, w in weights.items()}
