"""P^mask: mask training. The weights stay as they are; which of them count is learnt."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from srf_pruners.arithmetic import StraightThrough, hard_scores, threshold_to
from srf_pruners.options import MaskOptions
from srframework import Mask, Network, Pruner


class MaskTraining(Pruner):
    """Train a score for each weight; keep, in each matrix, those with the highest.

    Everything but the scores is frozen: embeddings, LayerNorm, biases, the classifier. φ is
    set at every refresh, so that the sparsity is exact whenever the model is evaluated or saved.

    Source: section 3.2.2, Appendix A.1.2.
    """

    keeps_best = True
    options: MaskOptions

    def attach(self, network: Network, total_steps: int) -> None:
        """Freeze the model, and put a mask on every matrix of the parts that are pruned."""
        network.model.requires_grad_(False)
        self._masked: dict[str, _MaskedWeight] = {}
        for name, weight in network.matrices(self.options.parts()).items():
            masked = _MaskedWeight(weight, self.options)
            parametrize.register_parametrization(network.model.get_submodule(name), "weight", masked, unsafe=True)
            self._masked[name] = masked
        self.refresh(0)

    def parameters(self) -> list[nn.Parameter]:
        """The scores."""
        return [masked.scores for masked in self._masked.values()]

    def refresh(self, step: int) -> None:
        """Set φ of every matrix to the value that gives the wanted sparsity."""
        for masked in self._masked.values():
            masked.set_sparsity(self.options.sparsity)

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

    weight: Tensor
    threshold: Tensor

    def __init__(self, weight: nn.Parameter, options: MaskOptions) -> None:
        super().__init__()
        # Not registered: the module that is parametrised has it already.
        object.__setattr__(self, "weight", weight)
        self.scores = nn.Parameter(hard_scores(weight.detach(), options.sparsity, options.phi, options.alpha))
        self.register_buffer("threshold", torch.tensor(options.phi, dtype=weight.dtype, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """``(d_out, d_in)`` -> ``(d_out, d_in)``."""
        return StraightThrough.apply(self.scores, weight, self.threshold)  # type: ignore[no-any-return,no-untyped-call]

    def kept(self) -> Tensor:
        """Bool ``(d_out, d_in)``: what the forward pass keeps."""
        return self.scores.detach() >= self.threshold

    def set_sparsity(self, sparsity: float) -> None:
        """Move φ; lower the tied scores that must go by the least that there is."""
        threshold, scores = threshold_to(self.scores.detach(), self.weight, sparsity)
        self.scores.data.copy_(scores)
        self.threshold.copy_(threshold)
