"""Scores -> masks: the highest scores are kept, exactly as many as the sparsity says.

A matrix is ``(d_out, d_in)``; without a pattern, any shape works. A *unit* is what a pattern keeps or prunes together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from srframework.errors import UsageError
from srframework.pruning import Pattern, Scope
from srframework.selection import mark_lowest_of

_NEAR = 1e-9
"""Largest difference of two sparsities that are meant to be equal."""


def pruned_count(sparsity: float, entries: int) -> int:
    """Return the number of ``entries`` that a sparsity in [0, 1) prunes: rounded to an integer, half to even.

    Raises:
        ValueError: ``sparsity`` outside [0, 1); shows the value.

    >>> pruned_count(0.7, 49152)
    34406
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"expected a sparsity in [0, 1), got {sparsity}")
    return round(sparsity * entries)


def keep_highest(
    scores: Mapping[str, Tensor],
    sparsity: float,
    scope: Scope = "local",
    remaining: Mapping[str, Tensor] | None = None,
    blocks: Mapping[str, Sequence[int]] | None = None,
    pattern: Pattern | None = None,
) -> dict[str, Tensor]:
    """Keep the entries with the highest scores, in each matrix or in all matrices together.

    Args:
        scores: Any shapes, floating, on one device, e.g. the magnitudes of the weights. Read only.
        sparsity: Fraction to prune of the n entries of each matrix, or of the N entries of all, in [0, 1).
        scope: ``"local"``: each matrix has the sparsity; ``"global"``: all matrices together have it and are ranked
            as one, in their order in ``scores``.
        remaining: Bool, of the same names and shapes: the entries that are not pruned yet. The other entries are
            pruned first, whatever their scores; None: nothing is pruned yet.
        blocks: Name of a fused matrix -> the rows of its blocks: with ``"local"``, each block has the sparsity, as
            if it were a matrix. Their sum is the number of rows.
        pattern: The structure of the pruned entries; the matrices are ``(d_out, d_in)``. The score of a unit is the
            sum of its entries' scores, and the sparsity counts units. A unit is pruned already if all its entries are.

    Returns:
        Bool tensors of the same shapes and device, in the order of ``scores``; ``True`` keeps. Exactly
        ``round(sparsity * n)`` entries of a matrix, or ``round(sparsity * N)`` of all, are ``False``; among ties the
        earlier matrix is kept, and in it the lower flat index.

    Raises:
        ValueError: ``sparsity`` outside [0, 1), or not that of an N:M pattern, or blocks that do not add up to the
            rows; shows the value.

    >>> keep_highest({"a": torch.tensor([[3.0, 4.0]]), "b": torch.tensor([[1.0, 2.0]])}, 0.5, "global")
    {'a': tensor([[True, True]]), 'b': tensor([[False, False]])}
    """
    if pattern is not None:
        return _keep_in_pattern(scores, sparsity, scope, remaining, blocks, pattern)
    if blocks and scope == "local":
        return _keep_in_blocks(scores, sparsity, remaining, blocks)
    kept: dict[str, Tensor] = {}
    for names in [list(scores)] if scope == "global" and scores else [[name] for name in scores]:
        parts = [scores[name] for name in names]
        left = None if remaining is None else [remaining[name] for name in names]
        count = pruned_count(sparsity, sum(part.numel() for part in parts))
        marked = mark_lowest_of(parts, count, tie_breaks=left, remaining=left)
        for name, pruned in zip(names, marked, strict=True):
            kept[name] = pruned.logical_not_()
    return kept


def _keep_in_pattern(
    scores: Mapping[str, Tensor],
    sparsity: float,
    scope: Scope,
    remaining: Mapping[str, Tensor] | None,
    blocks: Mapping[str, Sequence[int]] | None,
    pattern: Pattern,
) -> dict[str, Tensor]:
    if pattern.sparsity is not None:
        if abs(sparsity - pattern.sparsity) > _NEAR:
            raise ValueError(f'expected a sparsity of {pattern.sparsity:g} with "{pattern.text}", got {sparsity:g}')
        left = {name: torch.ones_like(each, dtype=torch.bool) for name, each in scores.items()} | dict(remaining or {})
        lowest = {name: each.detach().masked_fill(~left[name], -torch.inf) for name, each in scores.items()}
        return {name: keep_n_of_m(each, pattern) for name, each in lowest.items()}
    units = {name: in_units(each.detach(), pattern) for name, each in scores.items()}
    left = {name: in_units(each, pattern) > 0 for name, each in (remaining or {}).items()}
    kept = keep_highest(units, sparsity, scope, left or None, blocks)
    return {name: in_entries(each, pattern, scores[name].shape[1]) for name, each in kept.items()}


def _keep_in_blocks(
    scores: Mapping[str, Tensor],
    sparsity: float,
    remaining: Mapping[str, Tensor] | None,
    blocks: Mapping[str, Sequence[int]],
) -> dict[str, Tensor]:
    kept = {}
    for name, matrix in scores.items():
        rows = list(blocks.get(name, [len(matrix)]))
        if min(rows, default=0) < 1 or sum(rows) != len(matrix):
            raise ValueError(f"blocks of {name!r}: expected at least 1 row each, {len(matrix)} in total, got {rows}")
        parts = {str(index): part for index, part in enumerate(torch.split(matrix, rows))}
        left = None
        if remaining is not None:
            left = {str(index): part for index, part in enumerate(torch.split(remaining[name], rows))}
        kept[name] = torch.cat(list(keep_highest(parts, sparsity, "local", left).values()))
    return kept


def require_fit(matrices: Mapping[str, Tensor], pattern: Pattern | None) -> None:
    """Check that a pattern divides the rows of all matrices.

    Raises:
        UsageError: It does not; names the matrix.
    """
    if pattern is None or pattern.group is None:
        return
    for name, matrix in matrices.items():
        if matrix.shape[1] % pattern.group:
            raise UsageError(
                f'pattern "{pattern.text}": expected matrices whose rows have a multiple of {pattern.group} entries, '
                f"got {matrix.shape[1]} in {name}"
            )


def in_units(values: Tensor, pattern: Pattern) -> Tensor:
    """Sum the values of each unit: ``(d_out, d_in)`` -> ``(d_out, units in a row)``.

    >>> in_units(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), Pattern.parse("1x2"))
    tensor([[3., 7.]])
    """
    return values.reshape(len(values), -1, pattern.group or values.shape[1]).sum(dim=2)


def in_entries(units: Tensor, pattern: Pattern, columns: int) -> Tensor:
    """Repeat the value of each unit for its entries: ``(d_out, units in a row)`` -> ``(d_out, columns)``.

    >>> in_entries(torch.tensor([[True, False]]), Pattern.parse("1x2"), 4)
    tensor([[ True,  True, False, False]])
    """
    return units.repeat_interleave(pattern.group or columns, dim=1)


def keep_n_of_m(scores: Tensor, pattern: Pattern) -> Tensor:
    """Keep the N highest of each M neighbours in a row; among ties the first.

    >>> keep_n_of_m(torch.tensor([[1.0, 3.0, 3.0, 3.0]]), Pattern.parse("2:4"))
    tensor([[False,  True,  True, False]])
    """
    groups = scores.reshape(len(scores), -1, pattern.group or scores.shape[1])
    order = torch.argsort(groups, dim=2, descending=True, stable=True)
    kept = torch.zeros_like(groups, dtype=torch.bool)
    kept.scatter_(2, order[..., : pattern.kept], value=True)
    return kept.reshape(scores.shape)
