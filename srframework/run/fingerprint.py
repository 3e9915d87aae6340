"""Hashes of the inputs of stages. Moving a file or renaming a model does not change its hash.

A hash is a SHA-256 in hexadecimal. It covers everything that can change a bit of a result, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

import numpy as np
import torch
from transformers import AddedToken, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from srframework.contracts import Network, Split
from srframework.errors import BackboneError
from srframework.hashing import digest
from srframework.training.tokenization import backend_of, encode, padding, unchanged

_CONFIG_WITHOUT_EFFECT = frozenset(
    {
        *("_name_or_path", "name_or_path", "transformers_version", "architectures", "auto_map"),
        *("_commit_hash", "_post_init_done", "_auto_class", "model_type"),
        "dtype",  # counted with the tensors
        "problem_type",  # used only by the model's own loss
        *("finetuning_task", "task_specific_params"),
    }
)
"""Attributes of a configuration that do not change what a model computes."""

_CACHE_OF_DECODER = "use_cache"

_MODULE_WITHOUT_EFFECT = frozenset(
    {
        *vars(torch.nn.Module()),  # parameters, buffers and children are counted separately; hooks are functions
        *(name for name in dir(PreTrainedModel) if name.startswith("_")),
        *("_ep_plan", "_fsdp_plan", "_is_hf_initialized", "_use_kernels", "_weight_conversions"),
        *("_gradient_checkpointing_func", "_require_grads_hook", "_require_grads_hooks"),
        *("all_tied_weights_keys", "config", "generation_config", "gradient_checkpointing", "kernel_config"),
        *("loss_type", "name_or_path", "warnings_issued"),
    }
)
"""Attributes of a module that do not change what it computes, or are counted elsewhere."""

_TOKENIZER_WITHOUT_EFFECT = frozenset(
    {
        *("init_inputs", "init_kwargs", "name_or_path", "files_loaded", "backend", "is_local", "local_files_only"),
        *("chat_template", "response_template", "chat_control_tokens", "_processor_class", "_auto_map"),
        *("verbose", "deprecation_warnings", "_in_target_context_manager"),
        "model_max_length",  # every call sets the length
        *("clean_up_tokenization_spaces", "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"),
        *("_tokenizer", "_vocab"),  # counted as the backend
        *("_special_tokens_map", "_extra_special_tokens"),  # counted as strings
    }
)
"""Attributes of a tokenizer that do not change its output."""

_WORDS = 100
"""Entries of the vocabulary in one probe."""

_MOST_WORDS = 10_000
"""Entries of the vocabulary in all probes, evenly spaced. The limit is for CANINE, whose vocabulary is Unicode."""

_TEXTS = (
    *("", " ", "a", "A man is eating food.", "the man isn't eating; 12,345.67 foods (or 3/4)!", "AN UPPER-CASE Title"),
    *("  two  spaces\tand a tab\nand a line  ", "caf\u00e9 nai\u0308ve \u00c5ngstr\u00f6m \u0130stanbul Stra\u00dfe"),
    *("\u4e2d\u6587\u5b57 \u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4", "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5"),
    *("\ufb01ne \u2460 \uff21\uff22 \u00bd", "\U0001f600\u200d\U0001f9d1 \ue000 \ufffd \u200b\u00ad\u0000\u0007 end"),
    *("x" * 150, "unbelievablynonexistentword " + "q\u0301" * 40, "http://a.b/c?d=e&f#g <b>h</b> i_j @k \\l"),
)
_LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen " * 3
_LENGTHS = (8, 15, 32, 128)


def split_fingerprint(split: Split) -> str:
    """Hash the columns and rows of a split."""
    sha = hashlib.sha256(",".join(split.examples.column_names).encode())
    for batch in split.examples.with_format("arrow").iter(10_000):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            sha.update(repr(row).encode())
    return sha.hexdigest()


def network_fingerprint(network: Network, of_tokenizer: str | None = None) -> str:
    """Hash a network: weights, structure, configuration, tokenizer, and prunable matrices.

    The truncation and padding state of the tokenizer does not count, and does not change.
    ``of_tokenizer``: the hash of the tokenizer, if it is known.
    """
    model = network.model
    sha = hashlib.sha256()
    tensors = {**dict(model.named_buffers()), **model.state_dict()}
    for name, value in tensors.items():
        sha.update(f"{name}:{value.dtype}:{tuple(value.shape)};".encode())
        sha.update(_bytes(value))
    parts = [
        _structure(model),
        _config(model.config),
        tokenizer_fingerprint(network.tokenizer) if of_tokenizer is None else of_tokenizer,
        [list(item) for item in network.prunable.items()],
    ]
    sha.update(digest(parts).encode())
    return sha.hexdigest()


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash a tokenizer: its settings, its vocabulary, and its output for fixed texts, encoded as in training.

    Its name, its chat template and its length limit do not count; every call sets the length.

    Raises:
        BackboneError: Two calls give different output.
    """
    backend = backend_of(tokenizer)
    settings = [getattr(tokenizer, name, None) for name in ("padding_side", "truncation_side", "model_input_names")]
    special = [getattr(tokenizer, name, None) for name in ("pad_token_id", "pad_token_type_id", "unk_token_id")]
    document: list[Any] = [
        _name(type(tokenizer)),
        settings,
        special,
        bool(getattr(tokenizer, "split_special_tokens", False)),
        _vocabulary(tokenizer) if backend is None else _pipeline(backend),
        [[index, repr(token)] for index, token in sorted(tokenizer.added_tokens_decoder.items())],
    ]
    with unchanged(tokenizer), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fixed texts are unusual
        outputs = _outputs(tokenizer, by_vocabulary=backend is None)
        if outputs != _outputs(tokenizer, by_vocabulary=backend is None):
            raise BackboneError("backbone: expected a tokenizer that gives a text the same tokens each time")
        document.append(outputs)
    if backend is None or not type(tokenizer).__module__.startswith("transformers."):
        document.append(_state(tokenizer))  # custom code may have custom settings
    return digest(_plain(document))


def arrays_fingerprint(arrays: Iterable[np.ndarray]) -> str:
    """Hash arrays; their order counts."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype}:{array.shape};".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


# -- the model -----------------------------------------------------------------------------------


def _bytes(value: torch.Tensor) -> bytes:
    """Return the content of a tensor of any type, including types that NumPy lacks."""
    flat = value.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def _structure(model: PreTrainedModel) -> list[Any]:
    """Return the modules with their settings, such as a dropout rate, and which parameters are trainable."""
    modules = []
    for name, each in model.named_modules():
        config = getattr(each, "config", None)
        own_config = _plain(config) if config is not model.config else None
        attributes = _attributes(each, without=_MODULE_WITHOUT_EFFECT)
        modules.append([name, _name(type(each)), each.extra_repr(), attributes, own_config])
    return [modules, [[name, each.requires_grad] for name, each in model.named_parameters()]]


def _config(config: PreTrainedConfig) -> Any:
    """Return all attributes of a configuration, including the chosen attention implementation."""
    ignored = set(_CONFIG_WITHOUT_EFFECT)
    if not getattr(config, "is_decoder", False) and not getattr(config, "is_encoder_decoder", False):
        ignored.add(_CACHE_OF_DECODER)
    found = {name: value for name, value in vars(config).items() if name not in ignored}
    of_class = {"class": _name(type(config)), "model_type": type(config).model_type}
    return _plain(of_class | {f".{name}": value for name, value in found.items()})


# -- the tokenizer -------------------------------------------------------------------------------


def _pipeline(backend: Any) -> dict[str, Any]:
    """Return the encoding steps, without truncation and padding, which each call sets, and without the decoder."""
    steps: dict[str, Any] = json.loads(backend.to_str())
    return {name: step for name, step in steps.items() if name not in ("version", "truncation", "padding", "decoder")}


def _vocabulary(tokenizer: PreTrainedTokenizerBase) -> str:
    sha = hashlib.sha256()
    for word, index in sorted(tokenizer.get_vocab().items()):
        sha.update(f"{word!r}:{index};".encode())
    return sha.hexdigest()


def _outputs(tokenizer: PreTrainedTokenizerBase, by_vocabulary: bool) -> list[Any]:
    """Encode fixed texts and pairs, truncated to several lengths and in padded batches.

    ``by_vocabulary``: also encode the words of the vocabulary, for a tokenizer whose rules show only in its output.
    """
    special = list(dict.fromkeys(map(str, [*tokenizer.all_special_tokens, *tokenizer.added_tokens_encoder])))[:_WORDS]
    texts = [*_TEXTS, _LONG, *(f"one {token} two{token}three  {token.upper()} {token.lower()}" for token in special)]
    pairs = [[text, texts[-1 - index]] for index, text in enumerate(_TEXTS)]
    pairs += [[_LONG, _LONG], [_LONG, "one two"], ["one two", _LONG], ["", _LONG], [_LONG, ""]]
    found = [_output(tokenizer, [texts], length) for length in _LENGTHS]
    found += [_output(tokenizer, list(zip(*pairs, strict=True)), length) for length in _LENGTHS]
    if by_vocabulary:
        words = sorted(tokenizer.get_vocab())
        words = words[:: -(-len(words) // _MOST_WORDS) or 1]
        lines = [" ".join(words[start : start + _WORDS]) for start in range(0, len(words), _WORDS)]
        found.append(_output(tokenizer, [lines], 10 * _WORDS))
    return found


def _output(tokenizer: PreTrainedTokenizerBase, texts: Iterable[Iterable[str]], length: int) -> list[Any]:
    """Encode columns of texts; return the encoded rows and their padded batches."""

    def given(compute: Callable[[], Any]) -> Any:
        try:
            return _plain(compute())
        except Exception as error:  # noqa: BLE001 -- may never be needed in training; the failure itself counts
            return type(error).__name__

    def batches() -> list[Any]:
        rows = [dict(zip(encoded, row, strict=True)) for row in zip(*encoded.values(), strict=True)]
        return [dict(padding(tokenizer)(rows[start : start + 5])) for start in range(0, len(rows), 5)]

    encoded: Any = given(lambda: encode(tokenizer, [list(column) for column in texts], length))
    if not isinstance(encoded, Mapping):
        return [encoded]
    return [encoded, given(batches)]


def _state(tokenizer: PreTrainedTokenizerBase) -> Any:
    """Return the attributes of a tokenizer; for one in Python they are its rules."""
    named = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    special = {"named": named, "all": [str(token) for token in tokenizer.all_special_tokens]}
    return {"special": special, "own": _attributes(tokenizer, without=_TOKENIZER_WITHOUT_EFFECT)}


def _attributes(value: Any, inside: tuple[int, ...] = (), without: Set[str] = frozenset()) -> dict[str, Any]:
    """Return the attributes of an object, without caches and file locations."""
    counted = {
        name: each
        for name, each in vars(value).items()
        if name not in without and "cache" not in name and not name.endswith(("_file", "_path", "_dir"))
    }
    return {name: _plain(each, inside) for name, each in counted.items()}


# -- values --------------------------------------------------------------------------------------


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _plain(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """Convert a value to JSON that is the same in every process; ``inside``: the objects that contain it."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()  # a vocabulary may have half of a surrogate pair
    if isinstance(value, float):
        return int(value) if value.is_integer() else repr(value)
    if isinstance(value, torch.Tensor):
        return [str(value.dtype), list(value.shape), hashlib.sha256(_bytes(value)).hexdigest()]
    if isinstance(value, np.ndarray | np.generic):
        return [str(value.dtype), list(value.shape), repr(value.tolist())]
    if isinstance(value, torch.dtype | re.Pattern | AddedToken | bytes):
        return repr(value)
    if isinstance(value, PreTrainedTokenizerBase):
        return tokenizer_fingerprint(value)
    if isinstance(value, type):
        return _name(value)
    if id(value) in inside:
        return None
    inside = (*inside, id(value))
    if isinstance(value, Mapping):
        return {_word(key): _plain(each, inside) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, inside) for each in value]
    if isinstance(value, Set):
        return sorted(json.dumps(_plain(each, inside), sort_keys=True) for each in value)
    if isinstance(value, PreTrainedConfig):
        return _config(value)
    if callable(serialized := getattr(value, "serialized_model_proto", None)):  # of SentencePiece
        return hashlib.sha256(serialized()).hexdigest()
    if not hasattr(value, "__dict__") or callable(value):
        return [_name(type(value)), getattr(value, "__qualname__", None)]
    return [_name(type(value)), _attributes(value, inside)]


def _word(key: Any) -> str:
    """Convert a key of a mapping to a string; 1 and "1" stay different."""
    word = key if isinstance(key, str) else f"{type(key).__name__}:{key!r}"
    return word.encode(errors="backslashreplace").decode()
