"""P^imp: iterative magnitude pruning."""

from __future__ import annotations

from srf_pruners.arithmetic import magnitude_mask
from srf_pruners.options import ImpOptions
from srframework import FixedMask, Mask, Network, Phase


class IterativeMagnitudePruning(FixedMask):
    """Prune Δs, train Δt, again. One run passes through every level, and keeps each.

    The subnetwork at level k·Δs is what stands after the Δt steps that follow its prune. Each
    prune removes the smallest magnitudes among the entries that remain, matrix by matrix;
    optimizer and schedule begin anew after it, without warmup.

    Source: section 3.2.1, Appendix A.1.1.
    """

    keeps_best = False
    options: ImpOptions

    def __init__(self, options: ImpOptions) -> None:
        super().__init__(options)

    def attach(self, network: Network, total_steps: int) -> None:
        """Take the matrices of the parts that are pruned; nothing is pruned yet."""
        super().attach(network, total_steps)
        self._matrices = network.matrices(self.options.parts())

    def phases(self, total_steps: int) -> list[Phase]:
        """Δt steps for each level."""
        steps = max(1, round(self.options.interval * total_steps))
        return [Phase(steps, level=level, warmup=False) for level in self.options.levels()]

    def begin(self, phase: Phase, step: int) -> None:
        """Prune to the level of the phase."""
        assert phase.level is not None, "every phase of IMP has a level"
        before = self.masks()
        pruned = {}
        for name, weight in self._matrices.items():
            remaining = before[name].to(weight.device) if name in before else None
            pruned[name] = magnitude_mask(weight, phase.level, remaining)
        self.hold(Mask(pruned))
