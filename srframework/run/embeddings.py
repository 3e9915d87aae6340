"""Word vectors from a model's own input embeddings, for spurious features that want some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from srframework.contracts import Network
from srframework.training.tokenization import unchanged

if TYPE_CHECKING:
    from srframework.contracts import WordVectors


def input_embeddings(network: Network) -> WordVectors:
    """The vector of a word: the mean of the input embeddings of its pieces.

    Returns:
        A function of n words that gives ``(n, d)``, float32, d the width of the embeddings; a word
        that the tokenizer does not know, or has no pieces for, has zeros.
    """
    tokenizer = network.tokenizer
    table = network.model.get_input_embeddings().weight
    assert isinstance(table, torch.Tensor), "the embeddings of a module of transformers"
    matrix = table.detach().float().cpu()

    def vectors(words: Sequence[str]) -> np.ndarray:
        found = np.zeros((len(words), matrix.shape[1]), dtype=np.float32)
        for start in range(0, len(words), 10_000):
            with unchanged(tokenizer):
                pieces = tokenizer(list(words[start : start + 10_000]), add_special_tokens=False)["input_ids"]
            for row, ids in enumerate(pieces, start):
                if ids and tokenizer.unk_token_id not in ids:
                    found[row] = matrix[ids].mean(dim=0).numpy()
        return found

    return vectors
