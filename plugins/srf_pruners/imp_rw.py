"""P^imp-rw: iterative magnitude pruning with rewinding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from srf_pruners.imp import IterativeMagnitudePruning
from srf_pruners.options import ImpRewindOptions
from srframework import Network, Phase, TrainingContext


class RewindingMagnitudePruning(IterativeMagnitudePruning):
    """IMP that resets the weights to θ_0, the weights when it was attached, at every prune.

    The subnetwork at level k·Δs is m ⊙ θ_0, directly after its prune. Training only selects the entries of the
    next prune; there is no training after the last one.

    Source: sections 3.2.1 and 4.3, Appendix A.1.1; for the option ``rewind``: the released code.
    """

    options: ImpRewindOptions

    def attach(self, network: Network, context: TrainingContext) -> None:
        """Copy θ_0; nothing is pruned yet."""
        super().attach(network, context)
        self._rewound = _rewound(network, self.options.rewind)
        self._initial = {name: parameter.detach().clone() for name, parameter in self._rewound.items()}

    def phases(self, total_steps: int) -> list[Phase]:
        """Alternate prunes, of 0 steps, with Δt steps of training; begin and end with a prune. The trained model is of
        interest if the level that it starts from is."""
        prunes = [Phase(0, level=each, warmup=False, kept=self.options.keeps(each)) for each in self.options.reached()]
        pairs = [(prune, self.interval(total_steps, None, prune.kept)) for prune in prunes]
        return [phase for pair in pairs for phase in pair][:-1]

    def begin(self, phase: Phase, step: int) -> None:
        """Prune to the level of the phase and rewind, if the phase has a level."""
        if phase.level is None:
            return
        mask = self.pruned_to(phase.level)
        self._rewind()
        self.hold(mask)

    def state(self) -> dict[str, Tensor]:
        """Give mask and θ_0."""
        return super().state() | {f"{name}.initial": value.clone() for name, value in self._initial.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Set mask and θ_0; the weights are masked, but not reset."""
        for name, value in self._initial.items():
            value.copy_(state[f"{name}.initial"])
        super().restore(state)

    def _rewind(self) -> None:
        # In place, since the optimizer refers to these parameter objects.
        with torch.no_grad():
            for name, parameter in self._rewound.items():
                parameter.copy_(self._initial[name])


def _rewound(network: Network, rewind: str) -> dict[str, nn.Parameter]:
    """Qualified name -> parameter, for the parameters to reset."""
    excluded: set[int] = set()
    if rewind == "all-but-classifier":
        modules = [network.model.get_submodule(name) for name, part in network.prunable.items() if part == "classifier"]
        excluded = {id(parameter) for module in modules for parameter in module.parameters()}
    return {name: parameter for name, parameter in network.model.named_parameters() if id(parameter) not in excluded}
