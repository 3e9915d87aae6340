"""What the pruners share that train the weights under a mask."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from srf_pruners.options import PrunedParts
from srframework import FixedMask, Mask, Network


class HeldParts(FixedMask):
    """The matrices of the parts that the options name, of which a mask is held."""

    options: PrunedParts

    def __init__(self, options: PrunedParts) -> None:
        super().__init__(options)

    def attach(self, network: Network, total_steps: int) -> None:
        """Take the matrices, by the name of their module; nothing is pruned yet."""
        super().attach(network, total_steps)
        self._matrices = network.matrices(self.options.parts())

    def state(self) -> dict[str, Tensor]:
        """The mask."""
        return {f"{name}.mask": kept.clone() for name, kept in self.masks().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Hold the mask of the state; entries that are pruned are 0 again."""
        self.hold(Mask({name: state[f"{name}.mask"] for name in self._matrices if f"{name}.mask" in state}))
