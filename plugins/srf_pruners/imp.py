"""P^imp: iterative magnitude pruning."""

from __future__ import annotations

from srf_pruners.options import ImpOptions
from srf_pruners.scored import MagnitudePruner
from srframework import Phase


class IterativeMagnitudePruning(MagnitudePruner):
    """Prune Δs and train Δt steps, repeatedly. One run gives the subnetworks of all levels.

    The subnetwork at level k·Δs is the model after the Δt steps that follow its prune. Each
    prune removes the smallest magnitudes among the remaining entries; optimizer and learning rate schedule
    restart after it, without warmup. By default each schedule decays over the complete training, so the rate stays near
    its peak.

    Source: section 3.2.1, Appendix A.1.1; for the default of the option ``decay``: the released code.
    """

    keeps_best = False
    options: ImpOptions

    def phases(self, total_steps: int) -> list[Phase]:
        """Train Δt steps for each level."""
        return [self.interval(total_steps, level, self.options.keeps(level)) for level in self.options.reached()]

    def interval(self, total_steps: int, level: float | None, kept: bool) -> Phase:
        """Give the training between two prunes: Δt optimizer steps, at least 1; to ``level``, if any."""
        steps = max(1, round(self.options.interval * total_steps))
        decay = max(steps, total_steps) if self.options.decay == "complete" else None
        return Phase(steps, level=level, warmup=False, decay_steps=decay, kept=kept)
