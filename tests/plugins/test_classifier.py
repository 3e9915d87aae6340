"""Whose label an output is, when a checkpoint brings a classifier of its own."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from srf_backbones.encoder import HuggingFaceEncoder
from srf_backbones.options import EncoderOptions

LABELS = ("contradiction", "entailment", "neutral")


@pytest.fixture
def checkpoint(tmp_path):
    """A function that saves a small classifier with these labels; gives its path and its model."""

    def save(labels):
        (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n")
        config = BertConfig(
            vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12,
            id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)},
        )  # fmt: skip
        torch.manual_seed(0)
        model = BertForSequenceClassification(config)
        model.classifier.bias.data.copy_(torch.arange(len(labels)) + 1.0)
        model.save_pretrained(tmp_path)
        BertTokenizer(vocab=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
        return str(tmp_path), model

    return save


def test_a_classifier_with_our_labels_is_kept_in_our_order(checkpoint):
    path, stored = checkpoint(["Entailment", "neutral", "CONTRADICTION"])
    loaded = HuggingFaceEncoder(EncoderOptions(path=path)).load(LABELS, 1).model
    assert loaded.classifier.bias.tolist() == [3.0, 1.0, 2.0]
    assert torch.equal(loaded.classifier.weight, stored.classifier.weight[[2, 0, 1]])
    assert list(loaded.config.id2label.values()) == list(LABELS)


@pytest.mark.parametrize("labels", [["LABEL_0", "LABEL_1", "LABEL_2"], ["yes", "no", "maybe"]])
def test_a_classifier_with_other_labels_is_drawn_anew_from_the_seed(checkpoint, labels):
    path, stored = checkpoint(labels)
    first, again, other = (
        HuggingFaceEncoder(EncoderOptions(path=path)).load(LABELS, seed).model.classifier for seed in (1, 1, 2)
    )
    assert first.bias.tolist() == [0.0, 0.0, 0.0]
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)
    assert not torch.equal(first.weight, stored.classifier.weight)
