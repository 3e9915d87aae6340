"""Random masks of a classifier, and its weights."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from srframework.masks import Mask


def encoder_matrices(model: PreTrainedModel) -> list[str]:
    """The linear modules of the encoder."""
    return [name for name, each in model.named_modules() if isinstance(each, torch.nn.Linear) and ".layer." in name]


def random_mask(model: PreTrainedModel, sparsity: float, seed: int = 0) -> Mask:
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: model.get_submodule(name).weight.shape for name in encoder_matrices(model)}
    return Mask({name: torch.rand(shape, generator=generator) >= sparsity for name, shape in shapes.items()})


def weights_of(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: each.detach().clone() for name, each in model.state_dict().items()}
