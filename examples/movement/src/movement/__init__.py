"""Registers the pruner movement. Every command imports this module, so it must not import torch."""

from pydantic import Field

from srframework import Component, PruneOptions, cubic_sparsity, hookimpl


class MovementOptions(PruneOptions):
    """Options of movement; the defaults are those of the paper, for MNLI."""

    sparsity: float = Field(0.85, gt=0, lt=1, description="Fraction of the entries pruned at the end, in (0, 1).")
    score_learning_rate: float = Field(1e-2, gt=0, description="Peak learning rate of the scores; above 0.")
    warmup: float = Field(0.1, ge=0, le=1, description="Fraction of the steps before the first entry is pruned.")
    cooldown: float = Field(0.1, ge=0, le=1, description="Fraction of the steps at the end with the final sparsity.")
    refresh_every: int = Field(10, ge=1, description="Optimizer steps between updates of the mask; at least 1.")

    def sparsity_at(self, step: int, total_steps: int) -> float:
        """Return the sparsity after ``step`` steps: 0, then a cubic rise, then the final one. N:M patterns have one."""
        pattern = self.parsed_pattern()
        if pattern is not None and pattern.sparsity is not None:
            return pattern.sparsity
        start, end = self.warmup * total_steps, (1 - self.cooldown) * total_steps
        if step >= end:
            return self.sparsity
        return cubic_sparsity(0.0, self.sparsity, max(step - start, 0), end - start)


@hookimpl
def srframework_pruners():
    """Register movement."""
    return [
        Component(
            name="movement",
            options=MovementOptions,
            factory="movement.pruner:Movement",
            summary="Movement pruning: weights and their scores are trained together.",
            source="Sanh et al. 2020 (arXiv 2005.07683)",
        )
    ]
