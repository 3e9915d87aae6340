"""Vectors of words: a fastText file of them, and a table of those that some texts need.

Shapes: V different words, vectors of d numbers.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from srframework import DataError, Split

WordVectors = Callable[[Sequence[str]], np.ndarray]
"""V words -> ``(V, d)``, float; a row of zeros for a word without a vector."""

Features = Callable[[Split, WordVectors], np.ndarray]
"""A split of N examples -> ``(N, F)``, float."""


def read_vectors(path: str, wanted: Sequence[str]) -> np.ndarray:
    """Vectors of some words, out of a fastText ``.vec`` text file.

    Its first row says how many words there are and of how many dimensions; every further row
    is a word and its numbers, with single spaces between. Of two rows for one word the first counts. Case matters.

    Args:
        path: The file, UTF-8.
        wanted: V words.

    Returns:
        ``(V, d)``, float32; zeros for a word that is not in the file.

    Raises:
        DataError: The file cannot be read, or a row is not of that form; names file and row.
    """
    rows = _rows(path)
    number, first = next(rows, (1, ""))
    counts = first.split()
    if len(counts) != 2 or not all(each.isascii() and each.isdigit() for each in counts) or int(counts[1]) < 1:
        got = first if len(first) <= 40 else first[:39] + "…"
        raise DataError(f"{path}: row {number}: expected two numbers, of words and of dimensions, got {got!r}")
    count, dimensions = map(int, counts)
    missing, found = set(wanted), dict[str, np.ndarray]()
    read = 0
    for number, line in rows:
        read += 1
        word, _, rest = line.partition(" ")
        given = rest.count(" ") + 1 if rest else 0
        if given != dimensions:
            raise DataError(f"{path}: row {number}: expected {dimensions} numbers after {word!r}, got {given}")
        if word in missing:
            missing.remove(word)
            found[word] = np.array([_number(each, path, number) for each in rest.split(" ")], dtype=np.float32)
    if read != count:
        raise DataError(f"{path}: expected {count} words, as its first row says, got {read}")
    vectors = np.zeros((len(wanted), dimensions), dtype=np.float32)
    for place, word in enumerate(wanted):
        if word in found:
            vectors[place] = found[word]
    return vectors


def with_vectors_of(path: str | None, features: Features) -> Features:
    """The features, with vectors out of a file, if there is one, whatever vectors they are given."""
    if path is None:
        return features
    return lambda split, _: features(split, partial(read_vectors, path))


def table(texts: Iterable[Iterable[str]], word_vectors: WordVectors) -> tuple[dict[str, int], np.ndarray]:
    """Look all words of some texts up, once.

    Returns:
        For each different word its row; and the rows, ``(V, d)``, of the precision that
        ``word_vectors`` gives.
    """
    vocabulary = list(dict.fromkeys(word for text in texts for word in text))
    vectors = np.asarray(word_vectors(vocabulary))
    if not np.issubdtype(vectors.dtype, np.floating):
        vectors = vectors.astype(np.float64)
    return {word: row for row, word in enumerate(vocabulary)}, vectors


def _rows(path: str) -> Iterator[tuple[int, str]]:
    """Rows that are not blank, with their numbers from 1, without the space at their end."""
    try:
        with open(path, "rb") as file:
            for number, raw in enumerate(file, 1):
                try:
                    line = raw.removeprefix(codecs.BOM_UTF8).decode() if number == 1 else raw.decode()
                except UnicodeDecodeError as error:
                    byte = error.object[error.start]
                    got = f"expected UTF-8 text, got the byte 0x{byte:02x}"
                    raise DataError(f"{path}: row {number}: {got}") from error
                if line := line.rstrip(" \r\n"):
                    yield number, line
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _number(text: str, path: str, row: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}: row {row}: expected a number, got {text!r}")
    return value
