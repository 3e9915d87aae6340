"""A small random BERT for tests and quick experiments."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from srf_backbones.options import TinyOptions
from srf_backbones.structure import find_structure
from srframework import Backbone, Network


class TinyBert(Backbone):
    """A BERT with random weights; its WordPiece ``vocabulary.txt`` has common words and single letters."""

    options: TinyOptions

    def load(self, labels: Sequence[str], seed: int) -> Network:
        """Draw all weights from ``seed``."""
        tokenizer = BertTokenizer(vocab=str(files("srf_backbones") / "vocabulary.txt"), model_max_length=128)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=self.options.width,
            num_hidden_layers=self.options.layers,
            num_attention_heads=self.options.heads,
            intermediate_size=self.options.intermediate,
            hidden_dropout_prob=self.options.dropout,
            attention_probs_dropout_prob=self.options.dropout,
            initializer_range=self.options.init_std,
            max_position_embeddings=128,
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = BertForSequenceClassification(config)
        structure = find_structure(model)
        return Network(model, tokenizer, structure.prunable, structure.blocks)
