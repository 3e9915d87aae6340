"""How a recipe runs, as one value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class RunOptions:
    """How a recipe runs.

    Attributes:
        out: The run directory; None: the results go into the store alone.
        stored_only: Compute nothing; a stage that is not in the store is an error.
        keep: Stage -> further steps to keep, at which stages of other recipes start.
        users: Further run directories for which the results stay in the store.
        shared: Use the data and models that an earlier run of this process read, and keep them for the next.
    """

    out: Path | None = None
    stored_only: bool = False
    keep: Mapping[str, Iterable[int]] = field(default_factory=dict)
    users: Sequence[Path] = ()
    shared: bool = False
