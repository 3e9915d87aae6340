"""Reads word vectors from a fastText file, and looks up those of the words of texts.

Shapes: V different words, vectors of d numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import BinaryIO

import numpy as np

from srf_datasets.vector_files import LONGEST, read_head
from srframework import DataError, Split, open_input

_LARGEST = float(np.finfo(np.float32).max)

WordVectors = Callable[[Sequence[str]], np.ndarray]
"""V words -> ``(V, d)``, float; zeros for a word without a vector."""

Features = Callable[[Split, WordVectors], np.ndarray]
"""A split of N examples -> ``(N, F)``, float."""


def read_vectors(path: str, wanted: Sequence[str]) -> np.ndarray:
    """Read the vectors of some words from a fastText ``.vec`` text file.

    The first row has the number of words and the number of dimensions. Every other row has a word and its numbers,
    separated by single spaces. If a word has two rows, the first counts. Words are case-sensitive.

    Args:
        path: The file, UTF-8.
        wanted: V words.

    Returns:
        ``(V, d)``, float32; zeros for a word that is not in the file.

    Raises:
        DataError: The file cannot be read, or a row is not valid; names file and row.
    """
    with open_input(path) as file:
        count, dimensions = read_head(file, path)
        found, read = _found(file, path, dimensions, set(wanted))
    if read != count:
        raise DataError(f"{path}: expected {count} words, as in its first row, got {read}")
    vectors = np.zeros((len(wanted), dimensions), dtype=np.float32)
    for place, word in enumerate(wanted):
        if word in found:
            vectors[place] = found[word]
    return vectors


def _found(file: BinaryIO, path: str, dimensions: int, missing: set[str]) -> tuple[dict[str, np.ndarray], int]:
    """Find the vectors of the ``missing`` words; also count the words of the file."""
    found: dict[str, np.ndarray] = {}
    read = 0
    for number, line in _rows(file, path):
        read += 1
        word, _, rest = line.partition(" ")
        given = rest.count(" ") + 1 if rest else 0
        if given != dimensions:
            raise DataError(f"{path}: row {number}: expected {dimensions} numbers after {_shown(word)}, got {given}")
        if word in missing:
            missing.remove(word)
            found[word] = np.array([_number(each, path, number) for each in rest.split(" ")], dtype=np.float32)
    return found, read


def with_vectors_of(path: str | None, features: Features) -> Features:
    """Make features use the vectors of a file instead of those they are given; unchanged if ``path`` is None."""
    if path is None:
        return features
    return lambda split, _: features(split, partial(read_vectors, path))


def table(texts: Iterable[Iterable[str]], word_vectors: WordVectors) -> tuple[dict[str, int], np.ndarray]:
    """Look up the vectors of all words of some texts, in one call of ``word_vectors``.

    Returns:
        Word -> its row; and the vectors, ``(V, d)``, in the precision of ``word_vectors``.
    """
    vocabulary = list(dict.fromkeys(word for text in texts for word in text))
    vectors = np.asarray(word_vectors(vocabulary))
    if not np.issubdtype(vectors.dtype, np.floating):
        vectors = vectors.astype(np.float64)
    return {word: row for row, word in enumerate(vocabulary)}, vectors


def _rows(file: BinaryIO, path: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of the rows after the first, without blank rows and trailing spaces."""
    number = 1
    try:
        while raw := file.readline(LONGEST + 1):
            number += 1
            if len(raw) > LONGEST:
                raise DataError(f"{path}: row {number}: expected at most {LONGEST >> 20} MiB in a row, got more")
            try:
                line = raw.decode()
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                raise DataError(f"{path}: row {number}: expected UTF-8 text, got the byte 0x{byte:02x}") from error
            if line := line.rstrip(" \r\n"):
                yield number, line
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


def _number(text: str, path: str, row: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:
        raise DataError(f"{path}: row {row}: expected a number, got {_shown(text)}")
    return value
