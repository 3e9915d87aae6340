"""Options of a run that are not part of the recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class RunOptions:
    """Options of a run that are not part of the recipe.

    Attributes:
        out: The run directory; None: write results only into the store.
        stored_only: Compute nothing; a stage that is not in the store is an error.
        keep: Stage -> additional points to keep, because other recipes keep them or start there.
        users: Additional run directories that use the results, so that garbage collection keeps them.
        full_models: Write packed models in full into the run directory, for plain transformers.
        shared: Share data and models with other runs of this process.
    """

    out: Path | None = None
    stored_only: bool = False
    keep: Mapping[str, Iterable[str]] = field(default_factory=dict)
    users: Sequence[Path] = ()
    full_models: bool = True
    shared: bool = False
