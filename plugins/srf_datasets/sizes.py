"""Estimates the number of examples of a split without parsing them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from srf_datasets.published import rows_of_corpus
from srframework import DataError, RowFile, open_input

PUBLISHED: Mapping[str, Mapping[str, int]] = {
    "glue/mnli": rows_of_corpus("mnli"),
    "glue/qqp": rows_of_corpus("qqp"),
    "jhu-cogsci/hans": rows_of_corpus("hans"),
    "google-research-datasets/paws": rows_of_corpus("paws-wiki"),
}
"""Hub data set -> split -> examples."""

PAPER: Mapping[str, Mapping[str, int]] = {
    "nli": PUBLISHED["glue/mnli"],
    "paraphrase": PUBLISHED["glue/qqp"],
    "fact-verification": {**rows_of_corpus("fever"), "ood_train": rows_of_corpus("symmetric-v2")["dev"]},
}
"""Task -> split -> examples; ood_train: the dev set of Fever-Symmetric v2."""

PAWS_QQP: Mapping[str, int] = rows_of_corpus("paws-qqp")
"""Split of PAWS-qqp -> examples."""

_CHUNK = 1 << 20


def published(source: str, split: str, task: str | None = None) -> int | None:
    """Look up the number of examples of a hub data set's split; for an unknown data set, that of the ``task``
    in the paper; else None."""
    return PUBLISHED.get(source, PAPER.get(task or "", {})).get(split)


def rows_of(path: str | Path, kind: str, where: Mapping[str, str] | None = None, encoding: str = "utf-8") -> int | None:
    """Count the rows of a file, without its header, but with rows that a reader would skip.

    Args:
        path: The file.
        kind: ``"tsv"``, ``"csv"`` or ``"jsonl"``.
        where: Column -> value; only matching rows count.
        encoding: Encoding of the file.

    Returns:
        The number of rows; None if the file cannot be read.
    """
    try:
        if where or kind == "csv":  # a CSV row may span lines
            wanted = where or {}
            rows = RowFile(str(path), kind, tuple(wanted), encoding)
            return sum(all(row[column] == value for column, value in wanted.items()) for _, row in rows)
        return max(_lines(path) - (kind == "tsv"), 0)
    except (OSError, DataError):
        return None


def known_sizes(
    counts: Mapping[str, int | None], max_train: int | None = None, max_eval: int | None = None
) -> dict[str, int]:
    """Keep the known counts; limit that of the training examples to ``max_train``, and those of the splits that are
    evaluated to ``max_eval``."""
    limits = {"train": max_train, "ood_train": None}
    known = {name: count for name, count in counts.items() if count is not None}
    return {
        name: count if (limit := limits.get(name, max_eval)) is None else min(count, limit)
        for name, count in known.items()
    }


def _lines(path: str | Path) -> int:
    lines, last = 0, b"\n"
    with open_input(path) as file:
        while chunk := file.read(_CHUNK):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return lines + (last != b"\n")
