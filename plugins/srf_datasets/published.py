"""The published sizes and class shares of the paper's data, from ``published.json``. Imports nothing heavy."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Published:
    """What is known about a split.

    Attributes:
        rows: Number of its rows.
        source: Source of the number.
        shares: Label -> its share of the rows, in [0, 1]; empty if it is not published.
        shares_source: Source of the shares.
        shares_within: Precision of the shares.
        sha256: Checksum of the published file; empty if it is not known.
    """

    rows: int
    source: str
    shares: Mapping[str, float] = field(default_factory=dict)
    shares_source: str = ""
    shares_within: float = 0.001
    sha256: str = ""


@cache
def _content() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
    return found


@cache
def published_split(name: str) -> Published | None:
    """Look up a split, such as ``"mnli/train"``; None for an unknown one."""
    entry = _content()["splits"].get(name)
    if entry is None:
        return None
    paper = "Liu et al. 2022, App. B.1"
    return Published(**{"source": paper, "shares_source": paper, **entry})


def rows_of_corpus(corpus: str) -> dict[str, int]:
    """Give the number of rows of each split of a corpus: ``"mnli"`` -> train, dev, mismatched."""
    splits = _content()["splits"]
    return {
        name.removeprefix(f"{corpus}/"): each["rows"] for name, each in splits.items() if name.startswith(f"{corpus}/")
    }


def address(name: str) -> str | None:
    """Say where to get the corpus of a split such as ``"mnli/train"``; None if that is unknown."""
    found: str | None = _content()["addresses"].get(name.partition("/")[0])
    return found


def not_found(path: str, name: str = "") -> str:
    """Describe a file that does not exist; ``name``: its split, such as ``"mnli/train"``, to say where to get it."""
    where = "" if os.path.isabs(path) else f" (relative to {os.getcwd()})"
    source = address(name)
    return f"file not found: {path}{where}{f'; get it from {source}' if source else ''}"
