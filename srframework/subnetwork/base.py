"""The base of a subnetwork: the model whose weights an artifact names by their content, and does not repeat."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, AutoConfig, PreTrainedConfig, PreTrainedModel

from srframework.errors import BackboneError
from srframework.hashing import digest
from srframework.run.packing import raw
from srframework.subnetwork.manifest import Base
from srframework.text import shorten

_NAMED = 3
"""Tensors that a message names."""


@dataclass(frozen=True)
class BaseModel:
    """A base, in memory.

    Attributes:
        name: For people.
        path: A directory or a name on the hub; None if it has none.
        weights: By name.
    """

    name: str
    path: str | None
    weights: Mapping[str, Tensor]

    def entry(self, names: list[str], artifact: Path) -> Base:
        """Return what the manifest of an artifact says about these tensors of the base.

        The path of a directory is relative to the artifact.
        """
        tensors = {name: tensor_hash(self.weights[name]) for name in names}
        is_local = self.path is not None and os.path.isdir(self.path)
        path = Path(os.path.relpath(str(self.path), artifact)).as_posix() if is_local else self.path
        return Base(name=self.name, path=path, sha256=digest(tensors), tensors=tensors)


def tensor_hash(tensor: Tensor) -> str:
    """Return the SHA-256 of type, shape and bytes of a tensor."""
    sha = hashlib.sha256(f"{tensor.dtype}:{tuple(tensor.shape)};".encode())
    sha.update(raw(tensor))
    return sha.hexdigest()


def check_base(expected: Base, weights: Mapping[str, Tensor], where: str) -> None:
    """Compare the weights of a model with the base of an artifact.

    Raises:
        BackboneError: A tensor is missing or another one; says how many, and names the first.
    """
    base = f"the base {expected.name} ({expected.sha256[:12]})"
    if missing := [name for name in expected.tensors if name not in weights]:
        raise BackboneError(f"{where}: expected {base}, got a model without {_listed(missing)}")
    if other := [name for name, sha in expected.tensors.items() if tensor_hash(weights[name]) != sha]:
        raise BackboneError(
            f"{where}: expected {base}, got a model with other weights: "
            f"{len(other)} of {len(expected.tensors)} tensors differ: {_listed(other)}"
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def base_weights(base: str | Path | PreTrainedModel, config: PreTrainedConfig) -> dict[str, Tensor]:
    """Return the weights of a base in float32.

    Args:
        base: A model, a directory, or a name on the hub.
        config: The configuration of the subnetwork.

    Raises:
        BackboneError: There is no such model, or it has no safetensors.
    """
    if isinstance(base, PreTrainedModel):
        return {name: each.detach() for name, each in base.state_dict().items()}
    try:
        model = model_class(config).from_pretrained(
            os.fspath(base), config=config, dtype=torch.float32, use_safetensors=True, ignore_mismatched_sizes=True
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise BackboneError(f"base {os.fspath(base)}: expected a model that can be loaded: {error}") from error
    return {name: each.detach() for name, each in model.state_dict().items()}


def configuration(table: Mapping[str, Any], where: str) -> PreTrainedConfig:
    """Build the configuration of a model from its config.json.

    Raises:
        BackboneError: transformers does not know the type of model, or a value is not valid.
    """
    settings = dict(table)
    kind = settings.pop("model_type", None)
    try:
        config: PreTrainedConfig = AutoConfig.for_model(kind, **settings)
        model_class(config)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        got = f"got {shorten(kind)}: {shorten(str(error), 200)}"
        raise BackboneError(f"{where}: expected the configuration of a sequence classifier, {got}") from error
    return config


def model_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """Return the class of the sequence classifier with this type of configuration."""
    return cast("type[PreTrainedModel]", MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)])


def build_model(config: PreTrainedConfig, weights: Mapping[str, Tensor], where: str) -> PreTrainedModel:
    """Build a sequence classifier from weights in memory.

    Raises:
        BackboneError: A weight is missing, or has another shape.
    """
    try:
        read: Any = model_class(config).from_pretrained(
            None,  # a path would make it read further files
            config=config,
            state_dict=dict(weights),
            dtype=torch.float32,
            output_loading_info=True,
        )
    except RuntimeError as error:
        raise BackboneError(f"{where}: expected the weights of the model: {error}") from error
    model, loaded = read
    if lost := sorted(loaded["missing_keys"]):
        raise BackboneError(f"{where}: expected every weight of the model, got none for {_listed(lost)}")
    found: PreTrainedModel = model
    return found
