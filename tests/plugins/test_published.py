"""The published numbers, as the paper and the sources of its data give them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from srf_datasets import published
from srf_datasets.published import address, not_found, published_split, rows_of_corpus
from srf_datasets.task_options import FACT_LABELS, HANS_LABELS, NLI_LABELS, PARAPHRASE_LABELS

CONTENT = json.loads(Path(published.__file__).with_name("published.json").read_text(encoding="utf-8"))
LABELS = {
    "mnli": NLI_LABELS,
    "hans": HANS_LABELS,
    "fever": FACT_LABELS,
    **dict.fromkeys(("qqp", "paws-qqp", "paws-wiki"), PARAPHRASE_LABELS),
    **dict.fromkeys(("symmetric-v1", "symmetric-v2"), FACT_LABELS),
}


def test_sizes_are_the_papers():
    assert rows_of_corpus("mnli") == {"train": 392_702, "dev": 9_815, "mismatched": 9_832}
    assert rows_of_corpus("hans") == {"train": 30_000, "evaluation": 30_000}
    assert rows_of_corpus("qqp") == {"train": 363_849, "dev": 40_432}
    assert rows_of_corpus("paws-qqp") == {"train": 11_988, "dev": 677, "test": 677}
    assert rows_of_corpus("paws-wiki") == {"train": 49_401, "dev": 8_000, "test": 8_000}
    assert rows_of_corpus("fever") == {"train": 242_911, "dev": 16_664}
    assert rows_of_corpus("symmetric-v1") == {"test": 717}
    assert rows_of_corpus("symmetric-v2") == {"dev": 708, "test": 712}


def test_shares_are_the_papers():
    assert published_split("fever/train").shares == {"SUPPORTS": 0.414, "REFUTES": 0.172, "NOT ENOUGH INFO": 0.414}
    assert published_split("paws-qqp/dev").shares == {"0": 0.718, "1": 0.282}


@pytest.mark.parametrize("name", CONTENT["splits"])
def test_an_entry_has_every_label_once_a_source_and_an_address(name):
    known = published_split(name)
    corpus = name.partition("/")[0]
    assert known.rows > 0
    assert known.source
    assert address(name).startswith("https://")
    if known.shares:
        assert set(known.shares) == set(LABELS[corpus])
        assert sum(known.shares.values()) == pytest.approx(1, abs=0.002)
        assert known.shares_source
    assert len(known.sha256) in (0, 64)


def test_what_is_not_published_is_not_known(tmp_path, monkeypatch):
    assert published_split("mine/train") is None
    assert published_split("") is None
    assert address("") is None
    monkeypatch.chdir(tmp_path)
    assert not_found("a.tsv") == f"file not found: a.tsv (relative to {tmp_path})"
    assert not_found("/a.tsv", "hans/train") == "file not found: /a.tsv; get it from https://github.com/tommccoy1/hans"
