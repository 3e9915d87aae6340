"""Dropout with cheaper random numbers, for training on a CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

_RANGE = 2**31
"""Number of values of a random int32, from 0."""


def drawn(shape: Sequence[int], rate: float) -> Tensor:
    """Draw which values dropout keeps, from torch's global generator.

    A random integer takes 2.5 ns, torch's ``bernoulli_`` 7.3 ns for each value.

    Args:
        shape: Any.
        rate: Probability of False, in [0, 1]; rounded to a multiple of 2⁻³¹.

    Returns:
        Bool tensor on the CPU; True keeps.
    """
    return torch.empty(shape, dtype=torch.int32).random_() >= round(rate * _RANGE)


def factors(kept: Tensor, rate: float, dtype: torch.dtype) -> Tensor:
    """Return the factors of dropout: 1/(1 − ``rate``) where ``kept`` is True, else 0."""
    return kept.view(torch.uint8).to(dtype).mul_(1 / (1 - rate) if rate < 1 else 0.0)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, rate: float) -> Tensor:
        kept = drawn(values.shape, rate)
        ctx.save_for_backward(kept)  # a byte for each value; the factors would take four
        ctx.rate = rate
        return values * factors(kept, rate, values.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,), (kept,) = grads, ctx.saved_tensors
        return grad * factors(kept, ctx.rate, grad.dtype), None


def dropout(values: Tensor, rate: float) -> Tensor:
    """Set each value to 0 with probability ``rate``, in [0, 1], and divide the others by 1 − ``rate``."""
    dropped: Tensor = _Dropout.apply(values, rate)  # type: ignore[no-untyped-call]  # torch's
    return dropped


@contextlib.contextmanager
def fast_dropout(model: nn.Module) -> Iterator[None]:
    """Let the dropout modules of a model that trains on a CPU use :func:`dropout`, in a block."""
    on_cpu = next(model.parameters()).device.type == "cpu"
    chosen = [each for each in model.modules() if on_cpu and type(each) is nn.Dropout and each.training and each.p]
    for module in chosen:
        vars(module)["forward"] = partial(dropout, rate=module.p)
    try:
        yield
    finally:
        for module in chosen:
            del vars(module)["forward"]
