"""The model at one step, as it is saved."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from srframework.contracts import Pruner
from srframework.errors import PluginError, SRFrameworkError
from srframework.faults import owner_of, where
from srframework.training.divergence import LossWatch
from srframework.training.events import KeptModel, tensor_of
from srframework.training.finite import not_finite


def kept_model(
    model: nn.Module, names: Sequence[str], pruner: Pruner, step: int, point: str | None, watch: LossWatch
) -> KeptModel:
    """Return the model after a step, on the CPU. The mask must be up to date.

    Args:
        model: The model.
        names: Of its parameters and buffers, without parametrisations.
        pruner: The pruner.
        step: The number of finished steps.
        point: The point to save; None for the end of the stage.
        watch: Explains weights that are not finite.

    Raises:
        PluginError: The mask prunes entries that are not 0; names the pruner and the matrix.
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
    if (found := not_finite(weights)) is not None:
        raise SRFrameworkError(f"expected finite weights after step {step}, got {found} ({watch.remedy()})")
    return KeptModel(step, point, weights, mask)
