"""claims.json: the verdicts of claims, in the directory of their runs; written by :mod:`srframework.claims.run`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from srframework.files import read_bytes

NAME = "claims.json"


class ClaimFigure(msgspec.Struct):
    """A figure that the checks name: its unit, and its values over the seeds."""

    unit: str
    values: list[float]
    mean: float
    sd: float | None


class ClaimCheck(msgspec.Struct):
    """The decision about a check or a control; see :class:`srframework.claims.judgement.Decision`."""

    verdict: str
    seeds: int | None
    reason: str


class ClaimRow(msgspec.Struct):
    """A claim: an object of ``claims --json``."""

    claim: str
    statement: str
    source: str
    note: str
    verdict: str
    figures: dict[str, ClaimFigure]
    checks: dict[str, ClaimCheck]
    controls: dict[str, ClaimCheck]
    error: str = ""


def find_claims(directories: Sequence[str]) -> tuple[list[ClaimRow], list[str]]:
    """Read every claims.json at any depth under the directories; skip hidden directories and links.

    Returns:
        The claims in the order of their files, each file once; and a sentence for each file that cannot be read.
    """
    rows: list[ClaimRow] = []
    damaged: list[str] = []
    known: set[Path] = set()
    for directory in directories:
        for folder, folders, names in os.walk(directory):
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            if NAME not in names:
                continue
            path = Path(folder, NAME)
            if (real := path.resolve()) in known:
                continue
            known.add(real)
            try:
                rows += msgspec.json.decode(read_bytes(path), type=list[ClaimRow])
            except (OSError, ValueError, RecursionError) as error:
                damaged.append(f"{path}: expected the verdicts of claims; {error}")
    return rows, damaged
