"""The artifact of a subnetwork: a small directory from which the model can be rebuilt, bit by bit.

::

    ARTIFACT/
      manifest.json            the contents, and the checksums of all files
      subnetwork.safetensors
        mask/MODULE/K          the entries that level K keeps, among those that level K - 1 keeps; see coding.py
        values/TENSOR          the values of the kept entries of a matrix, in the order of the entries
        tensor/TENSOR          any other tensor
      *                        the tokenizer, if all weights are in the artifact

A tensor that is that of the base under the mask is not in the file. Of a mask that was found on frozen weights, only
the mask and the head are there. The manifest names the base by the hash of these tensors. If the weights were trained,
there is no base, and the file has the values of the kept entries.

Several nested levels, such as those of IMP, are one map from entries to the level that prunes them: the first level
has a bit for each entry, and each further level has a bit for each entry that is left. The weights are those of the
last level.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from srframework.errors import BackboneError, DataError, UsageError
from srframework.masks import Mask
from srframework.subnetwork.base import base_weights, build_model, check_base, configuration
from srframework.subnetwork.coding import decode
from srframework.subnetwork.lock import lock
from srframework.subnetwork.manifest import Manifest, Matrix
from srframework.text import listed

TENSORS = "subnetwork.safetensors"


def matrix_of(name: str, mask: Mask) -> Tensor | None:
    """Return the mask of a tensor of the model; None if it has none."""
    return mask.get(name.removesuffix(".weight")) if name.endswith(".weight") else None


def masked(base: Mapping[str, Tensor], name: str, mask: Mask) -> Tensor | None:
    """Return a tensor of the base with 0 in its pruned entries; None if the base does not have it."""
    tensor, kept = base.get(name), matrix_of(name, mask)
    if tensor is None or kept is None or tensor.shape != kept.shape:
        return tensor
    return tensor.masked_fill(~kept, 0.0)


class Subnetwork:
    """A subnetwork in its artifact. All files are checked when it is read.

    Args:
        path: The directory.

    Raises:
        DataError: It is not an artifact, or a file is missing or damaged; names the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.manifest = Manifest.read(self.path)

    def __repr__(self) -> str:
        return f"Subnetwork({str(self.path)!r}, levels={self.levels})"

    @property
    def levels(self) -> list[float]:
        """The sparsities of its masks in [0, 1], ascending, as fractions of the entries of the masked matrices."""
        return list(self.manifest.levels)

    def mask(self, level: float | None = None) -> Mask:
        """Return the mask of a level; without ``level``, the last, which the weights have.

        Raises:
            UsageError: There is no such level; names those that exist.
            DataError: The file does not have the bits of the mask.
        """
        near = [number for number, each in enumerate(self.levels) if level is None or abs(each - level) < _NEAR]
        if not near:
            raise UsageError(f"{self.path}: expected one of the levels {listed(map(str, self.levels))}, got {level}")
        return Mask({name: self._kept(name, matrix, near[-1]) for name, matrix in self.manifest.matrices.items()})

    def _kept(self, name: str, matrix: Matrix, last: int) -> Tensor:
        kept = np.ones(int(np.prod(matrix.shape)), dtype=bool)
        for number, coding in enumerate(matrix.codings[: last + 1]):
            data = self._tensor(f"mask/{name}/{number}").numpy().tobytes()
            try:
                kept[kept] = decode(coding, data, int(kept.sum()))
            except ValueError as error:
                raise DataError(f"{self.path / TENSORS}: mask of {name}: {error}") from error
        return torch.from_numpy(kept).reshape(matrix.shape)

    def weights(self, base: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return the weights of the model, float32, with 0 in the pruned entries.

        Args:
            base: The weights of the base, if the artifact has one; they are compared with its hash.

        Raises:
            BackboneError: The base is missing, or another one.
            DataError: The file does not have the values of the matrices.
        """
        expected, mask = self.manifest.base, self.mask()
        found: dict[str, Tensor] = {}
        if expected is not None:
            if base is None:
                raise BackboneError(f"{self.path}: expected the weights of its base, {expected.name}, got none")
            check_base(expected, base, str(self.path))
            for name in expected.tensors:
                tensor = masked(base, name, mask)
                assert tensor is not None, "compared above"
                found[name] = tensor.detach().to("cpu", copy=True)
        for key in self._tensors:
            part, _, name = key.partition("/")
            if part == "tensor":
                found[name] = _float32(self._tensors[key])
            elif part == "values":
                kept, values = matrix_of(name, mask), _float32(self._tensors[key])
                if kept is None or values.shape != (int(kept.sum()),):
                    raise DataError(f"{self.path / TENSORS}: {name}: expected one value for each kept entry")
                found[name] = torch.zeros(kept.shape).masked_scatter_(kept, values)
        return found

    def model(self, base: str | Path | PreTrainedModel | None = None) -> PreTrainedModel:
        """Build the model, with its mask locked; see :func:`srframework.subnetwork.lock.lock`.

        Args:
            base: The base, if the artifact has one: a model, a directory, or a name on the hub. None: the place that
                the manifest names.

        Raises:
            BackboneError: The base cannot be found or is another one, or a weight is missing.
            DataError: A file is damaged.
        """
        where, expected = str(self.path), self.manifest.base
        config = configuration(self.manifest.model, where)
        weights = None if expected is None else base_weights(base if base is not None else self._base(), config)
        return lock(build_model(config, self.weights(weights), where), self.mask())

    def _base(self) -> str:
        assert self.manifest.base is not None, "only called with a base"
        expected = self.manifest.base
        if expected.path is None:
            of = f"{expected.name} ({expected.sha256[:12]})"
            raise BackboneError(f"{self.path}: its weights are those of {of}; give this model as `base`")
        beside = self.path / expected.path
        return str(beside) if beside.is_dir() else expected.path

    def _tensor(self, key: str) -> Tensor:
        if key not in self._tensors:
            raise DataError(f"{self.path / TENSORS}: expected a tensor {key}, got none")
        return self._tensors[key]

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        try:
            return load_file(self.path / TENSORS)
        except (OSError, SafetensorError) as error:
            raise DataError(f"{self.path / TENSORS}: expected a safetensors file: {error}") from error


_NEAR = 1e-3
"""Largest difference between the level that a user writes and the counted sparsity."""


def _float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32, copy=True) if tensor.is_floating_point() else tensor.clone()


def load_subnetwork(path: str | os.PathLike[str], base: str | Path | PreTrainedModel | None = None) -> PreTrainedModel:
    """Load the model of an artifact; its mask is locked.

    Further training, with any optimizer of PyTorch or with the Trainer of transformers, keeps every pruned entry at
    exactly 0, and ``save_pretrained`` writes an ordinary model. :func:`srframework.unlock` removes the lock.

    Args:
        path: The directory of the artifact.
        base: The base, if the artifact has one: a model, a directory, or a name on the hub. None: the place that the
            manifest names.

    Raises:
        DataError: It is not an artifact, or a file is missing or damaged; names the file.
        BackboneError: The base cannot be found, or is another model.
    """
    return Subnetwork(path).model(base)
