"""The model at one step, as it is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from srframework.contracts import Network, Pruner
from srframework.errors import PluginError, SRFrameworkError
from srframework.faults import owner_of, where
from srframework.masks import Mask
from srframework.training.divergence import LossWatch
from srframework.training.events import KeptModel, tensor_of
from srframework.training.finite import not_finite

_ENTRIES_OF_A_CHANCE_ZERO = 10_000
"""An optimizer step may set a weight to exactly 0 by chance: at most one of so many entries, and one more."""


def zeros_of(network: Network) -> dict[str, Tensor]:
    """Return which entries of the prunable matrices are 0, on the CPU, by the name of the module."""
    return {name: (weight.detach() == 0).cpu() for name, weight in network.matrices().items()}


def kept_model(
    model: nn.Module,
    names: Sequence[str],
    pruner: Pruner,
    step: int,
    point: str | None,
    watch: LossWatch,
    zeros: Mapping[str, Tensor],
) -> KeptModel:
    """Return the model after a step, on the CPU. The mask must be up to date.

    Args:
        model: The model.
        names: Of its parameters and buffers, without parametrisations.
        pruner: The pruner.
        step: The number of finished steps.
        point: The point to save; None for the end of the stage.
        watch: Explains weights that are not finite.
        zeros: The entries that were 0 before the stage, as :func:`zeros_of` returns them.

    Raises:
        PluginError: The mask prunes entries that are not 0, or keeps entries that became 0; names the pruner and the
            matrix.
        SRFrameworkError: The weights are not finite.
    """
    mask = pruner.masks()
    weights = {name: tensor_of(model, name).detach().to("cpu", copy=True) for name in names}
    for name, matrix in mask.items():
        weight, pruned = weights[f"{name}.weight"], ~matrix
        if (other := int((weight[pruned] != 0).sum())) > 0:
            raise PluginError(
                f"{where()}{owner_of(pruner) or 'the fixed mask'}: expected 0 in the {int(pruned.sum())} entries of "
                f"{name} that its mask prunes after step {step}, got {other} other values"
            )
        weight.masked_fill_(pruned, 0.0)  # turns -0.0 into +0.0
    if owner := owner_of(pruner):
        _refuse_new_zeros(weights, mask, zeros, owner, step)
    if (found := not_finite(weights)) is not None:
        raise SRFrameworkError(f"expected finite weights after step {step}, got {found} ({watch.remedy()})")
    return KeptModel(step, point, weights, mask)


def _refuse_new_zeros(
    weights: Mapping[str, Tensor], mask: Mask, zeros: Mapping[str, Tensor], owner: str, step: int
) -> None:
    for name, before in zeros.items():
        weight = weights.get(f"{name}.weight")
        if weight is None or weight.shape != before.shape:
            continue
        new = (weight == 0) & ~before
        if name in mask:
            new &= mask[name]
        if (count := int(new.sum())) > 1 + new.numel() // _ENTRIES_OF_A_CHANCE_ZERO:
            raise PluginError(
                f"{where()}{owner}: expected no 0 in the entries of {name} that its mask keeps after step {step}, got "
                f"{count}; masks() must return every entry that the pruner set to 0"
            )
