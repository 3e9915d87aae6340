"""The data and the models that `step_speed.py` measures."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import datasets
import torch
from transformers import BertConfig, BertForSequenceClassification

from srf_backbones.encoder import HuggingFaceEncoder
from srf_backbones.options import EncoderOptions
from srf_backbones.structure import find_structure
from srframework.contracts import Network, Split
from srframework.run.prediction import tokenize

LABELS = ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")
LONGEST = 128
_PAIRS = 4096


class Workloads:
    """The data and the small model.

    Args:
        encoder: Directory of a BERT encoder.
        sick: Directory of ``SICK.txt``.
        hans: Directory of ``heuristics_evaluation_set.txt``.
    """

    def __init__(self, encoder: str, sick: Path, hans: Path) -> None:
        self._path, self._hans = encoder, hans
        rows = _rows(sick / "SICK.txt")[:_PAIRS]
        self._pairs = [(row["sentence_A"], row["sentence_B"], LABELS.index(row["entailment_label"])) for row in rows]

    def encoder(self, dropout: float | None = None) -> Network:
        """Load the small model."""
        options = EncoderOptions(path=self._path, dropout=dropout)
        return HuggingFaceEncoder(options).load(LABELS, 1)

    def tokenized(self, pairs: Sequence[tuple[str, str, int]]) -> datasets.Dataset:
        """Tokenize pairs with their labels."""
        first, second, labels = map(list, zip(*pairs, strict=True))
        columns = datasets.Dataset.from_dict({"text_a": first, "text_b": second, "label": labels})
        return tokenize(Split("train", columns, LABELS), self.encoder().tokenizer, LONGEST)

    def short(self) -> datasets.Dataset:
        """Pairs of SICK, about 21 tokens each."""
        return self.tokenized(self._pairs)

    def long(self, fewest: int = 100) -> datasets.Dataset:
        """Texts of several sentences of SICK each."""
        texts = [
            (" ".join(a for a, _, _ in self._pairs[i : i + 10 + i % 3]), b, label)
            for i, (_, b, label) in enumerate(self._pairs)
        ]
        found = self.tokenized(texts)
        return found.select([i for i, length in enumerate(found["length"][:]) if fewest <= length <= LONGEST])

    def hans(self, count: int) -> datasets.Dataset:
        """Pairs of HANS, of all its kinds."""
        rows = _rows(self._hans / "heuristics_evaluation_set.txt")
        step = max(1, len(rows) // count)
        return self.tokenized([(row["sentence1"], row["sentence2"], 0) for row in rows[::step]][:count])


def bert_base(small: Network, layers: int) -> Network:
    """Return a BERT of the base size with new weights, and the tokenizer of ``small``."""
    torch.manual_seed(1)
    config = BertConfig(vocab_size=small.model.config.vocab_size, num_hidden_layers=layers, num_labels=len(LABELS))
    model = BertForSequenceClassification(config)
    return dataclasses.replace(small, model=model, prunable=find_structure(model).prunable)


def padded(batch: dict[str, torch.Tensor], longest: int | None) -> dict[str, torch.Tensor]:
    """Pad the model's inputs further, with 0, which is the padding token of BERT."""
    width = batch["input_ids"].shape[1]
    more = (longest or width) - width
    return {name: torch.nn.functional.pad(each, (0, more)) if each.dim() == 2 else each for name, each in batch.items()}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
