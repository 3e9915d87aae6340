"""Rows -> examples: texts checked, labels looked up, what was left out counted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import datasets

from srf_datasets.options import UNLABELLED
from srf_datasets.rows import RowFile, columns_of
from srframework import DataError, Split, nearest

_GLUE = "nyu-mll/glue"


@dataclass(frozen=True)
class Columns:
    """Which column of a source is what.

    Attributes:
        text_a, label: Names of columns.
        text_b: Name of the second text's column; ``""`` for none.
        keep: Names of further columns.
        id: Name of the column that names an example, taken where it is there; ``""`` for none.
        where: Rows are taken only if these columns have these values.
    """

    text_a: str
    text_b: str
    label: str
    keep: tuple[str, ...] = ()
    id: str = ""
    where: Mapping[str, str] = field(default_factory=dict)

    def among(self, given: Collection[str]) -> Columns:
        """The same, without an ``id`` that is not there."""
        return self if self.id in given else replace(self, id="")

    @property
    def copied(self) -> dict[str, str]:
        """Our name of each further column -> the source's."""
        return {**{column: column for column in self.keep}, **({"id": self.id} if self.id else {})}

    @property
    def texts(self) -> dict[str, str]:
        """Our name of each text -> the source's."""
        return {"text_a": self.text_a, **({"text_b": self.text_b} if self.text_b else {})}

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every column that must be there."""
        return tuple(dict.fromkeys([*self.texts.values(), self.label, *self.copied.values(), *self.where]))


@dataclass
class Reader:
    """Reads one split.

    Attributes:
        name: Of the split.
        labels: Of the split.
        columns: Of the source.
        label_names: Word in the source -> label; a word that is not in it is the label itself.
        collapse: As in :class:`srframework.Split`.
        text: What a cell with a text says; ValueError, with a message, where it says nothing.
        skip_empty: Whether a row with an empty text is skipped and counted, and no error.
        notes: Sentences on what was skipped.
    """

    name: str
    labels: tuple[str, ...]
    columns: Columns
    label_names: Mapping[str, str] = field(default_factory=dict)
    collapse: tuple[int, ...] | None = None
    text: Callable[[str], str] = str
    skip_empty: bool = False
    notes: list[str] = field(default_factory=list, init=False)

    def from_file(self, path: str, kind: str) -> Split:
        """Read a file; short and unlabelled rows are skipped and counted; ``kind``: tsv, csv or jsonl.

        Raises:
            DataError: Anything else is wrong with it; names file and row.
        """
        self.columns = self.columns.among(columns_of(path, kind) if self.columns.id else ())
        rows = RowFile(path, kind, self.columns.wanted)
        return self._split(path, rows, lambda: rows.short)

    def from_hub(self, source: str, config: str | None, split: str, revision: str | None = None) -> Split:
        """Read a split of a data set on the Hugging Face hub, or of a local copy of one.

        Raises:
            DataError: It cannot be had, or is not what the columns say; names the row.
        """
        name, config = hub_name(source, config)
        where = f"hub data set {source!r}, split {split!r}"
        try:
            data = datasets.load_dataset(name, config, split=split, revision=revision)
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{where}: neither a directory here nor to be had from the hub: {reason}") from error
        self.columns = self.columns.among(data.column_names)
        if missing := [column for column in self.columns.wanted if column not in data.column_names]:
            near = nearest(missing[0], data.column_names)
            hint = f"; did you mean {near!r}?" if near else ""
            given = ", ".join(data.column_names)
            raise DataError(f"{where}: expected a column {missing[0]!r}, got {given}{hint}")
        return self._split(where, _hub_rows(data, self.columns.wanted), lambda: 0)

    def _split(self, where: str, rows: Iterable[tuple[int, Mapping[str, str]]], short: Any) -> Split:
        columns, index = self.columns, {label: position for position, label in enumerate(self.labels)}
        out: dict[str, list[Any]] = {name: [] for name in (*columns.texts, "label", *columns.copied)}
        unlabelled = empty = 0
        for number, row in rows:
            if any(row[column] != value for column, value in columns.where.items()):
                continue
            word = row[columns.label]
            label = self.label_names.get(word, word)
            if label in UNLABELLED:
                unlabelled += 1
                continue
            if label not in index:
                raise self._unknown(f"{where}: row {number}", word)
            texts = {
                column: self._text(f"{where}: row {number}", column, row[column]) for column in columns.texts.values()
            }
            if blank := [column for column, text in texts.items() if not text]:
                if not self.skip_empty:
                    raise DataError(f"{where}: row {number}: expected a text in column {blank[0]!r}, got an empty one")
                empty += 1
                continue
            for name, column in columns.texts.items():
                out[name].append(texts[column])
            out["label"].append(index[label])
            for name, column in columns.copied.items():
                out[name].append(row[column])
        skipped = {"short": short(), "unlabelled": unlabelled, **({"empty": empty} if self.skip_empty else {})}
        if not out["label"]:
            counted = ", ".join(f"{count} {what}" for what, count in skipped.items())
            wanted = f"labelled rows for split {self.name!r} with {dict(columns.where) or 'any values'}"
            raise DataError(f"{where}: expected {wanted}, got none ({counted})")
        for what, count in skipped.items():
            if count:
                self.notes.append(f"{where}: {count} {what} row{'s' if count > 1 else ''} skipped")
        return Split(self.name, datasets.Dataset.from_dict(out), self.labels, self.collapse)

    def _unknown(self, where: str, word: str) -> DataError:
        named = [each for each, label in self.label_names.items() if label in self.labels]
        choices = [*named, *(each for each in self.labels if each not in self.label_names.values())]
        near = nearest(word, choices)
        hint = f"; did you mean {near!r}?" if near else ""
        return DataError(f"{where}: expected a label ({', '.join(choices)}), got {word!r}{hint}")

    def _text(self, where: str, column: str, cell: str) -> str:
        try:
            return self.text(cell)
        except ValueError as error:
            raise DataError(f"{where}: column {column!r}: {error}") from error


def hub_name(source: str, config: str | None) -> tuple[str, str | None]:
    """``glue/mnli`` -> the repository that GLUE has now, and its configuration; others as they are."""
    first, slash, second = source.partition("/")
    return (_GLUE, config or second) if slash and first == "glue" else (source, config)


def collapse_to(labels: Sequence[str], own: Sequence[str], mapping: Mapping[str, str]) -> tuple[int, ...] | None:
    """For each of the model's labels the index among a split's own; None where they are the same."""
    if tuple(labels) == tuple(own) and not mapping:
        return None
    return tuple(own.index(mapping.get(label, label)) for label in labels)


def _hub_rows(data: datasets.Dataset, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    named = {c: f for c, f in data.features.items() if c in columns and isinstance(f, datasets.ClassLabel)}
    for number, row in enumerate(data.select_columns(list(columns)), 1):
        cells = {}
        for column in columns:
            value = row[column]
            if column in named and isinstance(value, int):
                value = "" if value < 0 else named[column].int2str(value)  # -1 is the hub's "unlabelled"
            cells[column] = "" if value is None else str(value).strip()
        yield number, cells
