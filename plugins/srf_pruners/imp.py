"""P^imp: iterative magnitude pruning."""

from __future__ import annotations

from srf_pruners.arithmetic import magnitude_masks
from srf_pruners.held import HeldParts
from srf_pruners.options import ImpOptions
from srframework import Mask, Phase


class IterativeMagnitudePruning(HeldParts):
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

    def begin(self, phase: Phase, step: int) -> None:
        """Prune to the level of the phase."""
        assert phase.level is not None, "every phase of IMP has a level"
        self.hold(self.pruned_to(phase.level))

    def pruned_to(self, level: float) -> Mask:
        """What a prune of the weights as they are now leaves of the entries that remain; changes nothing."""
        weights = self._matrices
        before = self.masks()
        remaining = {name: before[name].to(weights[name].device) for name in before}
        return Mask(magnitude_masks(weights, level, self.options.scope, remaining or None))
