"""Vectors of words: a fastText file of them, and a table of those that some texts need.

Shapes: V different words, vectors of d numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import BinaryIO

import numpy as np

from srf_datasets.text_file import opened
from srf_datasets.vector_files import LONGEST, read_head
from srframework import DataError, Split

_LARGEST = float(np.finfo(np.float32).max)

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
    with opened(path) as file:
        count, dimensions = read_head(file, path)
        found, read = _found(file, path, dimensions, set(wanted))
    if read != count:
        raise DataError(f"{path}: expected {count} words, as its first row says, got {read}")
    vectors = np.zeros((len(wanted), dimensions), dtype=np.float32)
    for place, word in enumerate(wanted):
        if word in found:
            vectors[place] = found[word]
    return vectors


def _found(file: BinaryIO, path: str, dimensions: int, missing: set[str]) -> tuple[dict[str, np.ndarray], int]:
    """The vectors of the words that are there, and how many words the file has."""
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


def _rows(file: BinaryIO, path: str) -> Iterator[tuple[int, str]]:
    """The rows after the first that are not blank, with their numbers, without the space at their end."""
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
