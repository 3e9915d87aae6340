"""A tiny classifier in a directory, that predicts what a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from small_backbones import tiny

LABELS = ("contradiction", "entailment", "neutral")


def saved_classifier(path: Path, always: str | None = None, labels: Sequence[str] = LABELS, seed: int = 1) -> Path:
    """Save a classifier of random weights; ``always``: the label that it predicts for every text."""
    network = tiny(seed, labels, layers=1)
    if always is not None:
        with torch.no_grad():
            network.model.classifier.weight.zero_()
            network.model.classifier.bias.copy_(torch.tensor([float(label == always) for label in labels]))
    network.model.save_pretrained(path)
    network.tokenizer.save_pretrained(path)
    return path
