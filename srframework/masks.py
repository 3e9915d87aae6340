"""m: a mask as a value. Save it, compare it, apply it to a model.

Shapes: a matrix is ``(d_out, d_in)``, the weight of one linear module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from srframework.errors import DataError
from srframework.files import atomic_file

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

    def __or__(self, other: Mask) -> Mask:
        """The entries that either mask keeps.

        Raises:
            ValueError: The masks have different matrices; names the first that differs. All operations raise this.
        """
        _require_same_matrices(self, other)
        return Mask({name: self[name] | other[name] for name in self})

    def __and__(self, other: Mask) -> Mask:
        """The entries that both masks keep."""
        _require_same_matrices(self, other)
        return Mask({name: self[name] & other[name] for name in self})

    def __sub__(self, other: Mask) -> Mask:
        """The entries that this mask keeps and the other prunes."""
        _require_same_matrices(self, other)
        return Mask({name: self[name] & ~other[name] for name in self})

    def overlap(self, other: Mask) -> float:
        """Return the share of this mask's kept entries that the other keeps too, in [0, 1]; 1 if it keeps none.

        >>> a, b = (Mask({"m": torch.tensor([each])}) for each in ([True, True, False], [True, False, False]))
        >>> a.overlap(b), b.overlap(a), a.agreement(b)
        (0.5, 1.0, 0.5)
        """
        both, kept = (self & other), self.entries - self.pruned
        return (both.entries - both.pruned) / kept if kept else 1.0

    def by_matrix(self) -> dict[str, Mask]:
        """Return a mask of each matrix alone, to count or compare them one by one.

        >>> both = Mask({"a": torch.tensor([[True, False]]), "b": torch.tensor([[True, True]])})
        >>> {name: each.sparsity for name, each in both.by_matrix().items()}
        {'a': 0.5, 'b': 0.0}
        """
        return {name: Mask({name: matrix}) for name, matrix in self.items()}

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
                mask = cls({})  # which copies nothing: no one else has these tensors
                mask._matrices = {name: _unpack(file.get_tensor(name), shapes[name]) for name in sorted(shapes)}
                return mask
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
    return torch.from_numpy(np.unpackbits(bits.numpy(), count=count).view(bool)).reshape(shape)
