"""Parses rows into examples, one at a time: checks texts, looks up labels, counts skipped rows."""

from __future__ import annotations

import ast
import itertools
import os
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from srf_datasets.label_tests import Hint, Ordering
from srf_datasets.published import not_found
from srframework import DataError, FileProblem, MissingColumn, RowFile, did_you_mean, nearest

UNLABELLED = ("", "-")
"""Contents of the label column of an unlabelled row; "-" as in MNLI."""

FIRST_ROWS = 100
FIRST_BYTES = 1 << 16
"""Rows and bytes that `validate` reads of a file."""

Row = dict[str, str | int]
"""One example: its texts, the index of its label, further columns."""


@dataclass(frozen=True)
class Columns:
    """The columns of a source.

    Attributes:
        text_a, label: Columns of the first text and of the label.
        text_b: Column of the second text; ``""`` for none.
        keep: Further columns.
        id: Column with the ids of examples; ``""`` for none. It may be missing from the source.
        where: Column -> value; other rows are skipped.
    """

    text_a: str
    text_b: str
    label: str
    keep: tuple[str, ...] = ()
    id: str = ""
    where: Mapping[str, str] = field(default_factory=dict)

    def among(self, given: Collection[str]) -> Columns:
        """Drop ``id`` if the source, with the columns ``given``, lacks it."""
        return self if self.id in given else replace(self, id="")

    @property
    def copied(self) -> dict[str, str]:
        """Our name of each further column -> its name in the source."""
        return {**{column: column for column in self.keep}, **({"id": self.id} if self.id else {})}

    @property
    def texts(self) -> dict[str, str]:
        """Our name of each text column -> its name in the source."""
        return {"text_a": self.text_a, **({"text_b": self.text_b} if self.text_b else {})}

    @property
    def wanted(self) -> tuple[str, ...]:
        """All columns that the source must have."""
        return tuple(dict.fromkeys([*self.texts.values(), self.label, *self.copied.values(), *self.where]))


@dataclass
class Parser:
    """Parser of the rows of one split.

    Attributes:
        name: Name of the split.
        labels: Labels of the split.
        columns: Columns of the source.
        label_names: Word in the source -> label; other words are labels themselves.
        collapse: As in :class:`srframework.Split`.
        text: Converts a cell to a text; raises ValueError with a message if it cannot.
        skip_empty: Whether a row with an empty text is skipped and counted; else it is an error.
        encoding: Encoding of files.
        has_format: Whether the data set has an option ``format`` that messages may suggest.
        notes: Sentences about skipped rows.
    """

    name: str
    labels: tuple[str, ...]
    columns: Columns
    label_names: Mapping[str, str] = field(default_factory=dict)
    collapse: tuple[int, ...] | None = None
    text: Callable[[str], str] = str
    skip_empty: bool = False
    encoding: str = "utf-8"
    has_format: bool = False
    notes: list[str] = field(default_factory=list, init=False)
    _unlabelled: int = field(default=0, init=False)
    _empty: int = field(default=0, init=False)

    def open(self, path: str, kind: str, at_most: int | None = None) -> RowFile:
        """Open a file of rows; ``kind``: tsv, csv or jsonl; ``at_most``: bytes to read."""
        given = RowFile(path, kind, (), self.encoding, self.has_format).header() if self.columns.id else ()
        self.columns = self.columns.among(given)
        distinct = (*self.columns.texts.values(), self.columns.label)
        return RowFile(path, kind, self.columns.wanted, self.encoding, self.has_format, at_most, distinct)

    def check(self, path: str, kind: str) -> None:
        """Check the first rows of a file.

        Raises:
            DataError: A row is not valid, or no row is an example; names file and row.
        """
        rows = self.open(path, kind, FIRST_BYTES)
        found = sum(1 for _ in self.examples(path, itertools.islice(rows, FIRST_ROWS)))
        if rows.complete and not found:
            raise self.nothing(path, rows.short)

    def examples(self, where: str, rows: Iterable[tuple[int, Mapping[str, str]]]) -> Iterator[Row]:
        """Parse rows into examples; ``where``: their file, for messages.

        Raises:
            DataError: A label is unknown, or a text is empty or not valid; names the row.
        """
        columns, index = self.columns, {label: position for position, label in enumerate(self.labels)}
        self._unlabelled = self._empty = 0
        for number, row in rows:
            if any(row[column] != value for column, value in columns.where.items()):
                continue
            word = row[columns.label]
            label = self.label_names.get(word, word)
            if label in UNLABELLED:
                self._unlabelled += 1
                continue
            if label not in index:
                raise self._unknown(f"{where}: row {number}", word)
            texts = {
                column: self._text(f"{where}: row {number}", column, row[column]) for column in columns.texts.values()
            }
            if blank := [column for column, text in texts.items() if not text]:
                if not self.skip_empty:
                    raise DataError(f"{where}: row {number}: expected a text in column {blank[0]!r}, got an empty one")
                self._empty += 1
                continue
            yield {
                **{name: texts[column] for name, column in columns.texts.items()},
                "label": index[label],
                **{name: row[column] for name, column in columns.copied.items()},
            }

    def nothing(self, where: str, short: int) -> DataError:
        """Make the error for a source without examples."""
        counted = ", ".join(f"{count} {reason}" for reason, count in self.skipped(short).items())
        wanted = f"labelled rows for split {self.name!r} with {dict(self.columns.where) or 'any values'}"
        return DataError(f"{where}: expected {wanted}, got none ({counted})")

    def skipped(self, short: int) -> dict[str, int]:
        """Count the rows skipped so far: reason -> rows; ``short``: the short rows of the file."""
        empty = {"empty": self._empty} if self.skip_empty else {}
        return {"short": short, "unlabelled": self._unlabelled, **empty}

    def _unknown(self, where: str, word: str) -> DataError:
        named = [each for each, label in self.label_names.items() if label in self.labels]
        choices = [*named, *(each for each in self.labels if each not in self.label_names.values())]
        near = nearest(word, choices) if len(word) < 200 else None
        shown = repr(word) if len(word) <= 200 else f"{word[:199]!r}…"
        return DataError(f"{where}: expected a label ({', '.join(choices)}), got {shown}{did_you_mean(near)}")

    def _text(self, where: str, column: str, cell: str) -> str:
        try:
            return self.text(cell)
        except ValueError as error:
            raise DataError(f"{where}: column {column!r}: {error}") from error


Key = tuple[str | int, ...]


@dataclass(frozen=True)
class FileToCheck:
    """A file of a data set that `validate` checks.

    Attributes:
        key: The option that names the file.
        path, format: Path and format of the file.
        parser: Makes the parser; raises DataError.
        keys: Column -> the option that names the column, if there is one.
        split: Name of the split.
        known: Its name among the published splits: ``"mnli/train"``; empty if nothing is published.
        hint, orderings: Tests of its labels.
        may_have_short_rows: Whether the published file has rows that are too short.
    """

    key: Key
    path: str
    format: str
    parser: Callable[[], Parser]
    keys: Mapping[str, Key] = field(default_factory=dict)
    split: str = ""
    known: str = ""
    hint: Hint | None = None
    orderings: tuple[Ordering, ...] = ()
    may_have_short_rows: bool = False


def check_all(files: Iterable[FileToCheck]) -> Iterator[FileProblem]:
    """Check the header and the first rows of files; yield their problems."""
    for file in files:
        if not os.path.lexists(file.path):
            yield FileProblem(file.key, not_found(file.path, file.known))
            continue
        try:
            file.parser().check(file.path, file.format)
        except MissingColumn as error:
            message = str(error).removesuffix(did_you_mean(error.near))
            yield FileProblem(file.keys.get(error.column, file.key), message, error.near)
        except DataError as error:
            yield FileProblem(file.key, str(error))


def one_of(path: str, given: Sequence[str], names: Sequence[str]) -> str:
    """Find the first of ``names`` among the columns ``given`` of a file.

    Raises:
        MissingColumn: No column has one of these names; suggests the nearest.
    """
    if found := [name for name in names if name in given]:
        return found[0]
    near = next((near for name in names if (near := nearest(name, given))), None)
    expected = " or ".join(map(repr, names))
    raise MissingColumn(
        f"{path}: row 1: expected a column {expected}, got {', '.join(given) or 'none'}", names[0], near
    )


def text_of_literal(cell: str) -> str:
    r"""Decode a cell with a Python bytes literal; other cells stay unchanged.

    Raises:
        ValueError: The cell starts like a bytes literal but is not one, or its bytes are not UTF-8.

    >>> text_of_literal(r"b'caf\xc3\xa9 \'n\''"), text_of_literal("plain")
    ("café 'n'", 'plain')
    """
    if not cell.startswith(("b'", 'b"')):
        return cell
    shown = cell if len(cell) <= 60 else cell[:59] + "…"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an unknown escape sequence is an error too
            value = ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"expected a Python bytes literal, got {shown}") from error
    if not isinstance(value, bytes):
        raise ValueError(f"expected a Python bytes literal, got {shown}")
    try:
        return value.decode().strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8 text, got the byte 0x{value[error.start]:02x} in {shown}") from error
