"""Converts a pickled table of bias probabilities to the JSON that the bias model ``bias-file`` reads."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from srframework.errors import DataError, UsageError
from srframework.files import write_text
from srframework.inputs.pickled import LARGEST, Array, read_plain
from srframework.text import shorten
from srframework.text_file import open_input

_MOST_LABELS = 1000

_ZERO = -1e9
"""Written in place of the logarithm of 0, which JSON does not have; its exponential is 0."""


def convert(source: Path, target: Path) -> tuple[int, int, bool]:
    """Convert a pickled dictionary: example id -> its (log-)probabilities.

    Args:
        source: The pickle; see :mod:`srframework.inputs.pickled`.
        target: A new .json file: a table from example id, as a text, to a list of numbers.

    Returns:
        Number of rows, numbers in each row, and whether they are log-probabilities.

    Raises:
        UsageError: The target exists.
        DataError: The source cannot be read, or is not such a table; names the first wrong row.
    """
    if target.exists():
        raise UsageError(f"{target} already exists; remove it, or choose another name")
    content = _content(source)
    table = _table(read_plain(content, str(source)), str(source), len(content))
    is_log = _are_logs(table, str(source))
    write_text(target, json.dumps(table, allow_nan=False) + "\n")
    return len(table), len(next(iter(table.values()))), is_log


def _content(path: Path) -> bytes:
    with open_input(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > LARGEST:
            raise DataError(f"{path}: expected at most {LARGEST} bytes, got {size}")
        return file.read()


def _table(value: Any, path: str, most: int) -> dict[str, list[float]]:
    """Check and copy the rows; ``most``: numbers in all rows together, for a file may use one long row often."""
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected a dictionary from example ids to rows, got {_kind(value)}")
    if not value:
        raise DataError(f"{path}: expected a dictionary from example ids to rows, got an empty one")
    table: dict[str, list[float]] = {}
    width = total = 0
    for key, given in value.items():
        row = _row(given, f"{path}: id {shorten(str(key))}")
        width = width or len(row)
        if len(row) != width:
            raise DataError(
                f"{path}: id {shorten(str(key))}: expected {width} numbers, as in the first row, got {len(row)}"
            )
        if str(key) in table:
            raise DataError(f"{path}: expected each id once, got {shorten(str(key))} as a text and as a number")
        if (total := total + width) > most:
            raise DataError(f"{path}: expected at most {most} numbers, one for each byte of the file, got more")
        table[str(key)] = row
    return table


def _row(given: Any, where: str) -> list[float]:
    if isinstance(given, Array):
        if given.size not in given.shape:
            raise DataError(f"{where}: expected one row of numbers, got an array of shape {given.shape}")
        if given.size > _MOST_LABELS:
            raise DataError(f"{where}: expected at most {_MOST_LABELS} numbers, got an array of {given.size}")
        given = given.numbers()
    if not isinstance(given, list | tuple):
        raise DataError(f"{where}: expected a list, a tuple or an array of numbers, got {_kind(given)}")
    if not 2 <= len(given) <= _MOST_LABELS:
        raise DataError(f"{where}: expected a number for each label, 2 to {_MOST_LABELS}, got {len(given)}")
    for each in given:
        if isinstance(each, bool) or not isinstance(each, int | float):
            raise DataError(f"{where}: expected numbers, got {_kind(each)}")
        if math.isnan(each) or each == math.inf:
            raise DataError(f"{where}: expected finite numbers, got {each}")
    return [_ZERO if each == -math.inf else float(each) for each in given]


def _are_logs(table: Mapping[str, Sequence[float]], path: str) -> bool:
    """Whether the rows are log-probabilities, not probabilities."""
    if all(_sum_to_one(row) for row in table.values()):
        return False
    for key, row in table.items():
        if not (max(row) < 1e-3 and _sum_to_one([math.exp(each) for each in row])):
            expected = "expected rows of probabilities, or rows of log-probabilities, that sum to 1"
            raise DataError(f"{path}: id {shorten(key)}: {expected}; got {shorten(str(list(row)))}")
    return True


def _sum_to_one(row: Sequence[float]) -> bool:
    return min(row) >= 0 and abs(math.fsum(row) - 1) < 1e-3


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__.strip('_')}"
