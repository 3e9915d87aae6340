"""Options of the pruners."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from srframework import KeptLevels, PruneOptions, keeps_level, require_reached


class OneShotOptions(PruneOptions):
    """Options of ``omp`` and ``random``."""

    sparsity: float = Field(0.7, ge=0, lt=1, description="Fraction of the entries to prune, in [0, 1).")


class ImpOptions(PruneOptions):
    """Options of ``imp``; the defaults are the paper's (App. A.1.1)."""

    sparsity: float = Field(
        0.9, gt=0, lt=1, description="Fraction of the entries pruned at the end, in (0, 1); a multiple of step."
    )
    step: float = Field(0.1, gt=0, lt=1, description="Δs: fraction of all entries that each prune removes, in (0, 1).")
    interval: float = Field(
        0.1, gt=0, le=1, description="Δt: steps between prunes, as a fraction of the stage's steps, in (0, 1]."
    )

    decay: Literal["complete", "interval"] = Field(
        "complete",
        json_schema_extra={"source": "released code; not specified in the paper"},
        description="The learning rate starts at its peak after each prune and decays linearly to 0 over the steps of "
        "the complete training (complete), so within an interval of 0.1 it only falls to 90 %; or over the steps of "
        "the interval (interval).",
    )

    levels: KeptLevels = Field(
        "last",
        description='Sparsity levels to save and measure, as imp@0.5: "all", "last" (only the end of the stage, which '
        "is the last level), or an array such as [0.2, 0.5]. A level that another stage refers to is always kept. The "
        "result of the stage does not depend on this option.",
    )

    @model_validator(mode="after")
    def _levels_reach_sparsity(self) -> ImpOptions:
        levels = self.sparsity / self.step
        if abs(levels - round(levels)) > 1e-6 or round(levels) < 1:
            raise ValueError(
                f"a sparsity that is a multiple of step (got sparsity = {self.sparsity:g}, step = {self.step:g})"
            )
        require_reached(self.levels, self.reached())
        return self

    def reached(self) -> list[float]:
        """List the sparsity levels, including the last: 0.1, 0.2, …"""
        return [round(self.step * k, 10) for k in range(1, round(self.sparsity / self.step) + 1)]

    def keeps(self, level: float) -> bool:
        """Whether a level is saved and measured, besides the end of the stage."""
        return keeps_level(self.levels, level)


class ImpRewindOptions(ImpOptions):
    """Options of ``imp-rw``; the defaults are the paper's (App. A.1.1)."""

    rewind: Literal["all", "all-but-classifier"] = Field(
        "all",
        json_schema_extra={"source": "App. A.1.1; all-but-classifier: released code"},
        description="Parameters that every prune resets to their initial values: all, or all but the classifier's.",
    )
