"""Tokenized splits, cached on disk and memory-mapped.

::

    $HF_DATASETS_CACHE/srframework-tokens/<key>/
      tokens.arrow    as :func:`srframework.run.prediction.tokenize` returns it
      facts.json      {"cut", "sha256", "digest"}: examples that are cut, SHA-256 of tokens.arrow, SHA-256 of the rest

The key is the hash of the rows, of what the tokenizer does, of the length and of the libraries; so all runs share the
cache, also of several stores. An entry appears by one rename, so that several processes can write it. It is read only
if both hashes are right; otherwise it is made again.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import datasets
from datasets.arrow_writer import ArrowWriter
from transformers import PreTrainedTokenizerBase

from srframework.contracts import Split
from srframework.files import atomic_directory, json_text, read_json
from srframework.hashing import digest, sha256
from srframework.run.data_checks import count_cut
from srframework.run.prediction import tokenize

FORMAT = 1
"""Increase this when a change of the core changes the tokens or their files."""

_TOKENS, _FACTS = "tokens.arrow", "facts.json"


@dataclass(frozen=True)
class Tokens:
    """A tokenized split.

    Attributes:
        examples: The tokens; see :func:`srframework.run.prediction.tokenize`.
        cut: Number of examples that have more tokens than the maximum.
    """

    examples: datasets.Dataset
    cut: int


def tokens_of(
    split: Split, rows: str, tokenizer: PreTrainedTokenizerBase, of_tokenizer: str, max_length: int
) -> Tokens:
    """Return a tokenized split from the cache, or tokenize it into the cache.

    Args:
        split: The split.
        rows: Its fingerprint.
        tokenizer: Its state does not change.
        of_tokenizer: Its fingerprint.
        max_length: Tokens.
    """
    libraries = [version(name) for name in ("datasets", "tokenizers", "transformers")]
    key = digest([FORMAT, rows, of_tokenizer, max_length, libraries])
    place = Path(datasets.config.HF_DATASETS_CACHE) / "srframework-tokens" / key
    if (found := _read(place)) is not None:
        return found
    examples = tokenize(split, tokenizer, max_length)
    made = Tokens(examples, count_cut(split, tokenizer, examples["length"][:], max_length))
    # A disk that cannot be written, or another process that was first: the tokens in memory are the same.
    with contextlib.suppress(OSError):
        _write(made, place)
    return _read(place) or made


def _read(place: Path) -> Tokens | None:
    """Return an entry; None if there is none. A damaged one is removed."""
    try:
        facts = read_json(place / _FACTS)
        stored = facts.pop("digest")
        if stored == digest(facts) and sha256(place / _TOKENS) == facts["sha256"]:
            return Tokens(datasets.Dataset.from_file(str(place / _TOKENS)), facts["cut"])
    except FileNotFoundError:
        if not place.exists():
            return None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        pass  # removed below
    shutil.rmtree(place, ignore_errors=True)
    return None


def _write(tokens: Tokens, place: Path) -> None:
    """Write an entry.

    Raises:
        OSError: It cannot be written, or exists.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with atomic_directory(place) as temporary:
        with ArrowWriter(path=str(temporary / _TOKENS), features=tokens.examples.features) as writer:
            writer.write_table(tokens.examples.data.table)
            writer.finalize()
        facts: Mapping[str, Any] = {"cut": tokens.cut, "sha256": sha256(temporary / _TOKENS)}
        text = json_text({**facts, "digest": digest(facts)})
        (temporary / _FACTS).write_text(text, encoding="utf-8")
