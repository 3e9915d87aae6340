"""m: a mask as a value. Compute it from scores, save it, compare it, apply it to a model.

Shapes: a matrix is ``(d_out, d_in)``, the weight of one linear module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from srframework.errors import DataError
from srframework.files import atomic_file
from srframework.pruning import Scope

_FORMAT = "srframework-mask-1"


class Mask(Mapping[str, Tensor]):
    """The entries of each matrix that are kept: module name -> bool tensor, ``True`` keeps.

    Immutable by convention, on the CPU, ordered by name. Other matrices are not pruned.

    Raises:
        TypeError: A tensor is not bool; names the matrix.
    """

    def __init__(self, matrices: Mapping[str, Tensor]) -> None:
        for name, matrix in matrices.items():
            if matrix.dtype != torch.bool:
                raise TypeError(f"mask of {name!r}: expected a bool tensor, got {matrix.dtype}")
        self._matrices = {name: matrices[name].detach().to("cpu", copy=True) for name in sorted(matrices)}

    def __getitem__(self, name: str) -> Tensor:
        return self._matrices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._matrices)

    def __len__(self) -> int:
        return len(self._matrices)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and self.digest() == other.digest()

    def __hash__(self) -> int:
        return hash(self.digest())

    def __repr__(self) -> str:
        return f"Mask({len(self)} matrices, {self.pruned} of {self.entries} entries pruned)"

    @property
    def entries(self) -> int:
        """Number of entries of all its matrices: the denominator of :attr:`sparsity`."""
        return sum(matrix.numel() for matrix in self.values())

    @property
    def pruned(self) -> int:
        """Number of pruned entries."""
        return sum(int((~matrix).sum()) for matrix in self.values())

    @property
    def sparsity(self) -> float:
        """Fraction of the entries of its own matrices that are pruned, in [0, 1]; 0 if it has none. A model's sparsity
        has another denominator, :meth:`srframework.Network.counted`, for every mask."""
        return self.pruned / self.entries if self.entries else 0.0

    def agreement(self, other: Mask) -> float:
        """Return the Jaccard index of the kept entries of two masks, in [0, 1]: kept by both / kept by either.

        Raises:
            ValueError: The masks have different matrices; names the first that differs.
        """
        _require_same_matrices(self, other)
        both = sum(int((self[name] & other[name]).sum()) for name in self)
        either = sum(int((self[name] | other[name]).sum()) for name in self)
        return both / either if either else 1.0

    def apply_(self, model: nn.Module) -> None:
        """Set the pruned weights of ``model`` to exactly 0, in place.

        Raises:
            ValueError: The model lacks a matrix, or its matrix has another shape; names the matrix.
        """
        for name, matrix in self.items():
            weight = weight_of(model, name)
            if weight.shape != matrix.shape:
                raise ValueError(f"mask of {name!r}: expected {tuple(weight.shape)}, got {tuple(matrix.shape)}")
            with torch.no_grad():
                weight.masked_fill_(~matrix.to(weight.device), 0.0)

    def digest(self) -> str:
        """Return the SHA-256 of names, shapes and bits, in hexadecimal: equal masks have equal digests."""
        sha = hashlib.sha256()
        for name, matrix in self.items():
            sha.update(f"{name}:{tuple(matrix.shape)};".encode())
            sha.update(_pack(matrix).numpy().tobytes())
        return sha.hexdigest()

    def save(self, path: Path) -> None:
        """Write the mask as safetensors, one bit per entry, atomically."""
        shapes = json.dumps({name: list(matrix.shape) for name, matrix in self.items()})
        with atomic_file(path) as temporary:
            packed = {name: _pack(matrix) for name, matrix in self.items()}
            # Only one key: safetensors writes several in an order that changes with each call.
            save_file(packed, temporary, metadata={_FORMAT: shapes})

    @classmethod
    def load(cls, path: Path) -> Mask:
        """Read a mask that :meth:`save` wrote.

        Raises:
            DataError: The file is missing, damaged, or not a mask.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if _FORMAT not in metadata:
                    got = ", ".join(sorted(metadata)) or "no metadata"
                    raise DataError(f"{path}: expected a mask ({_FORMAT} in its metadata), got {got}")
                shapes = json.loads(metadata[_FORMAT])
                return cls({name: _unpack(file.get_tensor(name), shape) for name, shape in shapes.items()})
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: expected a mask, which cannot be read: {error}") from error
        except Exception as error:  # safetensors' own class derives from Exception
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path}: expected a mask, got a damaged file: {error}") from error


def weight_of(model: nn.Module, name: str) -> Tensor:
    """Return the weight matrix of the module ``name``. If it is parametrised, return the value of the forward pass.

    Raises:
        ValueError: The module does not exist or has no weight; names it.
    """
    try:
        weight = model.get_submodule(name).weight
    except AttributeError:
        raise ValueError(f"the model has no matrix {name!r}") from None
    assert isinstance(weight, Tensor), name
    return weight


def sparsity(matrices: Mapping[str, Tensor]) -> float:
    """Return the fraction of the entries of all ``matrices`` that are exactly 0, in [0, 1]; 0 without entries."""
    entries = sum(matrix.numel() for matrix in matrices.values())
    return sum(int((matrix == 0).sum()) for matrix in matrices.values()) / entries if entries else 0.0


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


def mark_lowest(values: Tensor, count: int, tie_break: Tensor | None = None) -> Tensor:
    """Mark the ``count`` lowest entries.

    Args:
        values: Any shape. Read only.
        count: In [0, entries].
        tie_break: Of the same shape. Among equal values, the entries with the lower ``tie_break``
            are marked; if these are equal too, those with the higher flat index.

    Returns:
        Bool tensor of the same shape and device; exactly ``count`` entries are ``True``.

    >>> mark_lowest(torch.tensor([[2.0, 1.0], [1.0, 3.0]]), 1)
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
    wanted = count - int(marked.sum())
    # kthvalue again: sorting the ties would be slow.
    chosen = ties[-wanted:] if tie_break is None else ties[mark_lowest(tie_break.reshape(-1)[ties], wanted)]
    marked[chosen] = True
    return marked.reshape(values.shape)


def keep_highest(
    scores: Mapping[str, Tensor],
    sparsity: float,
    scope: Scope = "local",
    remaining: Mapping[str, Tensor] | None = None,
    blocks: Mapping[str, Sequence[int]] | None = None,
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

    Returns:
        Bool tensors of the same shapes and device, in the order of ``scores``; ``True`` keeps. Exactly
        ``round(sparsity * n)`` entries of a matrix, or ``round(sparsity * N)`` of all, are ``False``; among ties the
        earlier matrix is kept, and in it the lower flat index.

    Raises:
        ValueError: ``sparsity`` outside [0, 1), or blocks that do not add up to the rows; shows the value.

    >>> keep_highest({"a": torch.tensor([[3.0, 4.0]]), "b": torch.tensor([[1.0, 2.0]])}, 0.5, "global")
    {'a': tensor([[True, True]]), 'b': tensor([[False, False]])}
    """
    if blocks and scope == "local":
        return _keep_in_blocks(scores, sparsity, remaining, blocks)
    kept: dict[str, Tensor] = {}
    for names in [list(scores)] if scope == "global" and scores else [[name] for name in scores]:
        flat = torch.cat([scores[name].detach().reshape(-1) for name in names])
        if remaining is not None:
            left = torch.cat([remaining[name].reshape(-1) for name in names])
            flat = flat.masked_fill(~left, -torch.inf)
        pruned = mark_lowest(flat, pruned_count(sparsity, flat.numel()))
        parts = torch.split(~pruned, [scores[name].numel() for name in names])
        kept |= {name: part.reshape(scores[name].shape) for name, part in zip(names, parts, strict=True)}
    return kept


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


def _require_same_matrices(a: Mask, b: Mask) -> None:
    for name in sorted(a.keys() | b.keys()):
        if name not in a or name not in b:
            raise ValueError(f"masks over different matrices: only one of them has {name!r}")
        if a[name].shape != b[name].shape:
            raise ValueError(f"masks of {name!r}: expected {tuple(a[name].shape)}, got {tuple(b[name].shape)}")


def _pack(matrix: Tensor) -> Tensor:
    return torch.from_numpy(np.packbits(matrix.numpy().reshape(-1)))


def _unpack(bits: Tensor, shape: list[int]) -> Tensor:
    count = int(np.prod(shape))
    if bits.numel() != -(-count // 8):
        raise ValueError(f"expected {count} bits for shape {tuple(shape)}, got {bits.numel()} bytes")
    return torch.from_numpy(np.unpackbits(bits.numpy(), count=count).astype(bool)).reshape(shape)
