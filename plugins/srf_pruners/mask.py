"""P^mask: mask training. The weights stay as they are; which of them count is learnt."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from srf_pruners.arithmetic import StraightThrough, hard_scores, pruned_counts, soft_scores, thresholds_to
from srf_pruners.options import MaskOptions
from srframework import Mask, Network, Pruner


class MaskTraining(Pruner):
    """Train a score for each weight; keep, in each matrix or of all, those with the highest.

    Everything but the scores is frozen: embeddings, LayerNorm, biases, the classifier. φ is
    set at every update of the mask, so that the sparsity is exactly the schedule's whenever the model is
    evaluated or saved.

    Source: section 3.2.2, Appendix A.1.2; schedule: section 5.2.
    """

    keeps_best = True
    options: MaskOptions

    def attach(self, network: Network, total_steps: int) -> None:
        """Freeze the model, and put a mask on every matrix of the parts that are pruned."""
        network.model.requires_grad_(False)
        options, self._total_steps = self.options, total_steps
        self._weights = network.matrices(options.parts())
        if options.init == "hard":
            begin = options.sparsity_at(0, total_steps)
            scores = hard_scores(self._weights, begin, options.phi, options.alpha, options.scope)
        else:
            scores = soft_scores(self._weights)
        self._masked: dict[str, _MaskedWeight] = {}
        for name in self._weights:
            masked = _MaskedWeight(scores[name], options.phi)
            parametrize.register_parametrization(network.model.get_submodule(name), "weight", masked, unsafe=True)
            self._masked[name] = masked
        if options.init == "soft":
            self.update_mask(0)  # hard scores have their own φ, which gives the sparsity

    def parameters(self) -> list[nn.Parameter]:
        """The scores."""
        return [masked.scores for masked in self._masked.values()]

    def after_step(self, step: int) -> None:
        """Set φ, where Δt_φ steps are over."""
        if self.changes_mask(step):
            self.update_mask(step)

    def changes_mask(self, step: int) -> bool:
        """Whether Δt_φ steps are over."""
        return self.options.refresh_every is not None and step % self.options.refresh_every == 0

    def update_mask(self, step: int) -> None:
        """Set φ to what gives the schedule's sparsity; lower tied scores that must go by the least that there is."""
        options = self.options
        scores = {name: masked.scores.detach() for name, masked in self._masked.items()}
        sparsity = options.sparsity_at(step, self._total_steps)
        for name, (threshold, exact) in thresholds_to(scores, self._weights, sparsity, options.scope).items():
            self._masked[name].scores.data.copy_(exact)
            self._masked[name].threshold.copy_(threshold)

    def complete(self, step: int) -> bool:
        """Whether the schedule prunes as many entries by now as it ever will."""
        now, end = (self.options.sparsity_at(at, self._total_steps) for at in (step, self._total_steps))
        scope = self.options.scope
        return pruned_counts(self._weights, now, scope) == pruned_counts(self._weights, end, scope)

    def masks(self) -> Mask:
        """1[scores ≥ φ]."""
        return Mask({name: masked.kept() for name, masked in self._masked.items()})

    def state(self) -> dict[str, Tensor]:
        """Scores and thresholds."""
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

    def __init__(self, scores: Tensor, phi: float) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)
        self.register_buffer("threshold", torch.tensor(phi, dtype=scores.dtype, device=scores.device))

    def forward(self, weight: Tensor) -> Tensor:
        """``(d_out, d_in)`` -> ``(d_out, d_in)``."""
        return StraightThrough.apply(self.scores, weight, self.threshold)  # type: ignore[no-any-return,no-untyped-call]

    def kept(self) -> Tensor:
        """Bool ``(d_out, d_in)``: what the forward pass keeps."""
        return self.scores.detach() >= self.threshold
