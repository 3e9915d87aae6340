"""Baselines that prune once, before any training."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from srf_pruners.arithmetic import magnitude_masks
from srf_pruners.held import HeldParts
from srf_pruners.options import OneShotOptions
from srframework import Mask, Network


class _OneShot(HeldParts):
    """Prune when attached; from then on the mask stays, and every weight is trained."""

    keeps_best = True
    options: OneShotOptions

    def attach(self, network: Network, total_steps: int) -> None:
        """Prune to the sparsity."""
        super().attach(network, total_steps)
        worth = {name: self._worth(weight) for name, weight in self._matrices.items()}
        self.hold(Mask(magnitude_masks(worth, self.options.sparsity, self.options.scope)))

    @abstractmethod
    def _worth(self, weight: Tensor) -> Tensor:
        """By what the entries are ranked, of the shape of ``weight``; the lowest are pruned."""


class OneShotMagnitudePruning(_OneShot):
    """P^omp: the smallest magnitudes are pruned at once.

    Source: Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks"
    (arXiv 1506.02626), section 3.
    """

    def _worth(self, weight: Tensor) -> Tensor:
        return weight


class RandomPruning(_OneShot):
    """P^random: every mask of the sparsity is as likely as every other.

    It is drawn from torch's global generator on the CPU, whatever the device, so that the
    recipe's seed decides it.

    Source: Frankle & Carbin 2019, "The Lottery Ticket Hypothesis" (arXiv 1803.03635), section 2,
    where random sparse networks are what winning tickets are compared with.
    """

    def _worth(self, weight: Tensor) -> Tensor:
        # In double precision: among 2^24 single ones two are often equal, and then the index would decide.
        return torch.rand(weight.shape, dtype=torch.float64, device="cpu")
