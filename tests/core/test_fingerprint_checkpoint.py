"""A checkpoint's files and the key of θ_pt: what changes a bit changes the key, and what cannot leaves it.

The keys of the files are enumerated from the files themselves and from the classes that read them.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer, PreTrainedTokenizerBase

from srf_backbones.encoder import HuggingFaceEncoder
from srf_backbones.options import EncoderOptions
from srframework import BackboneError, Network
from srframework.fingerprint import network_fingerprint
from srframework.tokenization import encode, padding

LABELS = ("no", "yes")
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a man woman is eat ##ing not the food in park caf\u00e9 cafe \u4e2d . , [ ] cls sep"
TEXTS = [
    ["A man is eating the food in the park, not a woman.", "[SEP] the woman", "caf\u00e9 \u4e2d a", "man is a"],
    ["the Man is NOT eating . [CLS] [cls] in", "a", "a man is eating , is eating , is eating", ""],
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A small encoder without a classifier; its tokenizer ships truncation and padding."""
    path = tmp_path_factory.mktemp("checkpoint")
    vocabulary = dict.fromkeys(WORDS.split())
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(vocabulary)}, model_max_length=32)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=32,
        pad_token_id=0,
    )
    torch.manual_seed(3)
    BertForSequenceClassification(config).bert.save_pretrained(path)
    tokenizer.backend_tokenizer.enable_truncation(24)
    tokenizer.backend_tokenizer.enable_padding(length=24)
    tokenizer.save_pretrained(path)
    return path


def network_of(path: Path) -> Network:
    return HuggingFaceEncoder(EncoderOptions(path=str(path))).load(LABELS, seed=5)


def bits(network: Network) -> str:
    """What two steps of a training make of the weights, and the logits before them."""
    model, sha = network.model, hashlib.sha256()
    encoded = encode(network.tokenizer, TEXTS, 16)
    rows = [dict(zip(encoded, row, strict=True)) for row in zip(*encoded.values(), strict=True)]
    batch = dict(padding(network.tokenizer)(rows))
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-2)
    model.eval()
    with torch.no_grad():
        sha.update(model(**batch).logits.numpy().tobytes())
    model.train()
    torch.manual_seed(7)
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(model(**batch).logits, torch.tensor([0, 1, 0, 1]))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    for value in model.state_dict().values():
        sha.update(value.numpy().tobytes())
    return sha.hexdigest()


def others(value: Any) -> list[Any]:
    """Other values for a key of a file, by the type of the one that is there."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value * 2, 1, 0]
    if isinstance(value, float):
        return [value / 2, value * 3, 0.0, 0.5]
    if isinstance(value, str):
        return [{"right": "left", "gelu": "relu"}.get(value, value), "[MASK]", "a", "gelu_new", f"{value}x"]
    if isinstance(value, list):
        return [value[::-1], value[:1], [*value, "token_type_ids"]]
    if isinstance(value, dict):
        return [{}, value | {"more": "a"}]
    return [True, 1, 0.3, "a", ["input_ids", "attention_mask"], {"a": 1}]


def changed(path: Path, name: str, key: str, value: Any, to: Path) -> Path:
    """A copy of a checkpoint with another value of one key of one file."""
    shutil.copytree(path, to)
    content = json.loads((to / name).read_text())
    (to / name).write_text(json.dumps(content | {key: value}))
    return to


def config_keys(path: Path) -> dict[str, Any]:
    """The keys of config.json, with those that the class knows and the file does not name."""
    network = network_of(path)
    of_class = {name: value for name, value in vars(network.model.config).items() if name != "_name_or_path"}
    of_base = {name.removeprefix("_").removesuffix("_internal"): of_class[name] for name in of_class}
    more = {"quantization_config": None, "torch_dtype": "float32", "gradient_checkpointing": False, "num_labels": 2}
    return more | of_base | of_class | json.loads((path / "config.json").read_text())


def tokenizer_keys(path: Path) -> dict[str, Any]:
    """The keys of tokenizer_config.json, with those that the class and its bases know."""
    tokenizer = network_of(path).tokenizer
    keys = {name.removeprefix("_"): value for name, value in vars(tokenizer).items()}
    for kind in type(tokenizer).__mro__:
        if issubclass(kind, PreTrainedTokenizerBase) and "__init__" in vars(kind):
            keys |= dict.fromkeys(inspect.signature(kind.__init__).parameters)
    keys |= dict.fromkeys([*tokenizer.SPECIAL_TOKENS_ATTRIBUTES, "extra_special_tokens", "additional_special_tokens"])
    keys |= {"padding_side": "right", "truncation_side": "right", "split_special_tokens": False}
    keys |= {"model_input_names": tokenizer.model_input_names, "name_or_path": "a", "tokenizer_class": "BertTokenizer"}
    keys |= {"pad_token_type_id": 0, "do_basic_tokenize": True, "never_split": ["man"], "add_prefix_space": False}
    plain = {name: value for name, value in keys.items() if value is None or isinstance(value, bool | int | str | list)}
    plain.pop("self", None)
    return plain | json.loads((path / "tokenizer_config.json").read_text())


def variants(path: Path, name: str, keys: dict[str, Any], places: Iterator[Path]) -> Iterator[tuple[str, Network]]:
    """Each checkpoint with one value changed that can be loaded."""
    for key, value in keys.items():
        for other in others(value):
            if other == value and type(other) is type(value):
                continue
            place = changed(path, name, key, other, next(places))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    yield f"{name}: {key} = {other!r}", network_of(place)
            except Exception:  # noqa: BLE001 -- what cannot be loaded leaves no result
                continue
            finally:
                shutil.rmtree(place)
