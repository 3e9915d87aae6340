"""The tables of a recipe and of a stage, by the keys that they may have."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from srframework.component import Options
from srframework.recipe.model import PRETRAINED

DEFAULT_LOSS = "std"
"""The loss of a stage that names none."""


class RecipeTable(Options):
    """A recipe file."""

    name: str = Field(min_length=1, description="What the recipe is called.")
    version: Literal[1] = Field(alias="schema", description="Version of the recipe language: 1.")
    seed: int = Field(0, ge=0, lt=2**32, description="From which all randomness flows; in [0, 2^32).")
    description: str = Field("", description="What the recipe shows.")
    backbone: Any = Field(description="The encoder: a table with `use`, and its options.")
    dataset: Any = Field(description="The task: a table with `use`, and its options.")
    evaluators: Annotated[tuple[Any, ...], Field(strict=False)] = Field(
        (), description="Evaluators besides those that the data set asks for: names, or tables with `use`."
    )
    bias: Any = Field(None, description="The bias model: a table with `use`, and its options.")
    training: dict[str, Any] = Field({}, description="Training options of every stage.")
    variant: str | None = Field(None, description="Which of [variants] overrides the rest; unset, none.")
    variants: dict[str, dict[str, Any]] = Field({}, description="Named tables of overrides.")
    sweep: dict[str, Any] = Field({}, description="Keys, each with an array of values: one run for each combination.")
    claim: dict[str, Any] | None = Field(
        None, description="What the recipe is to confirm or refute: a statement, and its checks."
    )
    stages: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = Field(
        min_length=1, description="The stages: at least one [[stages]] table."
    )


_LONGEST_NAME = 100
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))]
)
"""What Windows takes for a device, with whatever ending, when it is the name of a file."""


def _as_directory(name: str) -> str:
    """A stage has a directory of its name, on any file system."""
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"a name of at most {_LONGEST_NAME} characters, since it names a directory")
    if name.partition(".")[0].lower() in _RESERVED:
        raise ValueError("a name that is not reserved for a device on Windows, since it names a directory")
    if name.endswith("."):
        raise ValueError("a name that does not end in a dot, since it names a directory")
    return name


class StageTable(Options):
    """A ``[[stages]]`` table, less its training options."""

    name: Annotated[str, AfterValidator(_as_directory)] = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="A name: letters, digits, '_', '.' and '-'."
    )
    op: Literal["train", "prune"] = Field(description="'train' or 'prune'.")
    weights: str = Field(PRETRAINED, description="Weights to start from.")
    mask: str | None = Field(None, description="Mask to keep fixed.")
    pruner: Any = Field(None, description="The pruner of a prune stage: a table with `use`, and its options.")
    loss: Any = Field(None, description="The debiaser: a table with `use`, and its options; unset, std.")
