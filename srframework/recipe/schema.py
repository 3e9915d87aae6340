"""The keys of a recipe file and of a ``[[stages]]`` table."""

from __future__ import annotations

import datetime
import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from srframework.component import Options
from srframework.recipe.model import PRETRAINED

DEFAULT_LOSS = "std"
"""The default loss of a stage."""

STAGE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""The names that a stage may have, as a regular expression."""


def _hashable(table: Any) -> Any:
    """Check a table that is parsed later: it is part of a hash, which has no dates and no infinite numbers."""
    values = table.values() if isinstance(table, dict) else table if isinstance(table, list) else ()
    for value in values:
        if isinstance(value, datetime.date | datetime.time):
            raise ValueError(f"no date and no time, got {value}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"finite numbers, got {value}")
        _hashable(value)
    return table


class RecipeTable(Options):
    """The top-level table of a recipe file."""

    name: str = Field(min_length=1, description="Name of the recipe.")
    version: Literal[1] = Field(alias="schema", description="Version of the recipe format: 1.")
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of all random numbers; in [0, 2^32).")
    description: str = Field("", description="Purpose of the recipe.")
    requires: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="Distributions of plugins that the recipe needs, with versions: ['my-plugin>=0.2']."
    )
    backbone: Any = Field(description="The encoder: a table with `use` and its options.")
    dataset: Any = Field(description="The data set: a table with `use` and its options.")
    evaluators: Annotated[tuple[Any, ...], Field(strict=False)] = Field(
        (), description="Evaluators in addition to those that the data set requires: names, or tables with `use`."
    )
    bias: Any = Field(None, description="The bias model: a table with `use` and its options.")
    training: dict[str, Any] = Field({}, description="Training options of all stages.")
    variant: str | None = Field(None, description="Name of the variant in [variants] to apply; default: none.")
    variants: dict[str, dict[str, Any]] = Field({}, description="Named tables of overrides.")
    sweep: dict[str, Any] = Field({}, description="Keys, each with an array of values; one run for each combination.")
    claim: dict[str, Any] | None = Field(None, description="A statement to confirm or refute, and its checks.")
    figure: Annotated[dict[str, Any], AfterValidator(_hashable)] | None = Field(
        None, description="Figures, each with its lines and the stages that they show."
    )
    stages: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = Field(
        min_length=1, description="The stages: at least one [[stages]] table."
    )


_LONGEST_NAME = 100
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))]
)
"""File names that Windows reserves for devices, with any extension."""


def _as_directory(name: str) -> str:
    """Check that the name of a stage is a valid directory name on every file system."""
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"a name of at most {_LONGEST_NAME} characters, because it names a directory")
    if name.partition(".")[0].lower() in _RESERVED:
        raise ValueError("a name that Windows allows for a directory")
    if name.endswith("."):
        raise ValueError("a name that does not end in a dot, because it names a directory")
    return name


class StageTable(Options):
    """A ``[[stages]]`` table, without its training options."""

    name: Annotated[str, AfterValidator(_as_directory)] = Field(
        pattern=STAGE_NAME, description="Name of the stage: letters, digits, '_', '.' and '-'."
    )
    op: Literal["train", "prune"] = Field(description="'train' or 'prune'.")
    weights: str = Field(PRETRAINED, description="Initial weights.")
    mask: str | None = Field(None, description="Mask that stays fixed.")
    pruner: Any = Field(None, description="The pruner of a prune stage: a table with `use` and its options.")
    loss: Any = Field(None, description="The debiaser: a table with `use` and its options; default: std.")
