"""Read a file of labelled texts for a model, by the data set ``pairs``; no recipe is needed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srframework.contracts import Split, TaskData
from srframework.errors import UsageError
from srframework.models.classifier import used
from srframework.models.labels import Labels, match
from srframework.registry.registry import Registry
from srframework.rows import RowFile
from srframework.text import listed, shorten
from srframework.text_file import check_encoding

DATASET, SPLIT = "pairs", "data"

TEXT_A = ("text_a", "sentence1", "sentence_A", "premise", "claim", "question1", "text", "sentence")
TEXT_B = ("text_b", "sentence2", "sentence_B", "hypothesis", "evidence", "evidence_sentence", "question2")
LABEL = ("label", "gold_label", "entailment_label", "is_duplicate")
ID = ("id", "pairID", "pair_ID", "guid", "idx")
"""Usual names of columns, for those that the user does not name; the first that the file has."""


@dataclass(frozen=True)
class DataFile:
    """A file, and what the user says about it.

    Attributes:
        path: A TSV, CSV or JSON lines file.
        format: ``"tsv"``, ``"csv"`` or ``"jsonl"``; None: by the extension.
        encoding: A text encoding that Python knows.
        text_a, text_b, label, id: Columns; None: one of the usual names. ``text_b`` may be ``""`` for one text.
        label_names: Word in the label column -> label.
        collapse: Label of the model -> label of the file.
        where: Column -> value; other rows are skipped.
        keep: Further columns; that of the label is always there.
    """

    path: str
    format: str | None = None
    encoding: str = "utf-8"
    text_a: str | None = None
    text_b: str | None = None
    label: str | None = None
    id: str | None = None
    label_names: Mapping[str, str] = field(default_factory=dict)
    collapse: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    keep: Sequence[str] = ()


@dataclass(frozen=True)
class Read:
    """The examples of a file.

    Attributes:
        split: The examples, with the kept columns under their names in the file.
        labels: Its labels.
        text_a, text_b, label: The columns; ``text_b`` is empty for one text.
        kept: The further columns, that of the ids included.
        notes: Sentences about skipped rows.
    """

    split: Split
    labels: Labels
    text_a: str
    text_b: str
    label: str
    kept: tuple[str, ...]
    notes: tuple[str, ...]


def read(file: DataFile, labels: Sequence[str], registry: Registry) -> Read:
    """Read a file for a model with these labels.

    Raises:
        DataError: The file cannot be read, lacks a column, or has a row that is not valid.
        UsageError: Its labels are not those of the model, or an option is not valid.
    """
    kind = file.format or RowFile.format_of(file.path)
    if kind is None:
        raise UsageError(f"{file.path}: expected a name that ends in .tsv, .txt, .csv, .jsonl or .json, or --format")
    try:
        check_encoding(file.encoding)
    except ValueError as error:
        raise UsageError(f"--encoding: expected {error}, got {shorten(file.encoding)}") from error
    header = RowFile(file.path, kind, (), file.encoding).header()
    text_a = file.text_a or _usual(file.path, header, TEXT_A, "--text-a")
    text_b = next((name for name in TEXT_B if name in header), "") if file.text_b is None else file.text_b
    label = file.label or _usual(file.path, header, LABEL, "--label")
    of_ids = file.id or next((name for name in ID if name in header), None)
    kept = tuple(name for name in dict.fromkeys([*file.keep, *([of_ids] if of_ids else [])]) if name != label)
    matched = match(file.path, _words(file, kind, label), labels, file.label_names, file.collapse)
    source: dict[str, Any] = {"path": file.path, "format": kind, "text_a": text_a, "text_b": text_b, "label": label}
    source |= {"label_names": dict(matched.names), "where": dict(file.where), "keep": kept}
    source |= {"labels": matched.own, "collapse": dict(matched.collapse), "encoding": file.encoding}
    with tempfile.TemporaryDirectory(prefix="srframework-") as folder:
        unused = _one_of_each(Path(folder), labels)
        table = {"use": DATASET, "labels": tuple(labels), "features": "none", "train": unused, "dev": unused}
        use = used(registry, "dataset", {**table, "ood": {SPLIT: source}}, file.path)
        task: TaskData = use.build().load(0)
    return Read(task.ood[0], matched, text_a, text_b, label, kept, task.notes)


def _usual(path: str, header: Sequence[str], names: Sequence[str], option: str) -> str:
    for name in names:
        if name in header:
            return name
    raise UsageError(
        f"{path}: expected a column {' or '.join(names)}, got {listed(header, 20) or 'none'}; name the column with "
        f"{option}"
    )


def _words(file: DataFile, kind: str, label: str) -> set[str]:
    columns = tuple(dict.fromkeys([label, *file.where]))
    rows = RowFile(file.path, kind, columns, file.encoding)
    return {row[label] for _, row in rows if all(row[column] == value for column, value in file.where.items())}


def _one_of_each(folder: Path, labels: Sequence[str]) -> dict[str, object]:
    """Write one example of each label: the data set needs examples for training, and nothing reads them here."""
    rows = (json.dumps({"text_a": "-", "label": label}) for label in labels)
    (folder / "one.jsonl").write_text("\n".join([*rows, ""]), encoding="utf-8")
    columns = {"text_a": "text_a", "text_b": "", "label": "label", "label_names": {}}
    return {"path": str(folder / "one.jsonl"), "encoding": "utf-8", **columns}
