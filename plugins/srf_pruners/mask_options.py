"""Options of mask training, with its defaults and its schedule of sparsities."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from srframework import PruneOptions, cubic_sparsity


class MaskOptions(PruneOptions):
    """Options of ``mask``; the defaults are the paper's (App. A.1.2)."""

    sparsity: float = Field(
        0.7, ge=0, lt=1, description="Fraction of the entries to prune, in [0, 1); the final sparsity of the schedule."
    )
    init: Literal["hard", "soft"] = Field(
        "hard",
        json_schema_extra={"source": "App. A.1.2"},
        description="Initial scores. hard: 0 for the smallest weights, alpha·phi for the others; "
        "soft: the magnitude of each weight.",
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
        description="Δt_φ: optimizer steps between updates of the threshold φ, at least 1. "
        "Every evaluation updates φ too; unset: only evaluations update it.",
    )
    control: Literal["random", "shuffled"] | None = Field(
        None,
        description="A negative control: first replace the matrices to prune by random numbers with the same standard "
        "deviation (random), or put the rows of each into a random order (shuffled).",
    )

    @model_validator(mode="after")
    def _beginning_of_the_schedule(self) -> MaskOptions:
        begin, pattern = self.initial_sparsity, self.parsed_pattern()
        if self.schedule == "cubic" and pattern is not None and pattern.sparsity is not None:
            raise ValueError(f'schedule = "fixed" with pattern = "{pattern.text}", got "cubic"')
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

        Source: section 5.2.
        """
        begin = self.sparsity if self.initial_sparsity is None else self.initial_sparsity
        return cubic_sparsity(begin, self.sparsity, step, total_steps)
