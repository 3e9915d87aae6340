"""Ways to damage a model directory, and what is answered to it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from srf_backbones.encoder import HuggingFaceEncoder
from srf_backbones.options import EncoderOptions
from srframework import BackboneError

LABELS = ("no", "yes")


SIZE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}


NAN, INF = float("nan"), float("inf")

Spoil = Callable[[Path], object]


def load(folder: Path):
    return HuggingFaceEncoder(EncoderOptions(path=str(folder))).load(LABELS, 1)


def refused(folder: Path) -> str:
    with pytest.raises(BackboneError) as caught:
        load(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1200
    return message


def edit(file: str, **changes: object) -> Spoil:
    def spoil(folder: Path) -> None:
        table = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(table | changes))

    return spoil


def config(**changes: object) -> Spoil:
    return edit("config.json", **changes)


def words(**changes: object) -> Spoil:
    return edit("tokenizer_config.json", **changes)


def write(file: str, content: bytes | str) -> Spoil:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / file).write_bytes(data)


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        found = load_file(folder / "model.safetensors")
        change(found)
        save_file(found, folder / "model.safetensors")

    return spoil


def entry(name: str, value: float) -> Spoil:
    return tensors(lambda found: found[name].view(-1)[3:4].fill_(value))


def instead(name: str, tensor: torch.Tensor) -> Spoil:
    return tensors(lambda found: found.__setitem__(name, tensor))


def index(**weight_map: object) -> Spoil:
    def spoil(folder: Path) -> None:
        found = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
        table = dict.fromkeys(found, "model-00001-of-00001.safetensors") | {"pooler.dense.bias": weight_map["file"]}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": table}))

    return spoil


def in_place(file: str, make: Callable[[Path], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        make(folder / file)

    return spoil


def without(*files: str) -> Spoil:
    return lambda folder: [(folder / file).unlink() for file in files]


def vocabulary(text: bytes) -> Spoil:
    """A list of words, of which alone the tokenizer is made."""

    def spoil(folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.txt").write_bytes(text)

    return spoil


def both(*spoils: Spoil) -> Spoil:
    return lambda folder: [spoil(folder) for spoil in spoils]


def header(length: int, text: bytes = b"{}") -> Spoil:
    return write("model.safetensors", struct.pack("<Q", length) + text)


def claim(shape: list[int], dtype: str = "F32", end: int = 8) -> Spoil:
    text = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}).encode()
    return write("model.safetensors", struct.pack("<Q", len(text)) + text + bytes(8))
