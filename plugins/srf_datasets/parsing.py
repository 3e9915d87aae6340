"""Rows -> examples, without what it takes to keep them: texts checked, labels looked up, what is skipped counted."""

from __future__ import annotations

import ast
import itertools
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from srf_datasets.rows import MissingColumn, RowFile, columns_of
from srframework import DataError, FileProblem, did_you_mean, nearest

UNLABELLED = ("", "-")
"""What stands in the label column of a row that nobody labelled; "-" is MNLI's."""

FIRST_ROWS = 100
FIRST_BYTES = 1 << 16
"""Of a file that is only looked at, as `validate` does."""

Row = dict[str, str | int]
"""An example: its texts, its label as an index, further columns."""


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
class Parser:
    """What the rows of one split mean.

    Attributes:
        name: Of the split.
        labels: Of the split.
        columns: Of the source.
        label_names: Word in the source -> label; a word that is not in it is the label itself.
        collapse: As in :class:`srframework.Split`.
        text: What a cell with a text says; ValueError, with a message, where it says nothing.
        skip_empty: Whether a row with an empty text is skipped and counted, and no error.
        encoding: Of files.
        has_format: Whether the data set has an option ``format``, which messages may name.
        notes: Sentences on what was skipped.
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
        """The rows of a file; ``kind``: tsv, csv or jsonl."""
        given = columns_of(path, kind, self.encoding, self.has_format) if self.columns.id else ()
        self.columns = self.columns.among(given)
        return RowFile(path, kind, self.columns.wanted, self.encoding, self.has_format, at_most)

    def check(self, path: str, kind: str) -> None:
        """Read the first rows of a file.

        Raises:
            DataError: Something is wrong with them; names file and row.
        """
        rows = self.open(path, kind, FIRST_BYTES)
        found = sum(1 for _ in self.examples(path, itertools.islice(rows, FIRST_ROWS)))
        if rows.complete and not found:
            raise self.nothing(path, rows.short)

    def examples(self, where: str, rows: Iterable[tuple[int, Mapping[str, str]]]) -> Iterator[Row]:
        """The examples of some rows; ``where``: their file, for messages.

        Raises:
            DataError: A label is unknown, or a text is empty; names the row.
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
        """What is wrong with rows of which none is an example."""
        counted = ", ".join(f"{count} {what}" for what, count in self.skipped(short).items())
        wanted = f"labelled rows for split {self.name!r} with {dict(self.columns.where) or 'any values'}"
        return DataError(f"{where}: expected {wanted}, got none ({counted})")

    def skipped(self, short: int) -> dict[str, int]:
        """How many of the rows were skipped by now, and why; ``short``: those that their file counts."""
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
    """A file that a data set reads, as `validate` looks at it.

    Attributes:
        key: The option that names it.
        path, format: Of the file.
        parser: Made when it is asked for; raises DataError.
        keys: Column -> the option that names the column, where there is one.
    """

    key: Key
    path: str
    format: str
    parser: Callable[[], Parser]
    keys: Mapping[str, Key] = field(default_factory=dict)


def check_all(files: Iterable[FileToCheck]) -> Iterator[FileProblem]:
    """What is wrong with the header and the first rows of files."""
    for file in files:
        try:
            file.parser().check(file.path, file.format)
        except MissingColumn as error:
            message = str(error).removesuffix(did_you_mean(error.near))
            yield FileProblem(file.keys.get(error.column, file.key), message, error.near)
        except DataError as error:
            yield FileProblem(file.key, str(error))


def one_of(path: str, given: Sequence[str], names: Sequence[str]) -> str:
    """The first of some names that a column of a file has.

    Raises:
        MissingColumn: None has; names the nearest.
    """
    if found := [name for name in names if name in given]:
        return found[0]
    near = next((near for name in names if (near := nearest(name, given))), None)
    expected = " or ".join(map(repr, names))
    raise MissingColumn(
        f"{path}: row 1: expected a column {expected}, got {', '.join(given) or 'none'}", names[0], near
    )


def text_of_literal(cell: str) -> str:
    r"""What a Python bytes literal says; a cell that is none says itself.

    Raises:
        ValueError: It begins as such a literal and is none, or its bytes are not UTF-8.

    >>> text_of_literal(r"b'caf\xc3\xa9 \'n\''"), text_of_literal("plain")
    ("café 'n'", 'plain')
    """
    if not cell.startswith(("b'", 'b"')):
        return cell
    shown = cell if len(cell) <= 60 else cell[:59] + "…"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an escape that Python does not know is a mistake here too
            value = ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"expected a Python bytes literal, got {shown}") from error
    if not isinstance(value, bytes):
        raise ValueError(f"expected a Python bytes literal, got {shown}")
    try:
        return value.decode().strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8 text, got the byte 0x{value[error.start]:02x} in {shown}") from error
