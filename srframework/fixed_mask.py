"""Training with a fixed mask: for train stages, and for pruners that score, prune and train.

A pruner that only defines scores of the entries is a :class:`ScoringPruner`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from srframework.contracts import COUNTED_PARTS, Network, ParameterGroup, Phase, Pruner, TrainingContext
from srframework.masks import Mask, weight_of
from srframework.pruning import Pattern, Scope
from srframework.scores import keep_highest, require_fit


class FixedMask(Pruner):
    """A_L(f(m ⊙ θ)): every weight is trained, and pruned entries stay exactly 0.

    The gradient of a pruned entry is set to 0, as if the forward pass multiplied by m, and the entry itself is set
    to 0 after each optimizer step.

    Args:
        options: Options of the pruner that derives from this class, if any.
        mask: m; None for a dense model.
    """

    def __init__(self, options: Any = None, mask: Mask | None = None) -> None:
        super().__init__(options)
        self._mask = mask if mask is not None else Mask({})
        self._pruned: list[tuple[Tensor, Tensor]] = []
        self._model: nn.Module | None = None

    def attach(self, network: Network, context: TrainingContext) -> None:
        """Prune the model to the mask.

        Raises:
            ValueError: The mask does not fit the model.
        """
        self._model = network.model
        self.hold(self._mask)

    def hold(self, mask: Mask) -> None:
        """Prune to ``mask``, and use it from now on."""
        assert self._model is not None, "attach comes first"
        mask.apply_(self._model)
        self._mask = mask
        weights = {name: weight_of(self._model, name) for name in mask}
        self._pruned = [(weight, ~mask[name].to(weight.device)) for name, weight in weights.items()]

    def parameter_groups(self) -> list[ParameterGroup]:
        """All parameters of the model that require a gradient."""
        assert self._model is not None, "attach comes first"
        return [ParameterGroup([parameter for parameter in self._model.parameters() if parameter.requires_grad])]

    def before_step(self, step: int) -> None:
        """Set the gradients of pruned entries to 0."""
        for weight, pruned in self._pruned:
            if weight.grad is not None:
                weight.grad.masked_fill_(pruned, 0.0)

    def after_step(self, step: int) -> None:
        """Set the pruned entries to 0."""
        for weight, pruned in self._pruned:
            weight.data.masked_fill_(pruned, 0.0)

    def masks(self) -> Mask:
        """The current mask."""
        return self._mask


class ScoringPruner(FixedMask):
    """Prune the entries with the lowest scores, and train the others. A subclass defines the scores::

        class Mine(ScoringPruner):
            def scores(self, weights):
                return {name: weight.abs() for name, weight in weights.items()}

    The model is pruned once, before any training, to the ``sparsity`` of the options. If :meth:`phases` returns
    phases with levels, it is pruned at the beginning of each of them instead. Pruned entries stay pruned.

    Args:
        options: Options of the pruner; with ``sparsity``, a fraction in [0, 1), unless a phase has a level.
        parts: The parts of the model whose matrices are pruned, from :data:`srframework.contracts.PARTS`.
        scope: Whether each matrix has the sparsity, or all of them together.
        pattern: The structure of the pruned entries; the score of a unit is the sum of its entries' scores. None:
            single entries.
    """

    def __init__(
        self,
        options: Any,
        parts: Collection[str] = COUNTED_PARTS,
        scope: Scope = "local",
        pattern: Pattern | None = None,
    ) -> None:
        super().__init__(options)
        self._parts, self._scope, self._pattern = frozenset(parts), scope, pattern

    @abstractmethod
    def scores(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Score each entry; the lowest scores are pruned.

        Args:
            weights: The current matrices, by the name of their module, ``(d_out, d_in)``. Read only.

        Returns:
            Tensors of the same names and shapes, floating, all on one device.
        """

    def attach(self, network: Network, context: TrainingContext) -> None:
        """Attach to the matrices; prune them, unless a phase does.

        Raises:
            UsageError: The pattern does not fit the shape of a matrix.
        """
        super().attach(network, context)
        self._matrices, self._blocks = network.matrices(self._parts), network.blocks
        require_fit(self._matrices, self._pattern)
        if all(phase.level is None for phase in self.phases(context.steps)):
            self.hold(self.pruned_to(self.options.sparsity))

    def begin(self, phase: Phase, step: int) -> None:
        """Prune to the level of the phase, if any."""
        if phase.level is not None:
            self.hold(self.pruned_to(phase.level))

    def pruned_to(self, level: float) -> Mask:
        """Return the mask that pruning the current weights to ``level`` would give; changes nothing.

        Raises:
            ValueError: The scores lack a matrix or have another shape; names the matrix.
        """
        scores = self.scores(self._matrices)
        for name, weight in self._matrices.items():
            if name not in scores or scores[name].shape != weight.shape:
                got = tuple(scores[name].shape) if name in scores else "none"
                raise ValueError(f"scores of {name!r}: expected shape {tuple(weight.shape)}, got {got}")
        ordered = {name: scores[name] for name in self._matrices}
        remaining = {name: kept.to(ordered[name].device) for name, kept in self.masks().items()}
        return Mask(keep_highest(ordered, level, self._scope, remaining or None, self._blocks, self._pattern))

    def state(self) -> dict[str, Tensor]:
        """The mask."""
        return {f"{name}.mask": kept.clone() for name, kept in self.masks().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Use the mask of the state, and set its pruned entries to 0."""
        self.hold(Mask({name: state[f"{name}.mask"] for name in self._matrices if f"{name}.mask" in state}))
