"""The tiny backbone, its matrices and its weights."""

from __future__ import annotations

import torch

from srf_backbones.options import TinyOptions
from srf_backbones.tiny import TinyBert

LABELS = ("no", "yes", "perhaps")


SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


MATRICES = {
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
}


def layers(prefix: str, matrices=MATRICES) -> dict[str, str]:
    return {f"{prefix}.{index}.{name}": "encoder" for index in range(2) for name in matrices}


def tiny(seed=1, labels=LABELS, **options):
    return TinyBert(TinyOptions(**({"width": 16, "intermediate": 24, "heads": 2} | options))).load(labels, seed)


def weights(network) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.model.state_dict().items()}


def changed(one, other) -> set[str]:
    assert one.keys() == other.keys()
    return {name for name in one if not torch.equal(one[name], other[name])}
