"""Packed models: weights that are mostly those of another model under a mask are not saved again.

::

    PLACE/                    of a stage or a point
      mask.safetensors        the mask
      base/*.safetensors      the other weights: hard links to the files of another entry of the store
      packed/
        packed.json           {"files": {name: {"bytes", "sha256", "header"}}} of the safetensors files of the model
        changed.safetensors   the tensors that are not those of the base under the mask
        *                     every other file of the model: config, tokenizer

A tensor comes from ``changed.safetensors`` if it is there; if not, it is that of the base, with +0.0 where the mask
prunes. The comparison is of bits. The header of a file says where each tensor is in it, so that the rebuilt file has
the same bytes as the saved one; its SHA-256 proves that.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from srframework.errors import BackboneError, DataError
from srframework.files import read_json
from srframework.hashing import sha256
from srframework.masks import Mask
from srframework.run.paths import MASK, PACKED
from srframework.store.content import BASE

FACTS, CHANGED = "packed.json", "changed.safetensors"

_LEAST_SAVED = 0.5
"""A model is packed only if this saves at least this share of its weights in bytes."""

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

Lookup = Callable[[str], Tensor | None]


@dataclass(frozen=True)
class Packed:
    """A model in packed form.

    Attributes:
        place: The directory with ``packed/``, ``base/`` and the mask.
    """

    place: Path

    def files(self) -> dict[str, dict[str, Any]]:
        """Return size, SHA-256 and header of each safetensors file of the model, by name.

        Raises:
            BackboneError: ``packed.json`` is missing or damaged.
        """
        path = self.place / PACKED / FACTS
        try:
            files = read_json(path)["files"]
            return {
                str(name): {key: each[key] for key in ("bytes", "sha256", "header")} for name, each in files.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackboneError(f"{path}: expected the description of a packed model: {_reason(error)}") from error

    def tensors(self, file: str) -> Iterator[tuple[str, Tensor]]:
        """Yield name and value of each tensor of a file of the model, in the order of the file.

        Raises:
            BackboneError: A file that is needed is missing or damaged, or the result is not the model that was packed;
                names the file. The last is found at the end.
        """
        facts = self.files()[file]
        header, sha = facts["header"].encode(), hashlib.sha256()
        sha.update(_start(header))
        with _opened(self.place) as value:
            for name in _names(header):
                tensor = value(name)
                if tensor is None:
                    raise BackboneError(f"{self.place}: expected the weights {name} in {BASE} or {PACKED}, got none")
                sha.update(raw(tensor))
                yield name, tensor
        if sha.hexdigest() != facts["sha256"]:
            raise BackboneError(
                f"{self.place}: the model cannot be rebuilt: expected {file} with SHA-256 {facts['sha256'][:12]}, got "
                f"{sha.hexdigest()[:12]}; the mask, or a file in {BASE} or {PACKED}, was changed"
            )

    def write(self, file: str, path: Path) -> None:
        """Write a file of the model, byte for byte as it was before it was packed.

        Raises:
            BackboneError: As :meth:`tensors`.
        """
        with path.open("wb") as target:
            target.write(_start(self.files()[file]["header"].encode()))
            for _, tensor in self.tensors(file):
                target.write(raw(tensor))


def pack(model: Path, mask: Mask, base: Sequence[Path], into: Path) -> bool:
    """Write what differs between a saved model and a base under a mask.

    Args:
        model: The directory of the model.
        mask: Its mask.
        base: The safetensors files of the base.
        into: A directory for ``packed.json`` and ``changed.safetensors``.

    Returns:
        False if it would save too little; then nothing is written.
    """
    changed: dict[str, Tensor] = {}
    headers: dict[Path, bytes] = {}
    total = 0
    with ExitStack() as stack:
        under_mask = _masked(_in_files(stack, base), mask)
        for path in sorted(model.glob("*.safetensors")):
            header = headers[path] = _header(path)
            with safe_open(path, framework="pt") as tensors:
                for name in _names(header):
                    tensor = tensors.get_tensor(name)
                    total += _size(tensor)
                    if not same_bits(tensor, under_mask(name)):
                        changed[name] = tensor.clone()
    saved = total - sum(map(_size, changed.values())) - mask.entries / 8
    if not headers or saved < _LEAST_SAVED * total:
        return False
    facts = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256(path), "header": header.decode()}
        for path, header in headers.items()
    }
    save_file(changed, into / CHANGED)
    (into / FACTS).write_text(json.dumps({"files": facts}), encoding="utf-8")
    return True


def resembles(weights: Mapping[str, Tensor], mask: Mask, base: Mapping[str, Tensor]) -> bool:
    """Whether packing these weights would save enough; all tensors are in memory."""
    under_mask = _masked(base.get, mask)
    same = sum(_size(tensor) for name, tensor in weights.items() if same_bits(tensor, under_mask(name)))
    return same - mask.entries / 8 >= _LEAST_SAVED * sum(map(_size, weights.values()))


def same_bits(tensor: Tensor, other: Tensor | None) -> bool:
    """Whether two tensors have the same type, shape and bits: -0.0 is not +0.0."""
    if other is None or (tensor.dtype, tensor.shape) != (other.dtype, other.shape):
        return False
    return torch.equal(_bits(tensor), _bits(other.to(tensor.device)))


def raw(tensor: Tensor) -> memoryview:
    """Return the bytes of a tensor, as in a safetensors file."""
    flat: np.ndarray = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return flat.data


def _bits(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().reshape(-1).view(_INTEGERS[tensor.element_size()])


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _masked(base: Lookup, mask: Mask) -> Lookup:
    """Return a lookup of the base's tensors, with +0.0 in the pruned entries."""

    def under_mask(name: str) -> Tensor | None:
        tensor, matrix = base(name), mask.get(name.removesuffix(".weight"))
        if tensor is None or matrix is None or not name.endswith(".weight"):
            return tensor
        if matrix.shape != tensor.shape:
            return None
        return tensor.masked_fill(~matrix.to(tensor.device), 0.0)

    return under_mask


@contextmanager
def _opened(place: Path) -> Iterator[Lookup]:
    """Yield the lookup of the tensors of a packed model, which needs the files while the block lasts."""
    with ExitStack() as stack:
        try:
            base = sorted((place / BASE).glob("*.safetensors"))
            if not base:
                raise FileNotFoundError(0, "no safetensors file there", str(place / BASE))
            changed = _in_files(stack, [place / PACKED / CHANGED])
            mask = Mask.load(place / MASK) if (place / MASK).exists() else Mask({})
            under_mask = _masked(_in_files(stack, base), mask)
        except (OSError, SafetensorError, DataError) as error:
            raise BackboneError(f"{place}: the model cannot be rebuilt: {_reason(error)}") from error

        def value(name: str) -> Tensor | None:
            found = changed(name)
            return under_mask(name) if found is None else found

        yield value


def _in_files(stack: ExitStack, paths: Sequence[Path]) -> Lookup:
    """Open safetensors files; return a lookup of their tensors."""
    where: dict[str, Any] = {}
    for path in paths:
        try:
            tensors = stack.enter_context(safe_open(path, framework="pt"))
        except SafetensorError as error:
            raise SafetensorError(f"{path}: {error}") from error
        where.update(dict.fromkeys(tensors.keys(), tensors))
    return lambda name: where[name].get_tensor(name) if name in where else None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        return file.read(size)


def _start(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


def _names(header: bytes) -> list[str]:
    """Return the names of the tensors of a safetensors file in the order of their bytes."""
    table = {name: each for name, each in json.loads(header).items() if name != "__metadata__"}
    return sorted(table, key=lambda name: (table[name]["data_offsets"], name))
