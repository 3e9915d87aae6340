"""Training with a mask that stays as it is: what a train stage does, and what IMP does between prunes."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from srframework.contracts import Network, Pruner
from srframework.masks import Mask, weight_of


class FixedMask(Pruner):
    """A_L(f(m ⊙ θ)): every weight is trained, and pruned entries stay exactly 0.

    The gradient of a pruned entry is 0, as it is where the forward pass multiplies by m;
    and whatever the optimizer makes of that, the entry is 0 again after the step.

    Args:
        options: Of the pruner that builds on this, if one does.
        mask: m; None for a dense model.
    """

    def __init__(self, options: Any = None, mask: Mask | None = None) -> None:
        super().__init__(options)
        self._mask = mask if mask is not None else Mask({})
        self._held: list[tuple[Tensor, Tensor]] = []
        self._model: nn.Module | None = None

    def attach(self, network: Network, total_steps: int) -> None:
        """Prune the model to the mask.

        Raises:
            ValueError: The mask does not fit the model.
        """
        self._model = network.model
        self.hold(self._mask)

    def hold(self, mask: Mask) -> None:
        """Prune to ``mask``, and keep it from here on."""
        assert self._model is not None, "attach comes first"
        mask.apply_(self._model)
        self._mask = mask
        weights = {name: weight_of(self._model, name) for name in mask}
        self._held = [(weight, ~mask[name].to(weight.device)) for name, weight in weights.items()]

    def parameters(self) -> list[nn.Parameter]:
        """All parameters of the model that want a gradient."""
        assert self._model is not None, "attach comes first"
        return [parameter for parameter in self._model.parameters() if parameter.requires_grad]

    def before_step(self, step: int) -> None:
        """Set the gradients of pruned entries to 0."""
        for weight, pruned in self._held:
            if weight.grad is not None:
                weight.grad.masked_fill_(pruned, 0.0)

    def after_step(self, step: int) -> None:
        """Set the pruned entries to 0."""
        for weight, pruned in self._held:
            weight.data.masked_fill_(pruned, 0.0)

    def masks(self) -> Mask:
        """The mask that is held."""
        return self._mask
