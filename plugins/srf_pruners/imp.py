"""P^imp: iterative magnitude pruning."""

from __future__ import annotations

from srf_pruners.options import ImpOptions
from srf_pruners.scored import MagnitudePruner
from srframework import Phase


class IterativeMagnitudePruning(MagnitudePruner):
    """Prune Δs, train Δt, again. One run passes through every level, and keeps each.

    The subnetwork at level k·Δs is what stands after the Δt steps that follow its prune. Each
    prune removes the smallest magnitudes among the entries that remain; optimizer and schedule
    begin anew after it, without warmup.

    Source: section 3.2.1, Appendix A.1.1.
    """

    keeps_best = False
    options: ImpOptions

    def phases(self, total_steps: int) -> list[Phase]:
        """Δt steps for each level."""
        steps = self.interval(total_steps)
        return [Phase(steps, level=level, warmup=False) for level in self.options.levels()]

    def interval(self, total_steps: int) -> int:
        """Δt in optimizer steps, at least 1."""
        return max(1, round(self.options.interval * total_steps))
