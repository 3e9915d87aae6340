"""Registers the pruner wanda. Every command imports this module, so it must not import torch."""

from pydantic import Field

from srframework import Component, PruneOptions, hookimpl


class WandaOptions(PruneOptions):
    """Options of wanda; the defaults are those of the paper."""

    sparsity: float = Field(0.5, ge=0, lt=1, description="Fraction of the entries to prune, in [0, 1).")
    examples: int = Field(128, ge=1, description="Training examples that the norms are computed from; at least 1.")


@hookimpl
def srframework_pruners():
    """Register wanda."""
    return [
        Component(
            name="wanda",
            options=WandaOptions,
            factory="wanda.pruner:Wanda",
            summary="Prunes the weights with the smallest |weight| × norm of its input, in each row, once.",
            source="Sun et al. 2023 (arXiv 2306.11695), section 3",
            example={"examples": 4},
        )
    ]
