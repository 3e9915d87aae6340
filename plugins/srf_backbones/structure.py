"""Finds the prunable matrices by the structure of a model, independent of module names and layer counts."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from transformers import PreTrainedModel

from srframework import BackboneError


def prunable_modules(model: PreTrainedModel) -> dict[str, str]:
    """Find the linear modules that may be pruned: module name -> part.

    The parts are ``"encoder"``: W_Q, W_K, W_V, W_AO, W_in, W_out of each Transformer layer;
    ``"pooler"``: linear modules of the base model after the layers; ``"classifier"``: linear modules
    outside the base model. Linear modules before the layers belong to the embeddings and are not included.

    Raises:
        BackboneError: The model has a decoder, or no stack of layers with six linear modules each.

    Source: section 3.1.
    """
    base = model.base_model
    if model.config.is_encoder_decoder:
        raise BackboneError(
            f"{type(base).__name__} cannot be pruned: expected an encoder, got an encoder and a decoder"
        )
    prefix = next(name for name, module in model.named_modules() if module is base)
    layers = _layers(base)
    inside = tuple(f"{prefix}.{name}." for name, _ in layers)
    found: dict[str, str] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            in_base = name.startswith(f"{prefix}.")
            if name.startswith(inside):
                found[name] = "encoder"
            elif not in_base:
                found[name] = "classifier"
            elif "encoder" in found.values():
                found[name] = "pooler"
    return found


def _layers(base: nn.Module) -> list[tuple[str, nn.Module]]:
    for name, module in base.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) and all(_is_transformer_layer(each) for each in module):
            return [(f"{name}.{index}", layer) for index, layer in enumerate(module)]
    kinds = sorted(
        {type(module).__name__ for module in base.modules() if isinstance(module, nn.Linear | nn.ModuleList)}
    )
    raise BackboneError(
        f"{type(base).__name__} cannot be pruned: expected a stack of layers with six linear modules each "
        f"(query, key, value, attention output, in, out), as in BERT and RoBERTa; it has {', '.join(kinds) or 'none'}"
    )


def _is_transformer_layer(layer: nn.Module) -> bool:
    """Check for six linear modules: four square ones of one size, then two with mirrored shapes (W_in, W_out)."""
    shapes = list(_shapes(layer))
    if len(shapes) != 6:
        return False
    *square, widen, narrow = shapes
    return len(set(square)) == 1 and square[0][0] == square[0][1] and widen == narrow[::-1] and widen[1] == square[0][0]


def _shapes(layer: nn.Module) -> Iterator[tuple[int, int]]:
    for module in layer.modules():
        if isinstance(module, nn.Linear):
            yield module.out_features, module.in_features
