"""Word vectors from a model's own input embeddings, for spurious features that use them."""

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
    """Return word vectors; the vector of a word is the mean of the input embeddings of its pieces.

    Returns:
        A function that maps n words to an array ``(n, d)``, float32, d the width of the embeddings. A word
        that is unknown to the tokenizer, or has no pieces, has zeros.
    """
    tokenizer = network.tokenizer
    table = network.model.get_input_embeddings().weight
    assert isinstance(table, torch.Tensor), "transformers models have an embedding matrix"
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
