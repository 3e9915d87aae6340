"""P^imp-rw: iterative magnitude pruning with rewinding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from srf_pruners.imp import IterativeMagnitudePruning
from srf_pruners.options import ImpRewindOptions
from srframework import Network, Phase


class RewindingMagnitudePruning(IterativeMagnitudePruning):
    """IMP whose weights return to θ_0, those at which it was attached, at every prune.

    The subnetwork at level k·Δs is m ⊙ θ_0 directly after its prune: training only tells which
    entries go next, and none follows the last prune.

    Source: sections 3.2.1 and 4.3, Appendix A.1.1; which parameters return, in the released
    code, is the option ``rewind``.
    """

    options: ImpRewindOptions

    def attach(self, network: Network, total_steps: int) -> None:
        """Remember θ_0; nothing is pruned yet."""
        super().attach(network, total_steps)
        self._rewound = _rewound(network, self.options.rewind)
        self._initial = {name: parameter.detach().clone() for name, parameter in self._rewound.items()}

    def phases(self, total_steps: int) -> list[Phase]:
        """The prunes, which take no step, and Δt steps between each and the next."""
        training = Phase(self.interval(total_steps), warmup=False)
        first, *later = [Phase(0, level=level, warmup=False) for level in self.options.levels()]
        return [first, *(phase for prune in later for phase in (training, prune))]

    def begin(self, phase: Phase, step: int) -> None:
        """Prune to the level of the phase, if it has one, and rewind."""
        if phase.level is None:
            return
        mask = self.pruned_to(phase.level)
        self._rewind()
        self.hold(mask)

    def state(self) -> dict[str, Tensor]:
        """The mask, and θ_0."""
        return super().state() | {f"{name}.initial": value.clone() for name, value in self._initial.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Set mask and θ_0; the weights are only pruned."""
        for name, value in self._initial.items():
            value.copy_(state[f"{name}.initial"])
        super().restore(state)

    def _rewind(self) -> None:
        # In place: the optimizer and whoever prepared the model hold these very parameters.
        with torch.no_grad():
            for name, parameter in self._rewound.items():
                parameter.copy_(self._initial[name])


def _rewound(network: Network, rewind: str) -> dict[str, nn.Parameter]:
    """The parameters that return, by their qualified names."""
    stays: set[int] = set()
    if rewind == "all-but-classifier":
        modules = [network.model.get_submodule(name) for name, part in network.prunable.items() if part == "classifier"]
        stays = {id(parameter) for module in modules for parameter in module.parameters()}
    return {name: parameter for name, parameter in network.model.named_parameters() if id(parameter) not in stays}
