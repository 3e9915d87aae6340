"""Reads splits from files, from the hub, and from local copies of hub data sets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import datasets

from srf_datasets.local_copy import local_copy
from srf_datasets.parsing import Columns as Columns
from srf_datasets.parsing import Parser
from srframework import DataError, Split, did_you_mean, directory_problem, listed, nearest

_GLUE = "nyu-mll/glue"


class Reader(Parser):
    """Reader of one split."""

    def from_file(self, path: str, kind: str) -> Split:
        """Read a file of ``kind`` tsv, csv or jsonl. Short and unlabelled rows are skipped and counted.

        Raises:
            DataError: The file cannot be read, or a row is not valid; names file and row.
        """
        rows = self.open(path, kind)
        split = self._split(path, rows, lambda: rows.short)
        self.notes += rows.notes
        return split

    def from_hub(self, source: str, config: str | None, split: str, revision: str | None = None) -> Split:
        """Read a split of a data set on the Hugging Face hub, or of a local copy, which is never cached.

        Raises:
            DataError: The data set is not found, or a column or row is not valid; names it.
        """
        where = f"hub data set {source!r}, split {split!r}"
        try:
            with _loaded(source, config, split, revision) as data:
                self.columns = self.columns.among(data.column_names)
                if missing := [column for column in self.columns.wanted if column not in data.column_names]:
                    hint = did_you_mean(nearest(missing[0], data.column_names[:1000]))
                    raise DataError(
                        f"{where}: expected a column {missing[0]!r}, got {listed(data.column_names, 20)}{hint}"
                    )
                return self._split(where, _hub_rows(where, data, self.columns.wanted), lambda: 0)
        except DataError:
            raise
        except Exception as error:  # errors of `datasets` have no common base class
            reason = _reason(error)
            if os.path.isdir(source):
                raise DataError(f"{where}: the local copy cannot be read: {reason}") from error
            raise DataError(
                f"{where}: Data set not found: {source!r} is not a local directory, and not a data set on the hub "
                f"that can be read: {reason}"
            ) from error

    def _split(self, where: str, rows: Iterable[tuple[int, Mapping[str, str]]], short: Any) -> Split:
        out: dict[str, list[Any]] = {name: [] for name in (*self.columns.texts, "label", *self.columns.copied)}
        for example in self.examples(where, rows):
            for name, value in example.items():
                out[name].append(value)
        skipped = self.skipped(short())
        if not out["label"]:
            raise self.nothing(where, short())
        for reason, count in skipped.items():
            if count:
                self.notes.append(f"{where}: {count} {reason} row{'s' if count > 1 else ''} skipped")
        return Split(self.name, datasets.Dataset.from_dict(out), self.labels, self.collapse)


def _loaded(
    source: str, config: str | None, split: str, revision: str | None
) -> AbstractContextManager[datasets.Dataset]:
    name, its_config = (source, config) if os.path.isdir(source) else hub_name(source, config)
    if name and os.path.isdir(name):  # also a directory with the name of the hub repository
        return local_copy(name, its_config, split)
    if problem := directory_problem(source, "Data set"):
        raise DataError(problem.message + (f" Did you mean {problem.nearest!r}?" if problem.nearest else ""))
    return nullcontext(datasets.load_dataset(name, its_config, split=split, revision=revision))


def hub_name(source: str, config: str | None) -> tuple[str, str | None]:
    """Map ``glue/mnli`` to the present repository of GLUE and its configuration; other names stay unchanged."""
    first, slash, second = source.partition("/")
    return (_GLUE, config or second) if slash and first == "glue" else (source, config)


def collapse_to(labels: Sequence[str], own: Sequence[str], mapping: Mapping[str, str]) -> tuple[int, ...] | None:
    """Give for each label of the model the index of a split's own label; None if the labels are the same."""
    if tuple(labels) == tuple(own) and not mapping:
        return None
    return tuple(own.index(mapping.get(label, label)) for label in labels)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:399]}…"


def _hub_rows(where: str, data: datasets.Dataset, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    for column in columns:
        # Reading other types may open files: an image is a path.
        if not isinstance(feature := data.features[column], datasets.Value | datasets.ClassLabel):
            got = type(feature).__name__
            raise DataError(f"{where}: expected a text or a number in {column!r}, got a column of the type {got}")
    named = {c: f for c, f in data.features.items() if c in columns and isinstance(f, datasets.ClassLabel)}
    for number, row in enumerate(data.select_columns(list(columns)), 1):
        cells = {}
        for column in columns:
            value = row[column]
            if column in named and isinstance(value, int):
                value = "" if value < 0 else named[column].int2str(value)  # -1 is the hub's "unlabelled"
            if not isinstance(value, str | int | float | None):
                got = type(value).__name__
                raise DataError(f"{where}: row {number}: expected a text or a number in {column!r}, got {got}")
            cells[column] = "" if value is None else str(value).strip()
        yield number, cells
