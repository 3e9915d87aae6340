"""Tokenization for training: texts to tokens, and tokens to padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from srframework.errors import BackboneError


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Sequence[str]], max_length: int) -> dict[str, Any]:
    """Tokenize N texts or pairs.

    Args:
        tokenizer: Its state does not change.
        texts: One or two columns of N texts each.
        max_length: Maximum number of tokens of an example, with special tokens; the longer text is cut first.

    Returns:
        Name of a model input -> list of N lists.

    Raises:
        BackboneError: The Rust backend fails, because the parts of the tokenizer are not consistent.
    """
    try:
        with unchanged(tokenizer):
            return dict(tokenizer(*texts, truncation=True, max_length=max_length))
    except BaseException as error:
        # The backend raises a plain Exception or, if it panics, a BaseException.
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        raise BackboneError(f"backbone: the tokenizer {type(tokenizer).__name__} fails on a text: {error}") from error


def padding(tokenizer: PreTrainedTokenizerBase) -> DataCollatorWithPadding:
    """Return the function that makes a padded batch of encoded examples."""
    return DataCollatorWithPadding(tokenizer)


def backend_of(tokenizer: PreTrainedTokenizerBase) -> Any:
    """Return the Rust backend; None if the tokenizer is implemented in Python."""
    return tokenizer.backend_tokenizer if isinstance(tokenizer, PreTrainedTokenizerFast) else None


@contextmanager
def unchanged(tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    """Restore the state of a tokenizer at the end of the block.

    The Rust backend keeps the truncation and the padding of its last call, and saves them with the tokenizer.
    """
    backend = backend_of(tokenizer)
    if backend is None:
        yield
        return
    truncation, padded, special = backend.truncation, backend.padding, backend.encode_special_tokens
    try:
        yield
    finally:
        if backend.truncation != truncation:
            backend.no_truncation() if truncation is None else backend.enable_truncation(**truncation)
        if backend.padding != padded:
            backend.no_padding() if padded is None else backend.enable_padding(**padded)
        if backend.encode_special_tokens != special:
            backend.encode_special_tokens = special
