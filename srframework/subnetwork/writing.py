"""Write the artifact of a subnetwork; see :mod:`srframework.subnetwork.artifact`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from srframework.errors import DataError, UsageError
from srframework.files import atomic_directory
from srframework.hashing import sha256
from srframework.masks import Mask
from srframework.run.packing import same_bits
from srframework.subnetwork.artifact import TENSORS, masked, matrix_of
from srframework.subnetwork.base import BaseModel
from srframework.subnetwork.coding import encode
from srframework.subnetwork.manifest import FORMAT, Dtype, File, Manifest, Matrix

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
    shared = [name for name, tensor in content.weights.items() if same_bits(tensor, masked(base, name, mask))]
    size = {name: tensor.numel() * tensor.element_size() for name, tensor in content.weights.items()}
    if sum(size[name] for name in shared) < _LEAST_SHARED * sum(size.values()):
        shared = []
    own = {name: tensor for name, tensor in content.weights.items() if name not in set(shared)}
    stored = {}
    for name, tensor in own.items():
        kept = matrix_of(name, mask)
        if kept is None:
            stored[f"tensor/{name}"] = tensor.clone()  # tensors of one storage are written one by one
            continue
        if not same_bits(tensor, tensor.masked_fill(~kept, 0.0)):
            raise DataError(f"{name}: expected 0 in every entry that the mask prunes, got other values")
        stored[f"values/{name}"] = tensor[kept]
    return stored, shared


def _halved(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.to(torch.float16)
    if not half.isfinite().all():
        raise DataError(
            f"{name.partition('/')[2]}: expected values up to 65504 for float16, got {tensor.abs().max():g}"
        )
    return half


def tokenizer_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files of a saved model that are neither weights nor its configuration: those of the tokenizer."""
    other = ("config.json", "README.md")
    return [path for path in paths if path.is_file() and path.suffix != ".safetensors" and path.name not in other]
