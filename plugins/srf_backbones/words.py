"""Loads the tokenizer of a model directory from copies of its files, so that no other file can be reached."""

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
"""Files of a model that are read, besides its weights."""

_DROPPED = {
    *("auto_map", "init_inputs", "name_or_path", "vocab", "merges", "tokenizer_object", "chat_template", "backend"),
    *("processor_class", "is_local", "local_files_only", "subfolder", "token", "revision", "trust_remote_code"),
    *("files_loaded", "added_tokens", "post_processor", "tokenizer_padding", "tokenizer_truncation", "config"),
}
"""Ignored keys: those that name files or code. Keys that start with ``_`` or end with one of ``_ENDS`` too."""

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


def load_tokenizer(directory: ModelDirectory, config: PreTrainedConfig) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model.

    Raises:
        BackboneError: A file of the tokenizer is missing, damaged or refused; names file and key.
    """
    settings = _settings(directory, _SETTINGS)
    with tempfile.TemporaryDirectory() as temporary:
        copies = Path(temporary)
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
        except BaseException as error:  # a panic of the tokenizers library is not an Exception
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            reason = one_line(error).replace(temporary, str(directory.path))
            raise BackboneError(f"{directory.path}: the tokenizer cannot be loaded: {reason}") from error
        _rename(tokenizer, temporary, str(directory.path))
    return tokenizer


def _settings(directory: ModelDirectory, name: str) -> dict[str, Any] | None:
    stored = directory.json(name)
    if stored is None:
        return None
    where = directory.path / name
    for key, kinds in _TYPES.items():
        if stored.get(key) is not None and not isinstance(stored[key], kinds):
            expected = " or ".join(_KINDS[kind] for kind in kinds)
            raise BackboneError(f"{where}: {key}: expected {expected}, got {one_line(repr(stored[key]))[:60]}")
    for key in ("padding_side", "truncation_side"):
        if stored.get(key) not in (None, "left", "right"):
            raise BackboneError(f"{where}: {key}: expected 'left' or 'right', got {stored[key][:60]!r}")
    for key, value in stored.items():
        if key.endswith("_token") and not key.startswith("add_") and not isinstance(value, str | dict | None):
            raise BackboneError(f"{where}: {key}: expected a token, got {one_line(repr(value))[:60]}")
    versioned = stored.get("fast_tokenizer_files")
    if versioned not in (None, ["tokenizer.json"]):
        raise BackboneError(f"{where}: fast_tokenizer_files: expected ['tokenizer.json'], got {versioned!r:.60}")
    return {key: value for key, value in stored.items() if not _is_dropped(key)}


_KINDS = {str: "a string", int: "an integer", float: "a number", list: "an array", dict: "a table", bool: "a bool"}


def _is_dropped(key: str) -> bool:
    return key in _DROPPED or key.startswith("_") or key.endswith(_ENDS)


def _write(path: Path, table: Mapping[str, Any] | None) -> None:
    if table is not None:
        path.write_text(json.dumps(table), encoding="utf-8")


def _check_dropout(where: Path, table: Mapping[str, Any] | None) -> None:
    """Refuse BPE dropout: its random numbers do not depend on our seed."""
    model = (table or {}).get("model")
    if isinstance(model, dict) and model.get("dropout") not in (None, 0):
        got = one_line(repr(model["dropout"]))[:60]
        raise BackboneError(
            f"{where}: model.dropout must be 0, since a text must always have the same tokens (got {got})"
        )


def _check_vocabulary(directory: ModelDirectory, copies: Path) -> None:
    """Refuse a vocab.txt that is empty or has duplicate words, if the tokenizer is loaded from it."""
    file, where = copies / "vocab.txt", directory.path / "vocab.txt"
    if (copies / "tokenizer.json").exists() or not file.exists():
        return
    try:
        words = file.read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise BackboneError(f"{where}: expected one word per line, in UTF-8: {error}") from error
    if not any(words):
        raise BackboneError(f"{where}: expected one word per line, got an empty file")
    seen: dict[str, int] = {}
    for number, word in enumerate(words, 1):
        if word in seen:
            expected = f"expected every word once, got {word[:60]!r} again (first in line {seen[word]})"
            raise BackboneError(f"{where}:{number}: {expected}")
        seen[word] = number


def _rename(tokenizer: PreTrainedTokenizerBase, temporary: str, path: str) -> None:
    """Replace the path of the deleted copies by the path of the model, in the tokenizer's attributes."""
    for argument in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(argument, None)
    for table in (vars(tokenizer), tokenizer.init_kwargs):
        for key, value in table.items():
            if isinstance(value, str) and value.startswith(temporary):
                table[key] = path + value.removeprefix(temporary)
