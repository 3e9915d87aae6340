"""What a complete check of the data found. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "problem", "warning", "unknown"]


@dataclass(frozen=True)
class Finding:
    """One result of :meth:`srframework.Options.check_data`.

    Attributes:
        state: ``"ok"``; ``"problem"``: the data are not right; ``"warning"``: they are probably not right, or not as
            published; ``"unknown"``: nothing is known to check them by.
        split: Name of the split, or of another part of the data: ``"train"``, ``"word_vectors"``.
        check: What was checked: ``"file"``, ``"rows"``, ``"size"``, ``"shares"``, ``"labels"``, ``"checksum"``.
        message: A sentence with figures: expected, got.
        path: The file; empty if none.
    """

    state: State
    split: str
    check: str
    message: str
    path: str = ""
