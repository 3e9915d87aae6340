"""Attention within each of several examples whose tokens follow each other.

Shapes: N tokens of all examples, H the hidden size. A group is a number of neighbouring examples of equal length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from srframework.training.dropout import drawn, factors

Groups = Sequence[tuple[int, int]]
"""Number of examples and their length in tokens, for each group."""


def attention(query: Tensor, key: Tensor, value: Tensor, groups: Groups, heads: int, rate: float) -> Tensor:
    """Return softmax(Q·Kᵀ/√d)·V of each example, with dropout of the probabilities.

    The backward pass computes the probabilities again from Q and K, so the forward pass keeps one byte for each, in
    place of two floats before and after dropout.

    Args:
        query: ``(N, H)``, or ``(B, H)`` if only one token of each of B examples asks.
        key: ``(N, H)``.
        value: ``(N, H)``.
        groups: The examples.
        heads: Number of heads.
        rate: Rate of dropout, in [0, 1].

    Returns:
        The shape of ``query``.
    """
    found: Tensor = _Attention.apply(query, key, value, groups, heads, rate)  # type: ignore[no-untyped-call]  # torch's
    return found


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, groups: Groups, heads: int, rate: float) -> Tensor:
        found, kept = [], []
        for q, k, v in _by_group((query, key, value), groups, heads):
            probabilities = _softmax(q, k)
            if rate:
                kept.append(drawn(probabilities.shape, rate))
                probabilities = probabilities * factors(kept[-1], rate, probabilities.dtype)
            found.append(_rows(probabilities.bmm(v), heads))
        ctx.save_for_backward(query, key, value, *kept)
        ctx.settings = groups, heads, rate
        return torch.cat(found)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *kept = ctx.saved_tensors
        groups, heads, rate = ctx.settings
        found = []
        for index, (q, k, v, grad) in enumerate(_by_group((query, key, value, *grads), groups, heads)):
            probabilities = _softmax(q, k)
            of_probabilities, dropped = grad.bmm(v.mT), probabilities
            if rate:
                scales = factors(kept[index], rate, probabilities.dtype)
                of_probabilities, dropped = of_probabilities * scales, probabilities * scales
            mean = (of_probabilities * probabilities).sum(-1, keepdim=True)
            of_scores = probabilities * (of_probabilities - mean) * q.shape[-1] ** -0.5
            parts = of_scores.bmm(k), of_scores.mT.bmm(q), dropped.mT.bmm(grad)
            found.append([_rows(each, heads) for each in parts])
        return (*(torch.cat(each) for each in zip(*found, strict=True)), None, None, None)


def _softmax(query: Tensor, key: Tensor) -> Tensor:
    scores = torch.baddbmm(query.new_empty(()), query, key.mT, beta=0, alpha=query.shape[-1] ** -0.5)
    return scores.softmax(-1, dtype=torch.float32).to(query.dtype)


def _by_group(tensors: Sequence[Tensor], groups: Groups, heads: int) -> Iterator[list[Tensor]]:
    """Yield the part of each tensor for each group, contiguous, ``(examples · heads, tokens, H / heads)``."""
    tokens, examples = [count * length for count, length in groups], [count for count, _ in groups]
    parts = [torch.split(each, tokens if len(each) == sum(tokens) else examples) for each in tensors]
    for (count, _), *each in zip(groups, *parts, strict=True):
        yield [
            part.view(count, -1, heads, part.shape[1] // heads).transpose(1, 2).flatten(0, 1).contiguous()
            for part in each
        ]


def _rows(tensor: Tensor, heads: int) -> Tensor:
    """Invert :func:`_by_group` for one tensor."""
    each = tensor.view(-1, heads, *tensor.shape[1:])
    return each.transpose(1, 2).reshape(-1, heads * tensor.shape[2])
