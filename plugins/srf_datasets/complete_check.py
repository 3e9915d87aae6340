"""Checks all rows of the files of a data set, for ``srframework data check``. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from srf_datasets.label_tests import CLEAR, HintTest, OrderingTest, exchanged
from srf_datasets.parsing import FileToCheck, Parser
from srf_datasets.published import Published, not_found, published_split
from srf_datasets.vector_files import LONGEST, read_head
from srframework import DataError, Finding, RowFile, listed, open_input

_TAIL = 1 << 20
"""Bytes of the end of a file that are read to find its last row."""


def findings(files: Iterable[FileToCheck]) -> Iterator[Finding]:
    """Check all rows of some files: layout, size, class shares, labels."""
    every = list(files)
    for file in every:
        yield from _of_file(file)
    yield from _rows_of_no_split(every)


def _of_file(file: FileToCheck) -> Iterator[Finding]:
    def found(state: str, check: str, message: str) -> Finding:
        return Finding(state, file.split, check, message, file.path)  # type: ignore[arg-type]  # str for Literal

    if not os.path.lexists(file.path):
        yield found("problem", "file", not_found(file.path, file.known))
        return
    try:
        counted = _Counted(file)
    except DataError as error:
        yield found("problem", "rows", str(error))
        return
    if (message := _cut_off(file, counted.parser)) is not None:
        yield found("problem", "rows", message)
    skipped = {reason: count for reason, count in counted.parser.skipped(counted.short).items() if count}
    rows = f"{counted.examples:,} examples"
    if skipped:
        rows += f"; skipped: {', '.join(f'{count:,} {reason}' for reason, count in skipped.items())}"
    short_rows = counted.short and not file.may_have_short_rows
    yield found("warning" if short_rows and message is None else "ok", "rows", rows)
    known = published_split(file.known)
    if known is not None:
        yield found(*_size(counted.examples + sum(skipped.values()) - counted.short, known))
    yield found(*_shares(counted.labels, known))
    for state, text in counted.label_verdicts():
        yield found(state, "labels", text)
    if known is not None and known.sha256:
        same = _sha256(file.path) == known.sha256
        text = "the published file" if same else "not byte for byte the published file"
        yield found("ok" if same else "warning", "checksum", f"{text} (sha256 {known.sha256[:12]}…)")


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open_input(path) as file:
        while chunk := file.read(_TAIL):
            digest.update(chunk)
    return digest.hexdigest()


class _Counted:
    """The rows of a file, counted.

    Attributes:
        parser: Its parser, after the last row.
        examples, short: Numbers of examples, and of rows that are too short.
        labels: Label -> examples, for every label of the split.

    Raises:
        DataError: A row is not valid, or there is no example.
    """

    def __init__(self, file: FileToCheck) -> None:
        self.parser = parser = file.parser()
        header = RowFile(file.path, file.format, (), parser.encoding).header()
        self._hint = HintTest(file.hint, parser.labels) if file.hint and file.hint.column in header else None
        if file.hint and self._hint is not None:
            parser.columns = replace(parser.columns, keep=(*parser.columns.keep, file.hint.column))
        orders = () if self._hint is not None or not parser.columns.text_b else file.orderings
        self._orders = [OrderingTest(each) for each in orders]
        rows = parser.open(file.path, file.format)
        counts = Counter[str]()
        for example in parser.examples(file.path, rows):
            label = parser.labels[int(example["label"])]
            counts[label] += 1
            if self._hint is not None:
                self._hint.add(str(example[self._hint.hint.column]), label)
            for each in self._orders:
                each.add(str(example["text_a"]), str(example["text_b"]), label)
        self.examples, self.short = counts.total(), rows.short
        if not self.examples:
            raise parser.nothing(file.path, rows.short)
        self.labels: dict[str, int] = {label: counts[label] for label in parser.labels}

    def label_verdicts(self) -> Iterator[tuple[str, str]]:
        """Yield the state and a sentence of each test of the labels."""
        if self._hint is not None:
            for right, text in self._hint.verdicts():
                yield "unknown" if right is None else "ok" if right else "problem", text
        for test in self._orders:
            distance, text = test.verdict()
            order = test.ordering
            if distance is None or abs(distance) < CLEAR:
                yield "unknown", f"{text}; too close to tell whether the two labels are exchanged"
            elif distance > 0:
                yield "ok", text
            else:
                state = "problem" if order.is_sure else "warning"
                yield state, f"{text}; usually {order.high} has more: are these labels exchanged?"


# -- size and shares -------------------------------------------------------------------------------


def _size(rows: int, known: Published) -> tuple[str, str, str]:
    if rows != known.rows:
        return "problem", "size", f"expected {known.rows:,} rows ({known.source}), got {rows:,}"
    return "ok", "size", f"{rows:,} rows, as published ({known.source})"


def _shares(counts: Mapping[str, int], known: Published | None) -> tuple[str, str, str]:
    total = sum(counts.values())
    got = {label: count / total for label, count in counts.items()}
    shown = ", ".join(f"{label} {100 * share:.1f} %" for label, share in got.items())
    if known is None or not known.shares:
        what = "published shares" if known is not None else "published figures"
        return "unknown", "shares", f"{shown}; there are no {what} to compare with"
    wanted = [known.shares[label] for label in got]
    published = f"{' / '.join(f'{100 * share:.1f}' for share in wanted)} % ({known.shares_source})"
    within = known.shares_within
    if total != known.rows:  # perhaps a random part
        within += 3 * math.sqrt(0.25 / total)

    def fit(shares: Sequence[float]) -> bool:
        return all(abs(a - b) <= within for a, b in zip(got.values(), shares, strict=True))

    if fit(wanted):
        return "ok", "shares", f"{shown}; published: {published}"
    message = f"expected the shares {published}, got {shown}"
    for order in itertools.permutations(got):
        if fit([known.shares[label] for label in order]):
            renamed = {a: b for a, b in zip(got, order, strict=True) if a != b}
            return "problem", "shares", f"{message}; they fit if {exchanged(renamed)}"
    return "problem", "shares", message


# -- ends of files, rows that no split has -----------------------------------------------------------


def _cut_off(file: FileToCheck, parser: Parser) -> str | None:
    """Describe a last row that is not complete: fewer cells than the header, and no line end."""
    if file.format == "jsonl" or parser.encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
        return None  # half a JSON object is an error of its row
    with open_input(file.path) as raw:
        size = os.fstat(raw.fileno()).st_size
        raw.seek(max(size - _TAIL, 0))
        tail = raw.read(_TAIL)
    if tail.endswith((b"\n", b"\r")) or b"\n" not in tail:
        return None
    separator = b"," if file.format == "csv" else b"\t"
    last, cells = tail.rpartition(b"\n")[2], len(RowFile(file.path, file.format, (), parser.encoding).header())
    if (got := last.count(separator) + 1) >= cells:
        return None
    return f"the last row is cut off: expected {cells} cells, got {got} and no line end; the file is not complete"


def _rows_of_no_split(files: Sequence[FileToCheck]) -> Iterator[Finding]:
    """Report the rows of a file that splits share by a column (``where``) but that belong to none of them."""
    by_path: dict[str, list[tuple[FileToCheck, Parser]]] = {}
    for file in files:
        try:
            parser = file.parser()
        except DataError:
            continue
        if parser.columns.where and os.path.isfile(file.path):
            by_path.setdefault(file.path, []).append((file, parser))
    for path, shared in by_path.items():
        columns = tuple(dict.fromkeys(column for _, parser in shared for column in parser.columns.where))
        left = Counter[tuple[str, ...]]()
        first, parser = shared[0]
        try:
            for _, row in RowFile(path, first.format, columns, parser.encoding):
                if not any(all(row[c] == v for c, v in each.columns.where.items()) for _, each in shared):
                    left[tuple(row.values())] += 1
        except DataError:
            continue  # reported for the split
        if left:
            values = listed(
                (f"{count:,} with {dict(zip(columns, key, strict=True))}" for key, count in left.items()), 5
            )
            yield Finding("warning", first.split, "rows", f"rows that belong to no split: {values}", path)


# -- word vectors --------------------------------------------------------------------------------------


def vector_findings(path: str) -> Iterator[Finding]:
    """Check all rows of a file of word vectors: the number of words, and of numbers in each row."""
    if not os.path.lexists(path):
        yield Finding("problem", "word_vectors", "file", not_found(path, "word-vectors"), path)
        return
    try:
        words, dimensions = _vectors(path)
    except DataError as error:
        yield Finding("problem", "word_vectors", "rows", str(error), path)
    else:
        yield Finding("ok", "word_vectors", "rows", f"{words:,} words of {dimensions} dimensions", path)


def _vectors(path: str) -> tuple[int, int]:
    with open_input(path) as file:
        words, dimensions = read_head(file, path)
        read = 0
        for number in itertools.count(2):
            line = file.readline(LONGEST + 1).rstrip(b" \r\n")
            if not line:
                if file.read(1):
                    file.seek(-1, os.SEEK_CUR)
                    continue  # a blank row
                break
            read += 1
            if (got := line.count(b" ")) != dimensions:
                raise DataError(f"{path}: row {number}: expected {dimensions} numbers after the word, got {got}")
    if read != words:
        raise DataError(f"{path}: expected {words:,} words, as in its first row, got {read:,}")
    return words, dimensions
