"""What stages work on, as hashes of the content: a file that moves, or a model under another name, is the same.

A hash is a SHA-256 in hexadecimal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from srframework.contracts import Network, Split
from srframework.identity import digest


def split_fingerprint(split: Split) -> str:
    """Of the columns and rows of a split."""
    sha = hashlib.sha256(",".join(split.examples.column_names).encode())
    for batch in split.examples.with_format("arrow").iter(10_000):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            sha.update(repr(row).encode())
    return sha.hexdigest()


def network_fingerprint(network: Network) -> str:
    """Of the weights of a network, its configuration, its tokenizer, and what of it may be pruned."""
    model, tokenizer = network.model, network.tokenizer
    sha = hashlib.sha256()
    for name, value in model.state_dict().items():
        sha.update(f"{name}:{value.dtype}:{tuple(value.shape)};".encode())
        sha.update(value.detach().cpu().contiguous().numpy().tobytes())
    config = model.config.to_diff_dict()
    for said_elsewhere in ("_name_or_path", "transformers_version"):
        config.pop(said_elsewhere, None)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    words = tokenizer.get_vocab() if backend is None else backend.to_str()
    sha.update(
        digest([type(model).__name__, str(config), type(tokenizer).__name__, words, dict(network.prunable)]).encode()
    )
    return sha.hexdigest()


def arrays_fingerprint(arrays: Iterable[np.ndarray]) -> str:
    """Of arrays, one after the other."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype}:{array.shape};".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
