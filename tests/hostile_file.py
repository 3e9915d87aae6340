"""Data files that are as they should be, and what is answered to those that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from srf_datasets.options import PairsOptions
from srf_datasets.pairs import Pairs
from srframework import DataError

TSV = "a\tb\tlabel\nx\ty\tyes\nz\tw\tno\n"


CSV = TSV.replace("\t", ",")


JSONL = '{"a": "x", "b": "y", "label": "yes"}\n{"a": "z", "b": "w", "label": "no"}\n'


CLEAN = {"tsv": TSV, "csv": CSV, "jsonl": JSONL}


def pairs(path: Path, **more: object) -> PairsOptions:
    """A data set whose every split is the one file."""
    source = {"path": str(path)}
    table = {"labels": ["yes", "no"], "text_a": "a", "text_b": "b", "train": source, "dev": source}
    return PairsOptions.model_validate(table | more)


def refusal(options: PairsOptions) -> str:
    """What a run says; `validate` says the same of the file's first rows."""
    with pytest.raises(DataError) as caught:
        Pairs(options).load(0)
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    assert len(message) < 2000
    return message
