"""Pure mask arithmetic: tensors in, tensors out. A matrix is ``(d_out, d_in)``; any shape will do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def pruned_count(sparsity: float, entries: int) -> int:
    """How many of ``entries`` a sparsity in [0, 1) prunes: the nearest whole number, half to even.

    Raises:
        ValueError: ``sparsity`` outside [0, 1); shows the value.

    >>> pruned_count(0.7, 49152)
    34406
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"expected a sparsity in [0, 1), got {sparsity}")
    return round(sparsity * entries)


def lowest(values: Tensor, count: int, tie_break: Tensor | None = None) -> Tensor:
    """Mark the ``count`` lowest entries.

    Args:
        values: Any shape. Read only.
        count: In [0, entries].
        tie_break: Of the same shape: among equal values, the entries with the lower ``tie_break``
            are marked; among equals in both, those with the higher flat index.

    Returns:
        Bool tensor of the same shape and device; exactly ``count`` entries are ``True``.

    >>> lowest(torch.tensor([[2.0, 1.0], [1.0, 3.0]]), 1)
    tensor([[False, False],
            [ True, False]])
    """
    flat = values.reshape(-1)
    marked = torch.zeros(flat.shape, dtype=torch.bool, device=values.device)
    if count == 0:
        return marked.reshape(values.shape)
    threshold = torch.kthvalue(flat, count).values
    marked = flat < threshold
    ties = (flat == threshold).nonzero().squeeze(1)
    # Only the ties need an order: sorting them is cheap where sorting the matrix is not.
    ties = ties.flip(0)
    if tie_break is not None:
        ties = ties[tie_break.reshape(-1)[ties].argsort(stable=True)]
    marked[ties[: count - int(marked.sum())]] = True
    return marked.reshape(values.shape)


def magnitude_mask(weight: Tensor, sparsity: float, remaining: Tensor | None = None) -> Tensor:
    """Keep the largest-magnitude entries of one weight matrix.

    Args:
        weight: Any shape, floating, e.g. ``(d_out, d_in)``. Read only.
        sparsity: Fraction of all entries to prune, in [0, 1).
        remaining: Bool, of the same shape: what earlier prunes have left. The others are pruned
            first, whatever their value.

    Returns:
        Bool tensor of the same shape and device; ``True`` keeps. Exactly
        ``round(sparsity * weight.numel())`` entries are ``False``; among ties the lower flat
        index is kept.

    Raises:
        ValueError: ``sparsity`` outside [0, 1); shows the value.

    Source: section 3.2.1; per-matrix scope, Appendix A.1.1.

    >>> magnitude_mask(torch.tensor([[3.0, -1.0], [0.5, -4.0]]), sparsity=0.5)
    tensor([[ True, False],
            [False,  True]])
    """
    magnitude = weight.detach().abs()
    if remaining is not None:
        magnitude = magnitude.masked_fill(~remaining, -1.0)
    return ~lowest(magnitude, pruned_count(sparsity, weight.numel()))


def hard_scores(weight: Tensor, sparsity: float, phi: float, alpha: float) -> Tensor:
    """Initial scores: 0 for the smallest-magnitude entries, α·φ for the others.

    Args:
        weight: ``(d_out, d_in)``. Read only.
        sparsity: Fraction of the entries whose score is 0, in [0, 1).
        phi: φ, the threshold that goes with these scores; above 0.
        alpha: α; above 1.

    Source: Appendix A.1.2, hard initialisation.

    >>> hard_scores(torch.tensor([[3.0, -1.0], [0.5, -4.0]]), sparsity=0.5, phi=0.01, alpha=2)
    tensor([[0.0200, 0.0000],
            [0.0000, 0.0200]])
    """
    return magnitude_mask(weight, sparsity).to(weight.dtype) * (alpha * phi)


def threshold_to(scores: Tensor, weight: Tensor, sparsity: float) -> tuple[Tensor, Tensor]:
    """Find the threshold at which a matrix has exactly the wanted sparsity.

    Args:
        scores: m̂, of the shape of ``weight``. Read only.
        weight: W; among equal scores the smaller magnitude is pruned, then the higher flat index.
        sparsity: In [0, 1).

    Returns:
        φ, a scalar half-way between the highest score that is pruned and the lowest that is kept,
        so that neither is closer to changing sides; it is the lowest that is kept where nothing is pruned, or where
        the two tie. And the scores, in which the entries that tie with φ and must go are lowered to the next
        number below it, so that ``scores >= φ`` keeps exactly ``n - round(sparsity * n)`` entries. Scores are
        otherwise unchanged.

    Source: Appendix A.1.2, which leaves open where between the two φ lies; with α = 2 the initial φ is
    half-way too. A plain k-th value would keep all the ties, or none.
    """
    pruned = lowest(scores, pruned_count(sparsity, scores.numel()), tie_break=weight.detach().abs())
    lowest_kept = scores.masked_fill(pruned, torch.inf).min()
    highest_pruned = scores.masked_fill(~pruned, -torch.inf).max()
    if not highest_pruned < lowest_kept or torch.isinf(highest_pruned):
        below = torch.nextafter(lowest_kept, torch.full_like(lowest_kept, -torch.inf))
        return lowest_kept, torch.where(pruned & (scores >= lowest_kept), below, scores)
    # Rounding may put the middle on the lower of two neighbours, which is pruned.
    middle = highest_pruned / 2 + lowest_kept / 2
    return torch.where(middle > highest_pruned, middle, lowest_kept), scores


class StraightThrough(torch.autograd.Function):
    """``m ⊙ W`` with ``m = 1[scores >= φ]``; backward as if m were the scores.

    dL/dscores := dL/dm = dL/d(m ⊙ W) ⊙ W, and dL/dW = dL/d(m ⊙ W) ⊙ m where W wants it.

    Source: Appendix A.1.2.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, weight: Tensor, threshold: Tensor) -> Tensor:
        """Shapes: ``(d_out, d_in)``, the same, scalar -> ``(d_out, d_in)``."""
        kept = scores >= threshold
        ctx.save_for_backward(weight, kept)
        return weight * kept

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients of scores and weight."""
        (grad,), (weight, kept) = grads, ctx.saved_tensors
        return grad * weight, grad * kept if ctx.needs_input_grad[1] else None, None
