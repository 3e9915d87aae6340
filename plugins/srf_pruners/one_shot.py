"""Baselines that prune once, before any training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from srf_pruners.options import OneShotOptions
from srf_pruners.scored import MagnitudePruner


class OneShotMagnitudePruning(MagnitudePruner):
    """P^omp: the smallest magnitudes are pruned at once; then every other weight is trained.

    Source: Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks"
    (arXiv 1506.02626), section 3.
    """

    keeps_best = True
    options: OneShotOptions


class RandomPruning(OneShotMagnitudePruning):
    """P^random: every mask of the sparsity is as likely as every other.

    It is drawn from torch's global generator on the CPU, whatever the device, so that the
    recipe's seed decides it.

    Source: Frankle & Carbin 2019, "The Lottery Ticket Hypothesis" (arXiv 1803.03635), section 2,
    where random sparse networks are what winning tickets are compared with.
    """

    def scores(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Uniform in [0, 1)."""
        # In double precision: among 2^24 single ones two are often equal, and then the index would decide.
        return {n: torch.rand(w.shape, dtype=torch.float64, device="cpu") for n, w in weights.items()}
