"""Count the zeros of a saved model in its files: by matrix, by pattern, and in bytes.

Shapes: a matrix is ``(d_out, d_in)``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from srframework.contracts import COUNTED_PARTS, Network
from srframework.errors import BackboneError
from srframework.masks import Mask
from srframework.pruning import Pattern
from srframework.run.model_directory import ModelDirectory
from srframework.scores import in_units

PATTERNS = ("2:4", "1x4", "row")

Denominator = Literal["prunable", "encoder", "model"]

DENOMINATORS: Mapping[Denominator, str] = {
    "prunable": "matrices of the encoder and the classifier",
    "encoder": "matrices of the Transformer layers",
    "model": "all weights in the files",
}
"""Name -> the entries that count; the first is the sparsity of results."""


@dataclass(frozen=True)
class Units:
    """The units of a pattern in a matrix: groups of neighbours in a row, or complete rows.

    Attributes:
        units: Their number.
        conforming: Those that the pattern allows. N:M: at most N entries are not 0. Others: all entries are 0, or none.
        zero: Those whose entries are all 0.
    """

    units: int
    conforming: int
    zero: int


@dataclass(frozen=True)
class Matrix:
    """A prunable matrix.

    Attributes:
        name: The module.
        part: Its part of the model; see :data:`srframework.contracts.PARTS`.
        shape: ``(d_out, d_in)``.
        zeros: Number of entries that are exactly 0.
        patterns: Pattern -> its units; without those that do not divide the rows.
        bytes: Of an entry in the file.
    """

    name: str
    part: str
    shape: tuple[int, ...]
    zeros: int
    patterns: Mapping[str, Units]
    bytes: int

    @property
    def entries(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Share:
    """Zeros among entries; ``matrices``: the number of matrices or other tensors that they are in."""

    zeros: int
    entries: int
    matrices: int

    @property
    def sparsity(self) -> float:
        """In [0, 1]."""
        return self.zeros / self.entries if self.entries else 0.0

    def reaches(self, sparsity: float) -> bool:
        """Whether at least this fraction is 0. Each matrix may lack one entry, because pruners round the number."""
        return self.zeros >= sparsity * self.entries - self.matrices


@dataclass(frozen=True)
class Sizes:
    """Bytes of a model.

    Attributes:
        dense: Of its safetensors files.
        packed: With a bit for each entry and the values that are not 0, for matrices that this makes smaller.
        bound: With the entropy of the mask in place of the bits: n·H(s) for a matrix of n entries and sparsity s. No
            code is shorter on average if zeros are independent.
    """

    dense: int
    packed: int
    bound: int


@dataclass(frozen=True)
class Counts:
    """What the files of a model have.

    Attributes:
        matrices: The prunable matrices, each once.
        shares: Denominator -> zeros among its entries.
        sizes: Bytes.
        pruned: Number of entries that the mask prunes; None without a mask.
        pruned_not_zero: Matrix -> number of pruned entries that are not 0; only matrices that have some.
    """

    matrices: tuple[Matrix, ...]
    shares: Mapping[Denominator, Share]
    sizes: Sizes
    pruned: int | None
    pruned_not_zero: Mapping[str, int]

    @property
    def counted(self) -> list[Matrix]:
        """The matrices of the encoder and the classifier."""
        return [each for each in self.matrices if each.part in COUNTED_PARTS]


def count(directory: ModelDirectory, network: Network, mask: Mask | None) -> Counts:
    """Count in the files of a model.

    Args:
        directory: The model.
        network: The same model, for the names of its matrices.
        mask: Its mask, if it is known.

    Raises:
        BackboneError: The files are damaged, or the mask is that of another model.
    """
    weights, widths = directory.weights(), directory.weight_bytes()
    chosen = {name: f"{name}.weight" for name in network.matrices()}
    matrices = tuple(
        Matrix(
            name,
            network.prunable[name],
            tuple(weights[key].shape),
            _zeros(weights[key]),
            {pattern: units for pattern in PATTERNS if (units := units_of(weights[key], pattern)) is not None},
            widths[key],
        )
        for name, key in chosen.items()
    )
    shares: dict[Denominator, Share] = {
        "prunable": _share(each for each in matrices if each.part in COUNTED_PARTS),
        "encoder": _share(each for each in matrices if each.part == "encoder"),
        "model": Share(sum(map(_zeros, weights.values())), sum(map(Tensor.numel, weights.values())), len(weights)),
    }
    not_zero = {} if mask is None else _pruned_not_zero(directory, weights, mask)
    dense = sum(path.stat().st_size for path in directory.files())
    return Counts(matrices, shares, sizes_of(dense, matrices), None if mask is None else mask.pruned, not_zero)


def units_of(matrix: Tensor, pattern: str) -> Units | None:
    """Return the units of a pattern in a matrix; None if the pattern does not divide the rows.

    >>> import torch
    >>> units_of(torch.tensor([[1.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]), "2:4")
    Units(units=2, conforming=2, zero=1)
    >>> units_of(torch.tensor([[1.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]), "row")
    Units(units=2, conforming=1, zero=1)
    """
    found = Pattern.parse(pattern)
    group = found.group or matrix.shape[1]
    if matrix.shape[1] % group:
        return None
    kept = in_units((matrix != 0).int(), found)
    zero = kept == 0
    conforming = zero | (kept == group) if found.kept is None else kept <= found.kept
    return Units(kept.numel(), int(conforming.sum()), int(zero.sum()))


def sizes_of(dense: int, matrices: Sequence[Matrix]) -> Sizes:
    """Return the bytes of a model whose files have ``dense`` bytes, if these matrices are saved as mask and values."""
    packed = bound = dense
    for each in matrices:
        values = (each.entries - each.zeros) * each.bytes
        own = each.entries * each.bytes
        packed -= max(0, own - values - math.ceil(each.entries / 8))
        bound -= max(0, own - values - math.ceil(each.entries * _entropy(each.zeros / each.entries) / 8))
    return Sizes(dense, packed, bound)


def _entropy(share: float) -> float:
    """Return H(s) in bits."""
    return -sum(each * math.log2(each) for each in (share, 1 - share) if each > 0)


def _zeros(weight: Tensor) -> int:
    return int((weight == 0).sum())


def _share(matrices: Iterable[Matrix]) -> Share:
    chosen = list(matrices)
    return Share(sum(each.zeros for each in chosen), sum(each.entries for each in chosen), len(chosen))


def _pruned_not_zero(directory: ModelDirectory, weights: Mapping[str, Tensor], mask: Mask) -> dict[str, int]:
    found = {}
    for name, kept in mask.items():
        weight = weights.get(f"{name}.weight")
        if weight is None or weight.shape != kept.shape:
            got = "none" if weight is None else " × ".join(map(str, weight.shape))
            expected = f"a matrix {name} of {' × '.join(map(str, kept.shape))}, as in its mask"
            raise BackboneError(f"{directory.path}: expected {expected}, got {got}")
        if wrong := int((weight[~kept] != 0).sum()):
            found[name] = wrong
    return found
