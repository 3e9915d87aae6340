"""Read masks that other programs wrote: checkpoints of torch.nn.utils.prune, and files that only have masks.

Both are files of ``torch.save`` with a table from names to tensors. A checkpoint has ``NAME.weight_mask`` beside
``NAME.weight_orig``; a file of masks, such as the authors' ``mask.pt``, has ``NAME.weight`` or ``NAME.weight_mask``.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from srframework.errors import BackboneError, DataError
from srframework.files import open_file
from srframework.masks import Mask
from srframework.run.model_directory import ModelDirectory
from srframework.subnetwork.base import BaseModel
from srframework.subnetwork.manifest import Manifest
from srframework.subnetwork.writing import Content, write_artifact
from srframework.text import choices_text, listed, nearest, shorten

_MASK, _ORIGINAL, _WEIGHT = ".weight_mask", ".weight_orig", ".weight"


@dataclass(frozen=True)
class Imported:
    """A mask that became an artifact.

    Attributes:
        path: The directory of the artifact.
        mask: The mask.
        manifest: Its manifest.
        other_weights: Matrices whose weights in the checkpoint are not those of the model; they are not imported.
    """

    path: Path
    mask: Mask
    manifest: Manifest
    other_weights: tuple[str, ...]


def import_mask(file: Path, model: Path, out: Path) -> Imported:
    """Write the artifact of a foreign mask on the weights of a model.

    Args:
        file: The mask or checkpoint; no code in it is run.
        model: The directory of the model.
        out: A path that does not exist.

    Raises:
        DataError: The file is no mask of the model; names the matrix.
        BackboneError: The model is missing or damaged.
    """
    directory = ModelDirectory(model)
    config = directory.json("config.json")
    if config is None:
        got = "a directory without config.json" if model.is_dir() else "no such directory"
        raise BackboneError(f"{model}: expected the directory of a model, got {got}")
    weights = directory.weights()
    table = _read(file)
    mask = _checked(table, {name: tuple(each.shape) for name, each in weights.items()}, file)
    pruned = dict(weights)
    other = []
    for name, kept in mask.items():
        pruned[name + _WEIGHT] = weights[name + _WEIGHT].masked_fill(~kept, 0.0)
        original = _original(table, name)
        if original is not None and not torch.equal(original.float().masked_fill(~kept, 0.0), pruned[name + _WEIGHT]):
            other.append(name)
    base = BaseModel(model.resolve().name, str(model), weights)
    about = {"imported": file.name, "model": model.resolve().name}
    manifest = write_artifact(Content(pruned, [mask], config, base, about=about), out)
    return Imported(out, mask, manifest, tuple(other))


def _read(file: Path) -> dict[str, Tensor]:
    try:
        with open_file(file) as opened:
            content: Any = torch.load(opened, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{file}: the file cannot be read: {error.strerror or error}") from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{file}: expected a file of torch.save that has only tensors, which cannot be read: {shorten(reason, 200)}"
        ) from error
    if not isinstance(content, Mapping):
        raise DataError(f"{file}: expected a table from names to tensors, got {shorten(type(content).__name__)}")
    wrong = [name for name, each in content.items() if not (isinstance(name, str) and isinstance(each, Tensor))]
    if wrong:
        got = f"{shorten(wrong[0])} with {shorten(type(content[wrong[0]]).__name__)}"
        raise DataError(f"{file}: expected a table from names to tensors, got {got}")
    return dict(content)


def _checked(table: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], file: Path) -> Mask:
    """Return the mask, by the names of the model's modules."""
    suffix = _MASK if any(name.endswith(_MASK) for name in table) else _WEIGHT
    named = {name: each for name, each in table.items() if name.endswith(suffix)}
    if not named:
        raise DataError(
            f"{file}: expected tensors NAME{_MASK} or NAME{_WEIGHT}, got {listed(list(table)[:3]) or 'none'}"
        )
    matrices = [
        name.removesuffix(_WEIGHT) for name, shape in shapes.items() if name.endswith(_WEIGHT) and len(shape) == 2
    ]
    found: dict[str, Tensor] = {}
    for full, values in named.items():
        name = _module(full.removesuffix(suffix), matrices, file)
        if name in found:
            raise DataError(f"{file}: expected one mask of {name}, got two; the second is {full}")
        expected = shapes[name + _WEIGHT]
        if tuple(values.shape) != expected:
            raise DataError(f"{file}: {full}: expected the shape {expected} of the model, got {tuple(values.shape)}")
        other = values[(values != 0) & (values != 1)]
        if len(other):
            raise DataError(f"{file}: {full}: expected only 0 and 1, got {other[0].item():g} and {len(other) - 1} more")
        found[name] = values != 0
    return Mask(found)


def _module(name: str, matrices: list[str], file: Path) -> str:
    """Return the matrix of the model; masks of an encoder may lack the prefix that it has inside a classifier."""
    near = [each for each in matrices if each == name or each.endswith(f".{name}") or name.endswith(f".{each}")]
    if len(near) != 1:
        hint = choices_text(nearest(name, matrices), matrices, most=3)
        raise DataError(f"{file}: the model has no matrix {shorten(name, 100)}{hint}")
    return near[0]


def _original(table: Mapping[str, Tensor], name: str) -> Tensor | None:
    found = [
        each for full, each in table.items() if full == name + _ORIGINAL or (name + _ORIGINAL).endswith("." + full)
    ]
    return found[0] if found else None
