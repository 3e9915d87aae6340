"""Pure mask arithmetic on tensors. A matrix is ``(d_out, d_in)``, but any shape works.

Functions of several matrices have a scope: with ``"local"`` each matrix has the sparsity; with ``"global"`` all of them
together have it, and their entries are ranked together, in the given order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from srframework import Pattern, Scope, border_of_lowest, keep_highest, mark_lowest_of, pruned_count

Blocks = Mapping[str, Sequence[int]]
"""Name of a fused matrix -> the rows of its blocks; with ``"local"``, each block has the sparsity."""


def hard_scores(
    weights: Mapping[str, Tensor],
    sparsity: float,
    phi: float,
    alpha: float,
    scope: Scope,
    blocks: Blocks | None = None,
    pattern: Pattern | None = None,
) -> dict[str, Tensor]:
    """Give initial scores: 0 for the smallest-magnitude entries, α·φ for the others, so that φ gives the sparsity.

    Args:
        weights: Matrix name -> ``(d_out, d_in)``. Read only.
        sparsity: Fraction of the entries whose score is 0, in [0, 1).
        phi: φ, the threshold for these scores; above 0.
        alpha: α; above 1.
        scope: Whether the fraction applies to each matrix or to all together.
        blocks: Row blocks of the fused matrices.
        pattern: Structure of the entries whose score is 0.

    Source: Appendix A.1.2, hard initialisation.

    >>> hard_scores({"a": torch.tensor([[3.0, -1.0], [0.5, -4.0]])}, sparsity=0.5, phi=0.01, alpha=2, scope="local")
    {'a': tensor([[0.0200, 0.0000],
            [0.0000, 0.0200]])}
    """
    kept = keep_highest(soft_scores(weights), sparsity, scope, blocks=blocks, pattern=pattern)
    return {name: matrix.to(weights[name].dtype) * (alpha * phi) for name, matrix in kept.items()}


def soft_scores(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give initial scores |W|, as copies. Source: Appendix A.1.2, soft initialisation.

    >>> soft_scores({"a": torch.tensor([[3.0, -1.0]])})
    {'a': tensor([[3., 1.]])}
    """
    return {name: weight.detach().abs() for name, weight in weights.items()}


def threshold_to(scores: Tensor, weight: Tensor, sparsity: float) -> tuple[Tensor, Tensor]:
    """Find the threshold that gives a matrix exactly this sparsity.

    Args:
        scores: m̂, of the shape of ``weight``. Read only.
        weight: W; among equal scores the smaller magnitude is pruned first, then the higher flat index.
        sparsity: In [0, 1).

    Returns:
        φ and the scores. φ is a scalar midway between the highest pruned and the lowest kept score. It is
        the lowest kept score if nothing is pruned or the two are equal, and the next number above the highest
        pruned score if nothing is kept. Pruned scores that equal φ are lowered to the next number below it, so that
        ``scores >= φ`` keeps exactly ``n - round(sparsity * n)`` entries; all other scores are unchanged.

    Source: Appendix A.1.2, which does not specify φ between the two scores; with α = 2 the initial φ is the
    midpoint too. A plain k-th value would keep all equal scores, or none.
    """
    phi, (exact,) = _thresholds([([scores], [weight])], sparsity)[0]
    return phi, exact


def thresholds_to(
    scores: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    sparsity: float,
    scope: Scope,
    blocks: Blocks | None = None,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Find the thresholds that give several matrices exactly this sparsity, with :func:`threshold_to`.

    Args:
        scores: Matrix name -> m̂. Read only.
        weights: Matrix name -> W, with the same names and shapes.
        sparsity: In [0, 1).
        scope: Whether each matrix has a threshold, or all of them share one.
        blocks: Row blocks of the fused matrices. With ``"local"``, each block has a threshold.

    Returns:
        Matrix name -> φ and the scores, in the order of ``scores``. φ of a matrix of several blocks is ``(d_out, 1)``.
    """
    if scope == "global" and scores:
        phi, exact = _thresholds([(list(scores.values()), [weights[name] for name in scores])], sparsity)[0]
        return {name: (phi, matrix) for name, matrix in zip(scores, exact, strict=True)}
    parts = {name: _in_blocks(name, matrix, blocks) for name, matrix in scores.items()}
    pairs = [pair for name in parts for pair in zip(parts[name], _in_blocks(name, weights[name], blocks), strict=True)]
    found = iter(_thresholds([([block], [weight]) for block, weight in pairs], sparsity))
    return {name: _rejoined(scores[name], parts[name], [next(found) for _ in parts[name]]) for name in parts}


def _thresholds(
    groups: Sequence[tuple[Sequence[Tensor], Sequence[Tensor]]], sparsity: float
) -> list[tuple[Tensor, Sequence[Tensor]]]:
    """Find φ and the scores, as in :func:`threshold_to`, for each group: scores with one φ, and their weights."""
    sizes = [sum(matrix.numel() for matrix in scores) for scores, _ in groups]
    counts = [pruned_count(sparsity, size) for size in sizes]
    borders = [border_of_lowest(scores, count) for (scores, _), count in zip(groups, counts, strict=True)]
    # One transfer from the device for all groups.
    pruned, kept = torch.stack(borders, dim=1) if borders else torch.empty(2, 0)
    found = []
    for (scores, weights), size, count, ends, tie in zip(
        groups, sizes, counts, borders, (pruned >= kept).tolist(), strict=True
    ):
        phi = ends[1] if tie else _middle(ends) if count < size else torch.nextafter(*ends)
        found.append((phi, _lowered(scores, weights, count, phi) if tie else scores))
    return found


def _middle(ends: Tensor) -> Tensor:
    """Find φ between the highest pruned and the lowest kept score."""
    pruned, kept = ends
    # Rounding may move the middle of two adjacent floats to the lower one, which is pruned.
    middle = (ends / 2).sum()
    return torch.where(middle > pruned, middle, kept)


def _lowered(scores: Sequence[Tensor], weights: Sequence[Tensor], count: int, phi: Tensor) -> list[Tensor]:
    """Give the scores; those that equal φ and are pruned are lowered to the next number."""
    marked = mark_lowest_of(scores, count, (weight.detach().abs() for weight in weights))
    below = torch.nextafter(phi, torch.full_like(phi, -torch.inf))
    return [torch.where(low & (each >= phi), below, each) for low, each in zip(marked, scores, strict=True)]


def _rejoined(
    matrix: Tensor, blocks: Sequence[Tensor], found: Sequence[tuple[Tensor, Sequence[Tensor]]]
) -> tuple[Tensor, Tensor]:
    """Join φ and the scores of the blocks of a matrix; it is not copied if no score was lowered."""
    same = all(exact is block for block, (_, (exact,)) in zip(blocks, found, strict=True))
    scores = matrix if same else torch.cat([exact for _, (exact,) in found])
    if len(found) == 1:
        return found[0][0], scores
    return torch.cat([phi.expand(len(block), 1) for block, (phi, _) in zip(blocks, found, strict=True)]), scores


class StraightThrough(torch.autograd.Function):
    """``m ⊙ W``; the backward pass treats m as the scores.

    dL/dscores := dL/dm = dL/d(m ⊙ W) ⊙ W, and dL/dW = dL/d(m ⊙ W) ⊙ m if W requires it.

    Source: Appendix A.1.2.
    """

    @staticmethod
    def forward(ctx: Any, _scores: Tensor, weight: Tensor, kept: Tensor) -> Tensor:
        """Shapes: ``(d_out, d_in)`` each; ``kept`` is m, bool."""
        ctx.save_for_backward(weight, kept if ctx.needs_input_grad[1] else None)
        # The product with a bool tensor took 1.2 to 3.8 ns for each weight, this takes 0.5.
        return kept.view(torch.uint8).to(weight.dtype).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Give the gradients of scores and weight."""
        (grad,), (weight, kept) = grads, ctx.saved_tensors
        return grad * weight, None if kept is None else grad * kept, None


def _in_blocks(name: str, matrix: Tensor, blocks: Blocks | None) -> Sequence[Tensor]:
    """Split a matrix into its row blocks."""
    rows = (blocks or {}).get(name)
    return [matrix] if rows is None else torch.split(matrix, list(rows))


def control_weights(weight: Tensor, control: str, generator: torch.Generator) -> Tensor:
    """Replace a matrix by one of the same shape that has lost what training put into it.

    Args:
        weight: ``(d_out, d_in)``. Read only.
        control: ``"random"``: normal random numbers with the mean 0 and the standard deviation of ``weight``;
            ``"shuffled"``: the rows of ``weight`` in a random order.
        generator: On the CPU.
    """
    if control == "random":
        return torch.randn(weight.shape, generator=generator).to(weight) * weight.std()
    return weight[torch.randperm(len(weight), generator=generator).to(weight.device)]
