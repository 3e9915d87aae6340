"""Copies models in memory, and detaches them from the files that they were read from."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from types import FunctionType

import torch
from transformers import PreTrainedModel


def unmap(model: PreTrainedModel) -> None:
    """Move the weights of a model into memory of its own.

    safetensors maps its files into memory; overwriting such a file would change the weights of a run.
    """
    owned: dict[int, torch.UntypedStorage] = {}
    for tensor in itertools.chain(model.parameters(), model.buffers()):
        if tensor.layout is not torch.strided or tensor.is_meta:
            continue
        storage = tensor.untyped_storage()
        if storage._cdata not in owned:
            owned[storage._cdata] = copy.deepcopy(storage)
        tensor.data = torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(
            owned[storage._cdata], tensor.storage_offset(), tensor.size(), tensor.stride()
        )


def copied(model: PreTrainedModel) -> PreTrainedModel | None:
    """Copy a model; return None if a part cannot be copied or would still use the original."""
    for module in model.modules():
        hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values(), *module._backward_hooks.values())
        closures = (each for each in vars(module).values() if isinstance(each, FunctionType) and each.__closure__)
        if hooks or any(closures):
            return None
    if _overlap([*model.parameters(), *model.buffers()]):  # deepcopy gives each parameter its own memory
        return None
    try:
        return copy.deepcopy(model)
    except Exception:  # noqa: BLE001 -- a custom module may raise anything; the caller loads the model again
        return None


def _overlap(tensors: Sequence[torch.Tensor]) -> bool:
    """Whether any two of the tensors share memory."""
    places = sorted((each.data_ptr(), each.numel() * each.element_size()) for each in tensors if each.numel())
    return any(start + size > after for (start, size), (after, _) in itertools.pairwise(places))
