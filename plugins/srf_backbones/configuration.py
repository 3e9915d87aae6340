"""Reads the shape of a model from config.json. Keys that would open files or run code are refused or dropped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from srframework import BackboneError, ModelDirectory, did_you_mean, nearest

CONFIG, _ADAPTER = "config.json", "adapter_config.json"

_SIZES = {
    "hidden_size": ("hidden_size", "dim", "d_model", "n_embd"),
    "num_hidden_layers": ("num_hidden_layers", "n_layers", "n_layer", "num_layers"),
    "num_attention_heads": ("num_attention_heads", "n_heads", "n_head"),
    "intermediate_size": ("intermediate_size", "hidden_dim", "n_inner"),
    "vocab_size": ("vocab_size",),
    "max_position_embeddings": ("max_position_embeddings", "n_positions"),
    "type_vocab_size": ("type_vocab_size",),
    "embedding_size": ("embedding_size",),
    "num_hidden_groups": ("num_hidden_groups",),
    "inner_group_num": ("inner_group_num",),
}
"""Size -> its key in the configurations of different architectures; all are integers."""

_MAY_BE_0 = {"type_vocab_size"}  # DeBERTa has none

_MOST_LAYERS = 1000
"""Limit, since layers are created as Python objects before the weights are checked."""

_MODULES = ("num_hidden_layers", "num_hidden_groups", "inner_group_num")

_REFUSED = {
    "quantization_config": None,
    "compression_config": None,
    "transformers_weights": "model.safetensors",
    "configuration_files": None,
    "fusion_config": None,
    "is_decoder": False,
    "add_cross_attention": False,
    "is_encoder_decoder": False,
}
"""Key that would read other files or build another model -> the only value that is accepted besides null."""

_DROPPED = {
    *("auto_map", "custom_pipelines", "name_or_path", "kernel_config", "distributed_config", "device_map"),
    *("attn_implementation", "experts_implementation", "architectures", "transformers_version", "dtype", "torch_dtype"),
    *("return_dict", "output_hidden_states", "output_attentions", "use_return_dict", "torchscript"),
    *("chunk_size_feed_forward", "problem_type", "use_cache", "gguf_file", "id2label", "label2id", "num_labels"),
    *("pruned_heads", "tie_encoder_decoder", "quantization", "tp_plan", "base_model_tp_plan", "generation_config"),
}
"""Ignored keys: those that we set, and those that name files, code or kernels. Keys that start with ``_`` too."""


def read_configuration(directory: ModelDirectory) -> dict[str, Any]:
    """Read and check config.json of a model directory.

    Raises:
        BackboneError: The file is missing, or does not describe a supported encoder; names file and key.
    """
    where = directory.path / CONFIG
    try:
        stored = directory.json(CONFIG)
    except BackboneError as error:
        raise BackboneError(f"Unrecognized model: {error}") from error
    if stored is None:
        raise BackboneError(f"Unrecognized model: expected a {CONFIG}, got a directory without one")
    kind = stored.get("model_type")
    if not isinstance(kind, str):
        raise BackboneError(f"Unrecognized model: {where}: model_type: expected a string such as 'bert', {_got(kind)}")
    if kind not in CONFIG_MAPPING or kind not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        near = nearest(kind, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)
        raise BackboneError(
            f"{where}: expected an encoder for classification such as bert or roberta, "
            f"got the model type `{kind[:60]}`{did_you_mean(near)}"
        )
    for key, allowed in _REFUSED.items():
        if stored.get(key) not in (None, allowed):
            expected = "no such key" if allowed is None else repr(allowed)
            raise BackboneError(f"{where}: {key}: expected {expected}, {_got(stored[key])}")
    for key, number in _not_finite(stored):
        raise BackboneError(f"{where}: {key}: expected a finite number, got {number}")
    if directory.file(_ADAPTER) is not None:
        raise BackboneError(
            f"{directory.path / _ADAPTER}: expected a model without an adapter; merge the adapter into the model"
        )
    _check_sizes(where, stored)
    _check_shares(where, stored)
    if stored.get("pad_token_id") is not None:
        _check_padding(where, stored["pad_token_id"], stored.get("vocab_size"))
    return stored


def make_configuration(
    directory: ModelDirectory, stored: Mapping[str, Any], template: PreTrainedConfig, settings: Mapping[str, Any]
) -> PreTrainedConfig:
    """Make the configuration of transformers from config.json; ``settings`` override its values.

    Args:
        directory: The directory of the model.
        stored: The content of config.json, from :func:`read_configuration`.
        template: A default configuration of the same model type.
        settings: Attributes of the configuration -> values.

    Raises:
        BackboneError: transformers refuses a value; gives its reason.
    """
    fields, renamed = set(vars(template)), set(getattr(type(template), "attribute_map", ()))

    def is_used(key: str) -> bool:
        is_ours = key in _DROPPED or key in _REFUSED or key.startswith("_") or "_implementation" in key
        names_a_file = key.endswith(("_file", "_files", "_path", "_dir"))
        # A key with the name of a method would overwrite the method.
        is_free = key in fields or key in renamed or not hasattr(template, key)
        return not is_ours and not names_a_file and is_free and key != "model_type"

    table = {key: value for key, value in stored.items() if is_used(key)} | dict(settings)
    if type(template).sub_configs:
        expected = "expected one encoder, got a model of several parts"
        raise BackboneError(f"{directory.path / CONFIG}: {expected} ({', '.join(type(template).sub_configs)})")
    try:
        return type(template).from_dict(table)
    except MemoryError:
        raise
    except Exception as error:  # transformers and its validators have no common base class
        raise BackboneError(f"{directory.path / CONFIG}: {one_line(error)}") from error


def check_padding(directory: ModelDirectory, config: PreTrainedConfig) -> None:
    """Refuse a padding token without a row in the embeddings.

    Raises:
        BackboneError: The token is not an integer, or is out of range.
    """
    words = getattr(config, "vocab_size", None)
    _check_padding(directory.path / CONFIG, getattr(config, "pad_token_id", None), words)


def _check_padding(where: Path, token: Any, words: int | None) -> None:
    if type(token) is not int or token < 0 or (words is not None and token >= words):
        most = "the last" if words is None else words - 1
        raise BackboneError(f"{where}: pad_token_id: expected a token in [0, {most}], {_got(token)}")


def stored_labels(directory: ModelDirectory, stored: Mapping[str, Any]) -> list[str]:
    """List the labels of config.json, in the order of the model's outputs; empty if it has none.

    Raises:
        BackboneError: ``id2label`` is not a table from numbers to names.
    """
    named = stored.get("id2label")
    if named is None:
        return []
    where = f"{directory.path / CONFIG}: id2label"
    expected = "expected a table from the numbers of outputs to names"
    if not isinstance(named, dict):
        raise BackboneError(f"{where}: {expected}, {_got(named)}")
    try:
        numbered = {int(index): name for index, name in named.items()}
    except ValueError as error:
        raise BackboneError(f"{where}: {expected}, {_got(named)}") from error
    if not all(isinstance(name, str) for name in numbered.values()):
        raise BackboneError(f"{where}: {expected}, {_got(named)}")
    return [numbered[index] for index in sorted(numbered)]


def _check_sizes(where: Path, stored: Mapping[str, Any]) -> None:
    sizes: dict[str, tuple[str, int]] = {}
    for size, names in _SIZES.items():
        for name in names:
            value = stored.get(name)
            if value is None:
                continue
            least = 0 if size in _MAY_BE_0 else 1
            if type(value) is not int or value < least:
                raise BackboneError(f"{where}: {name}: expected an integer of at least {least}, {_got(value)}")
            if size in _MODULES and value > _MOST_LAYERS:
                raise BackboneError(f"{where}: {name}: expected at most {_MOST_LAYERS}, {_got(value)}")
            if value > 2**40:
                raise BackboneError(f"{where}: {name}: expected less than 2^40, {_got(value)}")
            sizes[size] = name, value
    if "hidden_size" in sizes and "num_attention_heads" in sizes:
        (wide, width), (many, heads) = sizes["hidden_size"], sizes["num_attention_heads"]
        if width % heads:
            raise BackboneError(f"{where}: {many}: expected a number that divides {wide} ({width}), got {heads}")


def _check_shares(where: Path, stored: Mapping[str, Any]) -> None:
    for name, value in stored.items():
        if "dropout" in name and not isinstance(value, bool) and isinstance(value, int | float) and not 0 <= value < 1:
            raise BackboneError(f"{where}: {name}: expected a share in [0, 1), {_got(value)}")
        if name in ("layer_norm_eps", "layernorm_eps", "initializer_range") and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1
        ):
            raise BackboneError(f"{where}: {name}: expected a number in [0, 1], {_got(value)}")


def _not_finite(node: Any, at: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(node, float) and not math.isfinite(node):
        yield at or "a value", node
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        yield from _not_finite(value, f"{at}.{key}" if at else str(key))


def _got(value: Any) -> str:
    text = repr(value)
    return f"got {text if len(text) <= 60 else text[:59] + '…'}"


def one_line(error: object) -> str:
    """Format an error or a value for a message: one line, at most 600 characters."""
    return " ".join(str(error).split())[:600] or type(error).__name__
