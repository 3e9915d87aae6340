"""P^mask: mask training. It learns a mask; the weights do not change."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.utils import parametrize

from srf_pruners.arithmetic import (
    StraightThrough,
    control_weights,
    hard_scores,
    soft_scores,
    thresholds_to,
)
from srf_pruners.mask_options import MaskOptions
from srframework import (
    Mask,
    Network,
    ParameterGroup,
    Pattern,
    Pruner,
    TrainingContext,
    in_entries,
    in_units,
    keep_n_of_m,
    require_fit,
)

_FEWEST_STEPS = 15
"""Steps in which a score may cross φ without a warning."""


class MaskTraining(Pruner):
    """Train a score for each weight; keep the weights with the highest scores, in each matrix or block, or in total.

    With a pattern of units ("1x4", "row") there is a score for each unit, which starts from the sum of its magnitudes.
    With "2:4" the mask keeps two of each four scores at every step, and has no threshold.

    All other parameters are frozen: embeddings, LayerNorm, biases, classifier. Every update of the mask
    sets φ, so that the model has exactly the sparsity of the schedule whenever it is evaluated or saved.

    It logs ``mask_changed``, the share of the entries of the mask that differ from the mask before the first step.

    With ``control`` the matrices are first replaced: what mask training then reaches does not come from the weights
    that it was given.

    Source: section 3.2.2, Appendix A.1.2; schedule: section 5.2.
    """

    keeps_best = True
    options: MaskOptions

    def attach(self, network: Network, context: TrainingContext) -> None:
        """Freeze the model, and add a mask to every matrix of the pruned parts."""
        network.model.requires_grad_(False)
        options, pattern, self._total_steps = self.options, self.options.parsed_pattern(), context.steps
        matrices, self._blocks = network.matrices(options.parts()), network.blocks
        require_fit(matrices, pattern)
        if options.control is not None:
            for matrix in matrices.values():
                matrix.data.copy_(control_weights(matrix.data, options.control, context.generator))
        self._matrices = matrices
        if options.init == "hard":
            begin = options.sparsity_at(0, context.steps)
            scores = hard_scores(
                self._magnitudes(), begin, options.phi, options.alpha, options.scope, self._blocks, self._n_of_m
            )
        else:
            scores = self._magnitudes()
        self._masked: dict[str, _MaskedWeight] = {}
        for name, matrix in matrices.items():
            blocks = len(self._blocks.get(name, ())) if options.scope == "local" else 1
            masked = _MaskedWeight(scores[name], options.phi, blocks > 1, pattern, matrix.shape[1])
            parametrize.register_parametrization(network.model.get_submodule(name), "weight", masked, unsafe=True)
            self._masked[name] = masked
        self._step, self._log = -1, context.log
        if options.init == "soft":
            self.update_mask(0)  # for hard scores, the option φ gives the sparsity
        self._before = {name: masked.kept() for name, masked in self._masked.items()}
        if self._n_of_m is None and (text := self._warning(context)):
            context.warn(text)

    def _warning(self, context: TrainingContext) -> str:
        """A sentence if no score can reach φ in all steps, or if scores reach it in a few steps; else empty.

        Adam moves a score by at most about the learning rate in a step, whatever the size of its gradient.
        """
        options, reach, steps = self.options, context.learning_rates, context.steps
        if options.init == "soft" or not reach:
            return ""
        distance = min(options.phi, (options.alpha - 1) * options.phi)
        if reach < distance:
            return (
                f"in {steps} step{'s' if steps > 1 else ''} the learning rate moves a score by at most about "
                f"{reach:.2g}, less than its distance from φ ({distance:.2g}), so the mask will not change; "
                "raise learning_rate"
            )
        crossing = distance * steps / (2 * reach)  # at the highest rate of a linear decay
        if crossing < _FEWEST_STEPS:
            return (
                f"a score crosses φ in {crossing:.2g} steps, so a few batches decide the mask; "
                f"it needs {_FEWEST_STEPS} steps with a learning_rate of {distance / _FEWEST_STEPS:.1g}"
            )
        return ""

    def parameter_groups(self) -> list[ParameterGroup]:
        """Give the scores."""
        return [ParameterGroup([masked.scores for masked in self._masked.values()])]

    def after_step(self, step: int) -> None:
        """Set φ after every Δt_φ steps."""
        self._step = step
        if self.changes_mask(step):
            self.update_mask(step)

    def changes_mask(self, step: int) -> bool:
        """Whether φ is set after this step."""
        return self.options.refresh_every is not None and step % self.options.refresh_every == 0

    def update_mask(self, step: int) -> None:
        """Set φ to the sparsity of the schedule; lower pruned scores that equal φ to the next number below it."""
        if self._n_of_m is None:  # otherwise each forward pass keeps the N highest scores
            self._set_thresholds(step)
        if step == self._step:  # not for a mask of a later step, which is undone
            pairs = [(masked.kept(), self._before[name]) for name, masked in self._masked.items()]
            changed = sum(now.ne(before).sum() for now, before in pairs)
            self._log("mask_changed", int(changed) / max(sum(now.numel() for now, _ in pairs), 1))

    def _set_thresholds(self, step: int) -> None:
        options = self.options
        scores = {name: masked.scores.detach() for name, masked in self._masked.items()}
        sparsity = options.sparsity_at(step, self._total_steps)
        found = thresholds_to(scores, self._magnitudes(), sparsity, options.scope, self._blocks)
        for name, (threshold, exact) in found.items():
            if exact is not scores[name]:
                self._masked[name].scores.data.copy_(exact)
            self._masked[name].threshold.copy_(threshold)

    def _magnitudes(self) -> dict[str, Tensor]:
        """Give |W|, or its sum over each unit; a copy each time, because keeping one takes as much memory as W."""
        found, pattern = soft_scores(self._matrices), self.options.parsed_pattern()
        if pattern is None or pattern.kept is not None:
            return found
        return {name: in_units(each, pattern) for name, each in found.items()}

    @property
    def _n_of_m(self) -> Pattern | None:
        """The pattern, if it sets the sparsity itself."""
        pattern = self.options.parsed_pattern()
        return pattern if pattern is not None and pattern.kept is not None else None

    def masks(self) -> Mask:
        """Give 1[scores ≥ φ], or the N highest scores of each M."""
        return Mask({name: masked.kept() for name, masked in self._masked.items()})

    def state(self) -> dict[str, Tensor]:
        """Give scores and thresholds."""
        return {
            f"{name}.{key}": value.clone()
            for name, masked in self._masked.items()
            for key, value in (("scores", masked.scores.detach()), ("threshold", masked.threshold))
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Set scores and thresholds."""
        for name, masked in self._masked.items():
            masked.scores.data.copy_(state[f"{name}.scores"])
            masked.threshold.copy_(state[f"{name}.threshold"])


class _MaskedWeight(nn.Module):
    """The parametrisation W -> m ⊙ W of one matrix."""

    threshold: Tensor

    def __init__(self, scores: Tensor, phi: float, by_row: bool, pattern: Pattern | None, columns: int) -> None:
        super().__init__()
        self.scores, self._pattern, self._columns = nn.Parameter(scores), pattern, columns
        self.register_buffer("threshold", scores.new_full((len(scores), 1) if by_row else (), phi))

    def forward(self, weight: Tensor) -> Tensor:
        """``(d_out, d_in)`` -> ``(d_out, d_in)``."""
        pattern = self._pattern
        scores = self.scores if pattern is None or pattern.kept else in_entries(self.scores, pattern, self._columns)
        masked: Tensor = StraightThrough.apply(scores, weight, self.kept())  # type: ignore[no-untyped-call]  # torch's
        return masked

    def kept(self) -> Tensor:
        """Give the mask of the forward pass, bool ``(d_out, d_in)``."""
        pattern, scores = self._pattern, self.scores.detach()
        if pattern is not None and pattern.kept is not None:
            return keep_n_of_m(scores, pattern)
        kept = scores >= self.threshold
        return kept if pattern is None else in_entries(kept, pattern, self._columns)
