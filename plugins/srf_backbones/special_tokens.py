"""Gives model and tokenizer the same padding token, and refuses a tokenizer without the tokens that the model needs."""

from __future__ import annotations

from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from srframework import BackboneError

_FIRST = {"bos": "bos", "mean": None, "late": None}
"""Pooling of ModernBERT and EuroBERT -> kind of the token that it reads; None if it reads all tokens."""


def settle_padding(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, *, reads_last_token: bool) -> None:
    """Give tokenizer and model the same padding token.

    A tokenizer without one gets the token of the configuration, or else its end of sequence. A configuration without
    one gets that of the tokenizer. If both have one, the tokenizer's counts for a model that classifies the last
    token that is not padding: with another token it would classify the padding.

    Args:
        tokenizer: Its padding token is set.
        config: Its ``pad_token_id`` is set; it is saved with the model.
        reads_last_token: Whether the model classifies the last token.

    Raises:
        BackboneError: Neither has a padding token or an end of sequence, or the model has no embedding for it.
    """
    stored = getattr(config, "pad_token_id", None)
    if tokenizer.pad_token is None:
        token = None if stored is None else tokenizer.convert_ids_to_tokens(stored)
        tokenizer.pad_token = token or tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise BackboneError("expected a tokenizer with a pad_token or an eos_token, got neither")
    if stored is None or (reads_last_token and stored != tokenizer.pad_token_id):
        pad, words = tokenizer.pad_token_id, config.vocab_size
        if not isinstance(pad, int) or pad >= words:
            expected = f"expected a tokenizer whose pad_token is one of the model's {words} tokens"
            raise BackboneError(f"{expected}, got {tokenizer.pad_token!r:.60} ({pad})")
        config.pad_token_id = pad


def check_tokens(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, *, reads_last_token: bool) -> None:
    """Refuse a tokenizer without a token that the model needs.

    A padding token is always needed. An unknown token is needed unless the tokenizer splits every text into known
    bytes. A first token is needed if the model classifies it.

    Args:
        tokenizer: The tokenizer.
        config: The model's configuration.
        reads_last_token: Whether the model classifies the last token.

    Raises:
        BackboneError: A token is missing; names it.
    """
    first = None if reads_last_token else _FIRST.get(str(getattr(config, "classifier_pooling", "cls")), "cls")
    needed = ["pad", *([] if _knows_all_bytes(tokenizer) else ["unk"]), *([] if first is None else [first])]
    for kind in needed:
        token = getattr(tokenizer, f"{kind}_token")
        if token is None or token not in tokenizer.get_vocab():
            got = "none" if token is None else f"{token!r:.60}, which is not in its vocabulary"
            raise BackboneError(f"expected a tokenizer with a {kind}_token, got {got}")


def _knows_all_bytes(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Check for a byte-level BPE whose vocabulary has all 256 bytes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    letters = set(ByteLevel.alphabet())
    if backend is None or not letters <= tokenizer.get_vocab().keys():
        return False
    pieces = ["\u0378"]  # assigned to no character, so that only this method writes it in these letters
    if backend.normalizer is not None:
        pieces = [backend.normalizer.normalize_str(each) for each in pieces]
    if backend.pre_tokenizer is not None:
        pieces = [piece for each in pieces for piece, _ in backend.pre_tokenizer.pre_tokenize_str(each)]
    return any(pieces) and all(letters.issuperset(each) for each in pieces)
