"""Options of the pruners."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from srframework import Options


class PrunedParts(Options):
    """Options of all pruners: the parts to prune besides the encoder, and the scope of the sparsity."""

    classifier: bool = Field(
        True, json_schema_extra={"source": "§3.1"}, description="Prune the matrices of the classifier too."
    )
    pooler: bool = Field(
        False,
        json_schema_extra={"source": "released code"},
        description="Prune the matrix of the pooler too, as in the authors' code.",
    )
    scope: Literal["local", "global"] = Field(
        "local",
        json_schema_extra={"source": "App. A.1.1"},
        description="Whether each matrix has the sparsity (local), or all of them together (global).",
    )

    def parts(self) -> frozenset[str]:
        """Give the names of the parts to prune."""
        chosen = {"encoder": True, "classifier": self.classifier, "pooler": self.pooler}
        return frozenset(part for part, pruned in chosen.items() if pruned)


class OneShotOptions(PrunedParts):
    """Options of ``omp`` and ``random``."""

    sparsity: float = Field(0.7, ge=0, lt=1, description="Fraction of the entries to prune, in [0, 1).")


class MaskOptions(PrunedParts):
    """Options of ``mask``; the defaults are the paper's (App. A.1.2)."""

    sparsity: float = Field(
        0.7, ge=0, lt=1, description="Fraction of the entries to prune, in [0, 1); the final sparsity of the schedule."
    )
    init: Literal["hard", "soft"] = Field(
        "hard",
        json_schema_extra={"source": "App. A.1.2"},
        description="Initial scores: 0 for the smallest weights and α·φ for the others (hard), or |W| (soft).",
    )
    phi: float = Field(
        0.01,
        ge=1e-6,
        le=1e6,
        json_schema_extra={"source": "App. A.1.2"},
        description="Threshold φ of the initial scores, in [1e-6, 1e6]; for hard scores only.",
    )
    alpha: float = Field(
        2.0,
        gt=1,
        le=1e6,
        json_schema_extra={"source": "App. A.1.2"},
        description="Initial score of a kept entry, as a multiple of φ, in (1, 1e6]; for hard scores only.",
    )
    schedule: Literal["fixed", "cubic"] = Field(
        "fixed",
        json_schema_extra={"source": "§5.2"},
        description="Sparsity after t of T steps: constant (fixed), or s + (s_0 - s)·(1 - t/T)³ (cubic).",
    )
    initial_sparsity: float | None = Field(
        None,
        ge=0,
        lt=1,
        json_schema_extra={"source": "§5.2"},
        description="s_0, the sparsity at the start of the cubic schedule, in [0, sparsity]; unset for fixed.",
    )
    refresh_every: int | None = Field(
        None,
        ge=1,
        json_schema_extra={"source": "App. A.1.2"},
        description="Δt_φ: optimizer steps between updates of φ, at least 1, in addition to those at evaluations; "
        "unset: only at evaluations.",
    )

    @model_validator(mode="after")
    def _beginning_of_the_schedule(self) -> MaskOptions:
        begin = self.initial_sparsity
        if self.schedule == "fixed" and begin is not None:
            raise ValueError(f'no initial_sparsity with schedule = "fixed" (only "cubic" has one), got {begin:g}')
        if self.schedule == "cubic" and begin is None:
            raise ValueError(f'with schedule = "cubic" an initial_sparsity in [0, {self.sparsity:g}], got none')
        if begin is not None and begin > self.sparsity:
            raise ValueError(f"an initial_sparsity of at most sparsity ({self.sparsity:g}), got {begin:g}")
        return self

    def default_best_after(self, fine_tuned: bool) -> float:
        """Give 0.7 for a fine-tuned model, else 0: earlier, less robust masks would be best on the ID metric.

        Source: Appendix B.3.
        """
        return 0.7 if fine_tuned else 0.0

    def sparsity_at(self, step: int, total_steps: int) -> float:
        """Give s(t), in [s_0, s], never decreasing in t; s from step T on.

        Source: section 5.2, after Zhu & Gupta 2017 (arXiv 1710.01878), section 3.
        """
        begin, end = self.initial_sparsity, self.sparsity
        if begin is None or step >= total_steps:
            return end
        return min(max(begin, end + (begin - end) * (1 - step / total_steps) ** 3), end) if step else begin


class ImpOptions(PrunedParts):
    """Options of ``imp``; the defaults are the paper's (App. A.1.1)."""

    sparsity: float = Field(
        0.9, gt=0, lt=1, description="Fraction of the entries pruned at the end, in (0, 1); a multiple of step."
    )
    step: float = Field(0.1, gt=0, lt=1, description="Δs: fraction of all entries that each prune removes, in (0, 1).")
    interval: float = Field(
        0.1, gt=0, le=1, description="Δt: steps between prunes, as a fraction of the stage's steps, in (0, 1]."
    )

    @model_validator(mode="after")
    def _levels_reach_sparsity(self) -> ImpOptions:
        levels = self.sparsity / self.step
        if abs(levels - round(levels)) > 1e-6 or round(levels) < 1:
            raise ValueError(f"a sparsity that is a multiple of step ({self.step:g})")
        return self

    def levels(self) -> list[float]:
        """List the sparsity levels, including the last: 0.1, 0.2, …"""
        return [round(self.step * k, 10) for k in range(1, round(self.sparsity / self.step) + 1)]


class ImpRewindOptions(ImpOptions):
    """Options of ``imp-rw``; the defaults are the paper's (App. A.1.1)."""

    rewind: Literal["all", "all-but-classifier"] = Field(
        "all",
        json_schema_extra={"source": "App. A.1.1; all-but-classifier: released code"},
        description="Parameters that every prune resets to their initial values: all, or all but the classifier's.",
    )
