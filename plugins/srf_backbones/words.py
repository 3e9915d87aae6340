"""The tokenizer of a model directory, from copies of the files that make one; nothing else can be reached from them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from srf_backbones.configuration import one_line
from srframework import BackboneError, ModelDirectory

_SETTINGS = "tokenizer_config.json"
_TABLES = ("tokenizer.json", "vocab.json", "added_tokens.json", "special_tokens_map.json")
_OTHERS = (
    *("vocab.txt", "merges.txt", "bpe.codes", "dict.txt"),
    *("spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model"),
)

FILES = ("config.json", _SETTINGS, *_TABLES, *_OTHERS)
"""What is read of a model besides its weights."""

_DROPPED = {
    *("auto_map", "init_inputs", "name_or_path", "vocab", "merges", "tokenizer_object", "chat_template", "backend"),
    *("processor_class", "is_local", "local_files_only", "subfolder", "token", "revision", "trust_remote_code"),
    *("files_loaded", "added_tokens", "post_processor", "tokenizer_padding", "tokenizer_truncation", "config"),
}
"""Keys that name files or code, or are no settings; whatever begins with ``_``, or ends as below, is dropped too."""

_ENDS = ("_file", "_files", "_path", "_dir", "_kwargs")

_TYPES: dict[str, tuple[type, ...]] = {
    "tokenizer_class": (str,),
    "model_max_length": (int, float),
    "padding_side": (str,),
    "truncation_side": (str,),
    "model_input_names": (list,),
    "added_tokens_decoder": (dict,),
    "do_lower_case": (bool,),
    "additional_special_tokens": (list,),
    "extra_special_tokens": (list, dict),
}

_NEEDED = ("pad", "unk", "cls")


def load_tokenizer(directory: ModelDirectory, config: PreTrainedConfig) -> PreTrainedTokenizerBase:
    """The tokenizer of a model.

    Raises:
        BackboneError: There is none, it cannot be made, or it lacks a token that a classifier needs.
    """
    settings = _settings(directory, _SETTINGS)
    with tempfile.TemporaryDirectory() as made:
        copies = Path(made)
        for name in _TABLES:
            if name == "special_tokens_map.json":
                _write(copies / name, _settings(directory, name))
            else:
                table = directory.json(name)
                _check_dropout(directory.path / name, table)
                _write(copies / name, table)
        _write(copies / _SETTINGS, settings)
        for name in _OTHERS:
            if (file := directory.file(name)) is not None:
                (copies / name).symlink_to(file)
        _check_vocabulary(directory, copies)
        try:
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                str(copies), config=config, trust_remote_code=False, local_files_only=True
            )
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # the panics of the tokenizers library are no Exception
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            reason = one_line(error).replace(made, str(directory.path))
            raise BackboneError(f"{directory.path}: its files make no tokenizer: {reason}") from error
        _forget(tokenizer, made, str(directory.path))
    return tokenizer


def _settings(directory: ModelDirectory, name: str) -> dict[str, Any] | None:
    said = directory.json(name)
    if said is None:
        return None
    where = directory.path / name
    for key, kinds in _TYPES.items():
        if said.get(key) is not None and not isinstance(said[key], kinds):
            expected = " or ".join(_KINDS[kind] for kind in kinds)
            raise BackboneError(f"{where}: {key}: expected {expected}, got {one_line(repr(said[key]))[:60]}")
    for key in ("padding_side", "truncation_side"):
        if said.get(key) not in (None, "left", "right"):
            raise BackboneError(f"{where}: {key}: expected 'left' or 'right', got {said[key][:60]!r}")
    for key, value in said.items():
        if key.endswith("_token") and not key.startswith("add_") and not isinstance(value, str | dict | None):
            raise BackboneError(f"{where}: {key}: expected a token, got {one_line(repr(value))[:60]}")
    versioned = said.get("fast_tokenizer_files")
    if versioned not in (None, ["tokenizer.json"]):
        raise BackboneError(f"{where}: fast_tokenizer_files: expected ['tokenizer.json'], got {versioned!r:.60}")
    return {key: value for key, value in said.items() if not _is_dropped(key)}


_KINDS = {str: "a string", int: "a whole number", float: "a number", list: "an array", dict: "a table", bool: "a bool"}


def _is_dropped(key: str) -> bool:
    return key in _DROPPED or key.startswith("_") or key.endswith(_ENDS)


def _write(path: Path, table: Mapping[str, Any] | None) -> None:
    if table is not None:
        path.write_text(json.dumps(table), encoding="utf-8")


def _check_dropout(where: Path, table: Mapping[str, Any] | None) -> None:
    """Refuse BPE-dropout, whose random numbers come from no seed."""
    model = (table or {}).get("model")
    if isinstance(model, dict) and model.get("dropout") not in (None, 0):
        got = one_line(repr(model["dropout"]))[:60]
        raise BackboneError(
            f"{where}: model.dropout must be 0, since a text must have the same tokens each time (got {got})"
        )


def _check_vocabulary(directory: ModelDirectory, copies: Path) -> None:
    """Refuse a list of words that is empty, or has one twice, where it is what the tokenizer is made of."""
    file, where = copies / "vocab.txt", directory.path / "vocab.txt"
    if (copies / "tokenizer.json").exists() or not file.exists():
        return
    try:
        words = file.read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise BackboneError(f"{where}: expected words in UTF-8, a line each: {error}") from error
    if not any(words):
        raise BackboneError(f"{where}: expected words, a line each, got an empty file")
    seen: dict[str, int] = {}
    for number, word in enumerate(words, 1):
        if word in seen:
            expected = f"expected every word once, got {word[:60]!r} again, as in line {seen[word]}"
            raise BackboneError(f"{where}:{number}: {expected}")
        seen[word] = number


def _forget(tokenizer: PreTrainedTokenizerBase, made: str, path: str) -> None:
    """Have the tokenizer name the model's directory, not that of the copies, which is gone by then."""
    for of_the_call in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(of_the_call, None)
    for table in (vars(tokenizer), tokenizer.init_kwargs):
        for key, value in table.items():
            if isinstance(value, str) and value.startswith(made):
                table[key] = path + value[len(made) :]


def check_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that lacks a token that a classifier needs.

    Raises:
        BackboneError: It has none to pad with, for an unknown word, or to classify by; says which.
    """
    for kind in _NEEDED:
        token = getattr(tokenizer, f"{kind}_token")
        if token is None or token not in tokenizer.get_vocab():
            got = "none" if token is None else f"{token!r:.60}, which is not in its vocabulary"
            raise BackboneError(f"expected a tokenizer with a {kind}_token, got {got}")
