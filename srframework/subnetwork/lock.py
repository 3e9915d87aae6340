"""Lock the mask of a model: whatever trains the model, pruned entries stay exactly 0.

A hook on the gradient sets it to 0 in the pruned entries, so momentum and Adam's averages stay 0 there, and weight
decay keeps 0. An optimizer that changes them anyway, such as one with momentum from before, is corrected before the
next forward pass, and before the weights are saved: the entries are set to 0 again.

The hooks are of the modules and find everything in their module, so ``copy.deepcopy`` copies the lock. The bits of the
mask are buffers that are not saved: the saved model has no additional keys.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any, TypeVar

from torch import Tensor, nn

from srframework.masks import Mask

_BUFFER = "srframework_pruned"
"""Name of the buffer of a locked module: bool, of the shape of its weight; True is pruned."""

ModelT = TypeVar("ModelT", bound=nn.Module)


def lock(model: ModelT, mask: Mask) -> ModelT:
    """Prune a model to a mask, and keep its pruned entries at exactly 0 in every further training.

    Works with any optimizer of PyTorch and with the Trainer of transformers; not if weights are replaced by parts of
    larger tensors, as FSDP and DeepSpeed do. A second call replaces the mask of the modules that it names.

    Args:
        model: Changed in place.
        mask: Its matrices are the weights of modules of the model.

    Returns:
        The model.

    Raises:
        ValueError: The model lacks a matrix, or its matrix has another shape; names the matrix. The model may be pruned
            in part by then.
    """
    mask.apply_(model)
    for name, kept in mask.items():
        module: Any = model.get_submodule(name)  # PyTorch does not type all of its hooks
        _release(module)
        module.register_buffer(_BUFFER, ~kept.to(module.weight.device), persistent=False)
        module.register_forward_pre_hook(_keep_zero)
        module.register_state_dict_pre_hook(_keep_zero)
        module.register_load_state_dict_post_hook(_keep_zero)
        _keep_zero(module)
    return model


def unlock(model: ModelT) -> ModelT:
    """Remove the lock of :func:`lock`: further training may change the pruned entries. Returns the model.

    Raises:
        ValueError: The model is not locked.
    """
    locked = list(_locked(model))
    if not locked:
        raise ValueError("expected a model with a locked mask, got one without")
    for module in locked:
        _release(module)
    return model


def locked_mask(model: nn.Module) -> Mask:
    """Return the mask that is locked; without matrices if the model is not locked."""
    return Mask({name: ~getattr(each, _BUFFER) for name, each in model.named_modules() if _is_locked(each)})


def _is_locked(module: nn.Module) -> bool:
    return _BUFFER in module._buffers


def _locked(model: nn.Module) -> Iterator[nn.Module]:
    return (module for module in model.modules() if _is_locked(module))


def _release(module: nn.Module) -> None:
    for hooks in (module._forward_pre_hooks, module._state_dict_pre_hooks, module._load_state_dict_post_hooks):
        for number in [number for number, hook in hooks.items() if hook is _keep_zero]:
            del hooks[number]
    if _is_locked(module):
        delattr(module, _BUFFER)  # without it, the hook on the gradient does nothing


def _keep_zero(module: Any, *_: Any) -> None:
    weight, pruned = module.weight, getattr(module, _BUFFER)
    # .data: autograd must not count this as a change between a forward pass and its backward pass, which recomputes
    # the forward pass with gradient checkpointing.
    weight.data.masked_fill_(pruned, 0.0)
    hooks = weight._backward_hooks or {}
    # A copy of a parameter has no hooks.
    if weight.requires_grad and not any(_is_ours(hook) for hook in hooks.values()):
        weight.register_hook(partial(_masked_gradient, weakref.ref(module)))


def _is_ours(hook: Any) -> bool:
    return isinstance(hook, partial) and hook.func is _masked_gradient


def _masked_gradient(module: weakref.ref[nn.Module], gradient: Tensor) -> Tensor:
    owner = module()
    pruned = None if owner is None else owner._buffers.get(_BUFFER)
    return gradient if pruned is None else gradient.masked_fill(pruned, 0.0)
