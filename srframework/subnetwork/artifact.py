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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from srframework.errors import BackboneError, DataError, UsageError
from srframework.files import atomic_directory
from srframework.hashing import sha256
from srframework.masks import Mask
from srframework.run.packing import same_bits
from srframework.subnetwork.base import BaseModel, base_weights, build_model, check_base, configuration
from srframework.subnetwork.coding import decode, encode
from srframework.subnetwork.lock import lock
from srframework.subnetwork.manifest import FORMAT, Dtype, File, Manifest, Matrix
from srframework.text import listed

TENSORS = "subnetwork.safetensors"

_LEAST_SHARED = 0.5
"""An artifact refers to a base only if at least this share of the model's bytes is that of the base."""


@dataclass(frozen=True)
class Content:
    """What an artifact is written from.

    Attributes:
        weights: The weights of the model by name, float32; pruned entries are +0.0.
        masks: Masks over the same matrices, each nested in the one before; the model has the last.
        config: The configuration of the model, as in config.json.
        base: The weights that the model may share; None to store all weights.
        dtype: ``"float16"`` rounds the stored values.
        tokenizer: Files of the tokenizer; copied if all weights are stored.
        about: Where the subnetwork comes from, for people.
    """

    weights: Mapping[str, Tensor]
    masks: Sequence[Mask]
    config: Mapping[str, Any]
    base: BaseModel | None = None
    dtype: Dtype = "float32"
    tokenizer: Sequence[Path] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


def write_artifact(content: Content, into: Path) -> Manifest:
    """Write an artifact, atomically.

    Args:
        content: The subnetwork.
        into: A path that does not exist.

    Raises:
        UsageError: The masks are not nested; names the matrix.
        DataError: A pruned entry is not 0, a matrix is missing, or a value is too large for float16; names the tensor.
    """
    matrices, coded = _coded(content.masks)
    stored, shared = _stored(content)
    if content.dtype == "float16":
        stored = {name: _halved(name, each) for name, each in stored.items()}
    with atomic_directory(into) as temporary:
        save_file({name: each.contiguous() for name, each in (coded | stored).items()}, temporary / TENSORS)
        for file in () if shared else content.tokenizer:
            (temporary / file.name).write_bytes(file.read_bytes())
        manifest = Manifest(
            format=FORMAT,
            model=dict(content.config),
            dtype=content.dtype,
            levels=[mask.sparsity for mask in content.masks],
            matrices=matrices,
            base=content.base.entry(shared, into) if content.base is not None and shared else None,
            files={path.name: File(path.stat().st_size, sha256(path)) for path in sorted(temporary.iterdir())},
            about=dict(content.about),
        )
        manifest.write(temporary)
    return manifest


def _coded(masks: Sequence[Mask]) -> tuple[dict[str, Matrix], dict[str, Tensor]]:
    matrices, coded = {}, {}
    for name in masks[-1]:
        codings, left = [], None
        for number, mask in enumerate(masks):
            if name not in mask or mask[name].shape != masks[-1][name].shape:
                raise UsageError(f"levels: expected masks over the same matrices, got levels that differ in {name}")
            bits = mask[name].numpy().reshape(-1)
            if left is not None and (bits & ~left).any():
                expected = "expected each level to keep only entries that the level before it keeps"
                raise UsageError(f"levels: {expected}, got others in {name}; export each level by itself")
            coding, data = encode(bits if left is None else bits[left])
            codings.append(coding)
            coded[f"mask/{name}/{number}"] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
            left = bits
        matrices[name] = Matrix(list(masks[-1][name].shape), codings)
    return matrices, coded


def _stored(content: Content) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors that the artifact must have, and the names of those that it has from the base."""
    mask, base = content.masks[-1], content.base.weights if content.base is not None else {}
    if lost := [name for name in mask if f"{name}.weight" not in content.weights]:
        raise DataError(f"mask: expected matrices of the model, got {lost[0]}, which it does not have")
    shared = [name for name, tensor in content.weights.items() if same_bits(tensor, _masked(base, name, mask))]
    size = {name: tensor.numel() * tensor.element_size() for name, tensor in content.weights.items()}
    if sum(size[name] for name in shared) < _LEAST_SHARED * sum(size.values()):
        shared = []
    own = {name: tensor for name, tensor in content.weights.items() if name not in set(shared)}
    stored = {}
    for name, tensor in own.items():
        kept = _matrix(name, mask)
        if kept is None:
            stored[f"tensor/{name}"] = tensor.clone()  # tensors of one storage are written one by one
            continue
        if not same_bits(tensor, tensor.masked_fill(~kept, 0.0)):
            raise DataError(f"{name}: expected 0 in every entry that the mask prunes, got other values")
        stored[f"values/{name}"] = tensor[kept]
    return stored, shared


def _matrix(name: str, mask: Mask) -> Tensor | None:
    return mask.get(name.removesuffix(".weight")) if name.endswith(".weight") else None


def _masked(base: Mapping[str, Tensor], name: str, mask: Mask) -> Tensor | None:
    tensor, kept = base.get(name), _matrix(name, mask)
    if tensor is None or kept is None or tensor.shape != kept.shape:
        return tensor
    return tensor.masked_fill(~kept, 0.0)


def _halved(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.to(torch.float16)
    if not half.isfinite().all():
        raise DataError(
            f"{name.partition('/')[2]}: expected values up to 65504 for float16, got {tensor.abs().max():g}"
        )
    return half


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
                tensor = _masked(base, name, mask)
                assert tensor is not None, "compared above"
                found[name] = tensor.detach().to("cpu", copy=True)
        for key in self._tensors:
            part, _, name = key.partition("/")
            if part == "tensor":
                found[name] = _float32(self._tensors[key])
            elif part == "values":
                kept, values = _matrix(name, mask), _float32(self._tensors[key])
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


def tokenizer_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files of a saved model that are neither weights nor its configuration: those of the tokenizer."""
    other = ("config.json", "README.md")
    return [path for path in paths if path.is_file() and path.suffix != ".safetensors" and path.name not in other]
