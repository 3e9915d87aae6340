"""A small BERT for quick experiments, with random weights or pre-trained on the world of the generated task."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save_file
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

from srf_backbones.options import TinyOptions
from srf_backbones.structure import find_structure
from srframework import Backbone, Network

WEIGHTS = "tiny.safetensors"
"""The encoder that ``pretrain_tiny.py`` makes, in float16."""

SHA256 = "4b2b2609eda119438d1c15c41f36bd298273b9ca20112ea1fab9c5730f0de551"
"""The hash of that file; a test compares it."""


def tokenizer_of_tiny() -> BertTokenizer:
    """Make the WordPiece tokenizer; its ``vocabulary.txt`` has common words and single letters."""
    return BertTokenizer(vocab=str(files("srf_backbones") / "vocabulary.txt"), model_max_length=128)


def configuration(tokenizer: BertTokenizer, **options: Any) -> BertConfig:
    """Make a configuration from :class:`TinyOptions`, given by name."""
    chosen = TinyOptions(**options)
    return BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=chosen.width,
        num_hidden_layers=chosen.layers,
        num_attention_heads=chosen.heads,
        intermediate_size=chosen.intermediate,
        hidden_dropout_prob=chosen.dropout,
        attention_probs_dropout_prob=chosen.dropout,
        initializer_range=chosen.init_std,
        max_position_embeddings=128,
    )


class TinyBert(Backbone):
    """A small BERT."""

    options: TinyOptions

    def load(self, labels: Sequence[str], seed: int) -> Network:
        """Draw the new weights from ``seed``: all of them, or only pooler and classifier above pre-trained ones."""
        tokenizer = tokenizer_of_tiny()
        config = configuration(tokenizer, **self.options.model_dump(exclude={"weights"}))
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: index for index, label in enumerate(labels)}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = BertForSequenceClassification(config)
        if self.options.weights == "pretrained":
            stored = load((files("srf_backbones") / WEIGHTS).read_bytes())
            model.bert.load_state_dict({name: value.float() for name, value in stored.items()}, strict=False)
        structure = find_structure(model)
        return Network(model, tokenizer, structure.prunable, structure.blocks)


def save_encoder(encoder: BertModel, path: Path) -> None:
    """Write the weights of an encoder in float16, without its pooler, which pre-training does not change."""
    tensors = {name: value.half().contiguous() for name, value in encoder.state_dict().items() if "pooler" not in name}
    save_file(tensors, path)
