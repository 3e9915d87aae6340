"""Mask training, attached to a network of a few entries."""

from __future__ import annotations

import torch
from small_context import context
from torch import Tensor, nn

from srf_pruners.arithmetic import soft_scores
from srf_pruners.mask import MaskTraining
from srf_pruners.mask_options import MaskOptions
from srframework import Network, keep_highest
from srframework.training.optimization import own_parameters


def by_magnitude(weights, sparsity, scope="local") -> dict[str, Tensor]:
    return keep_highest(soft_scores(weights), sparsity, scope)


def small_network() -> Network:
    """Matrices of 3 x 4, 1 x 3 and 2 x 1."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1), nn.Linear(1, 2))
    return Network(model, None, {"0": "encoder", "2": "pooler", "3": "classifier"})


def attached(network: Network, **options: object) -> MaskTraining:
    pruner = MaskTraining(MaskOptions(**({"pooler": True} | options)))
    pruner.attach(network, context())
    return pruner


def set_scores(pruner: MaskTraining, scores: list[torch.Tensor]) -> None:
    with torch.no_grad():
        for parameter, value in zip(own_parameters(pruner), scores, strict=True):
            parameter.copy_(value)


def forward(network: Network) -> torch.Tensor:
    return network.model(torch.linspace(-1, 1, 20).reshape(5, 4))
