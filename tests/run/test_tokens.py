"""Tokens are made once for each data set, tokenizer and length; a damaged cache changes no result."""

from __future__ import annotations

import os
import random
from pathlib import Path

import datasets
import pytest

from srf_backbones.tiny import tokenizer_of_tiny
from srframework.contracts import Split
from srframework.run import tokens
from srframework.run.fingerprint import split_fingerprint, tokenizer_fingerprint
from srframework.run.prediction import tokenize

TEXTS = {"text_a": ["the owl", "the man is not in a park", "a", "two women"], "text_b": ["an owl"] * 4}
SPLIT = Split("dev", datasets.Dataset.from_dict({**TEXTS, "label": [0, 1, 0, 1]}), ("no", "yes"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "srframework-tokens"


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """The splits that were tokenized."""
    names = []

    def counting(split, *given):
        names.append(split.name)
        return tokenize(split, *given)

    monkeypatch.setattr(tokens, "tokenize", counting)
    return names


def of(split: Split = SPLIT, max_length: int = 10) -> tokens.Tokens:
    tokenizer = tokenizer_of_tiny()
    return tokens.tokens_of(split, split_fingerprint(split), tokenizer, tokenizer_fingerprint(tokenizer), max_length)


def test_the_second_time_nothing_is_tokenized_and_the_file_is_mapped(made, cache):
    first, second = of(), of()
    assert made == ["dev"]
    plain = tokenize(SPLIT, tokenizer_of_tiny(), 10)
    for found in (first, second):
        assert found.examples[:] == plain[:]
        assert found.examples.features == plain.features
        assert found.cut == 1
        assert Path(found.examples.cache_files[0]["filename"]).is_relative_to(cache)


def test_other_rows_and_another_length_are_other_tokens(made):
    other = Split("dev", SPLIT.examples.select([1, 0, 2, 3]), SPLIT.labels)
    assert of(max_length=6).cut == 3
    assert of(max_length=10).cut == 1
    assert of(other).examples["labels"][:] == [1, 0, 0, 1]
    assert made == ["dev"] * 3


@pytest.mark.parametrize("name", ["tokens.arrow", "facts.json"])
@pytest.mark.parametrize("seed", range(5))
def test_a_flipped_bit_is_noticed(made, cache, name, seed):
    plain = of().examples[:]
    (file,) = cache.glob(f"*/{name}")
    content = bytearray(file.read_bytes())
    content[random.Random(seed).randrange(len(content))] ^= 1 << seed
    file.unlink()  # the file that is mapped stays as it was
    file.write_bytes(content)
    found = of()
    assert found.examples[:] == plain
    assert found.cut == 1
    assert made == ["dev", "dev"]
    assert of().examples[:] == plain
    assert made == ["dev", "dev"], "the damaged entry was replaced"


@pytest.mark.parametrize("name", ["tokens.arrow", "facts.json"])
def test_a_missing_file_is_made_again(made, cache, name):
    of()
    (file,) = cache.glob(f"*/{name}")
    file.unlink()
    assert of().cut == 1
    assert made == ["dev", "dev"]
    assert file.exists()


def test_a_place_that_cannot_be_written_leaves_the_tokens_in_memory(made, cache):
    cache.parent.mkdir()
    cache.write_text("a file")
    assert of().cut == of().cut == 1
    assert made == ["dev", "dev"]


def test_another_process_may_be_first(monkeypatch, cache):
    def slow(split, *given):
        monkeypatch.setattr(tokens, "tokenize", tokenize)
        of()  # the other process
        return tokenize(split, *given)

    monkeypatch.setattr(tokens, "tokenize", slow)
    assert of().cut == 1
    assert len(os.listdir(cache)) == 1
