"""Reads the directory of a saved model.

A model directory may come from anyone. Only regular files inside the directory are opened (or, in the Hugging Face
cache, whose snapshots are links, files of the same repository). Weights are read only from safetensors, never from
a pickle.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from srframework.errors import BackboneError
from srframework.text import shorten
from srframework.training.finite import not_finite

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"

_MOST_JSON = 256 * 2**20
"""Bytes. The largest published tokenizer.json has a tenth of this."""

_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Type of a weight -> its bytes."""

_NO_WEIGHTS = ("position_ids", "token_type_ids", "num_batches_tracked")
"""Integer tensors of old checkpoints, which a model computes itself."""


class ModelDirectory:
    """The directory of a saved model, for backbones.

    Args:
        path: The directory.

    Attributes:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str) -> Path | None:
        """Return the regular file with this name, with links resolved; None if it does not exist.

        Raises:
            BackboneError: It is not a regular file, or a link that leads outside the directory.
        """
        path = self.path / name
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            if path.is_symlink():
                raise BackboneError(f"{path}: expected a file, got a link to nothing") from None
            return None
        except OSError as error:
            raise BackboneError(f"{path}: expected a file that can be read: {error.strerror or error}") from error
        if not stat.S_ISREG(mode):
            kind = "a directory" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
            raise BackboneError(f"{path}: expected a file, got {kind}")
        found = path.resolve()
        if not any(found.is_relative_to(home) for home in self._homes()):
            raise BackboneError(f"{path}: expected a file inside the directory, got a link to {found}")
        return found

    def json(self, name: str) -> dict[str, Any] | None:
        """Read a JSON table; return None if the file does not exist.

        Raises:
            BackboneError: It is not a regular file of the directory, not JSON, or not a table; shows its content.
        """
        path, where = self.file(name), self.path / name
        if path is None:
            return None
        try:
            if (size := path.stat().st_size) > _MOST_JSON:
                raise BackboneError(f"{where}: expected at most {_MOST_JSON} bytes, got {size}")
            value = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BackboneError(f"{where}: expected a file that can be read: {error.strerror or error}") from error
        except RecursionError as error:
            raise BackboneError(f"{where}: not a valid JSON file: nested too deeply") from error
        except ValueError as error:
            raise BackboneError(f"{where}: not a valid JSON file: {error}") from error
        if not isinstance(value, dict):
            raise BackboneError(f"{where}: expected a JSON table, got {shorten(value)}")
        return value

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every weight by name, from the headers of the files.

        Raises:
            BackboneError: See :meth:`weights`.
        """
        return {name: tuple(tensors.get_slice(name).get_shape()) for name, tensors in self._weights()}

    def weight_bytes(self) -> dict[str, int]:
        """Return the bytes of an entry of every weight by name, from the headers of the files.

        Raises:
            BackboneError: See :meth:`weights`.
        """
        return {name: _FLOATS[tensors.get_slice(name).get_dtype()] for name, tensors in self._weights()}

    def files(self) -> list[Path]:
        """Return the files with the weights.

        Raises:
            BackboneError: No such file exists.
        """
        return self._weight_files()

    def weights(self) -> dict[str, Tensor]:
        """Read the weights into memory, by name, in float32; later changes of the files have no effect.

        Reads ``model.safetensors``, or the files that ``model.safetensors.index.json`` names; nothing else, nothing
        outside the directory, and never a pickle.

        Raises:
            BackboneError: No such file exists, or one is damaged or has unsupported values (quantised, integers,
                NaN); names file and tensor.
        """
        read = {name: tensors.get_tensor(name).to(torch.float32, copy=True) for name, tensors in self._weights()}
        if (found := not_finite(read)) is not None:
            raise BackboneError(f"{self.path}: expected finite weights, got {found}")
        return read

    def _weights(self) -> Iterator[tuple[str, Any]]:
        """Yield the name of every weight with the open file that contains it."""
        found = 0
        for file in self._weight_files():
            where = self._shown(file)
            with _opened(where, file) as tensors:
                for name in tensors.keys():  # noqa: SIM118 -- no mapping
                    kind = tensors.get_slice(name).get_dtype()
                    if kind in _FLOATS:
                        found += 1
                        yield name, tensors
                    elif name.rpartition(".")[2] not in _NO_WEIGHTS:
                        expected = "expected weights of type F32, F64, F16 or BF16"
                        raise BackboneError(f"{where}: {shorten(name, 120)}: {expected}, got {kind}")
        if not found:
            raise BackboneError(f"{self.path}: expected weights, got files without any")

    def _weight_files(self) -> list[Path]:
        if (single := self.file(WEIGHTS)) is not None:
            return [single]
        index, where = self.json(INDEX), self.path / INDEX
        if index is None:
            expected = f"no file named {WEIGHTS}, and no {INDEX}; weights are read only from safetensors"
            raise BackboneError(f"{self.path}: {expected}")
        named = index.get("weight_map")
        if not isinstance(named, dict) or not named or not all(isinstance(each, str) for each in named.values()):
            raise BackboneError(f"{where}: weight_map: expected a table from tensors to files, got {shorten(named)}")
        files = []
        for name in sorted(set(named.values())):
            if not re.fullmatch(r"(?!\.)[^/\\\x00-\x1f]{1,240}\.safetensors", name):
                expected = "expected files of this directory whose names end in .safetensors"
                raise BackboneError(f"{where}: weight_map: {expected}, got {shorten(name)}")
            if (file := self.file(name)) is None:
                raise BackboneError(f"{where}: weight_map: file not found: {shorten(name)}")
            files.append(file)
        return files

    def _shown(self, file: Path) -> Path:
        """Return a file's path in the directory, not the target of its link."""
        return next((each for each in sorted(self.path.iterdir()) if each.resolve() == file), file)

    def _homes(self) -> list[Path]:
        """Return the directories that may contain the files; a snapshot in the hub's cache has blobs elsewhere."""
        home = self.path.resolve()
        repository = home.parent.parent
        is_snapshot = home.parent.name == "snapshots" and repository.name.startswith("models--")
        return [home, repository / "blobs"] if is_snapshot else [home]


@contextmanager
def _opened(where: Path, file: Path) -> Iterator[Any]:
    try:
        with safe_open(file, framework="pt") as tensors:
            yield tensors
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        raise BackboneError(f"{where}: expected a complete safetensors file: {error}") from error
