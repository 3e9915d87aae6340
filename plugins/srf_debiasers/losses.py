"""L: the losses. Shapes: B examples, C labels. Notation: section 3.3; β is p_b at the true label."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from srf_debiasers.arithmetic import annealed, log_of_wrong, of_true, softened, unexplained, weighted_mean
from srf_debiasers.options import AnnealingOptions, ConfregOptions, FocalOptions, ReweightOptions
from srframework import Debiaser, LossInputs, TrainingContext


class Standard(Debiaser):
    """−y·log p_m, the mean over the batch."""

    def loss(self, inputs: LossInputs) -> Tensor:
        """Give the cross-entropy of ``(B, C)`` logits; a scalar."""
        return inputs.mean(F.cross_entropy(inputs.logits, inputs.labels, reduction="none"))


class BiasedLoss(Debiaser):
    """A loss that uses p_b, optionally annealed: see :class:`srf_debiasers.options.AnnealingOptions`."""

    options: AnnealingOptions

    def bias(self, inputs: LossInputs) -> Tensor:
        """Give log p_b at this step, ``(B, C)``."""
        assert inputs.bias_log_probs is not None, "required when it is registered"
        return annealed(inputs.bias_log_probs, self.options.theta(inputs.progress))


class ProductOfExperts(BiasedLoss):
    """−y·log softmax(log p_m + log p_b), the mean over the batch.

    p_m has nothing to learn from examples that p_b already predicts well. Softmax ignores a constant
    in each row, so the logits can replace log p_m.

    Source: section 3.3.
    """

    def loss(self, inputs: LossInputs) -> Tensor:
        """Give the cross-entropy of the product; a scalar."""
        return inputs.mean(F.cross_entropy(inputs.logits + self.bias(inputs), inputs.labels, reduction="none"))


class Reweight(BiasedLoss):
    """−(1−β) y·log p_m, the mean over the batch: low weights for examples that p_b predicts well.

    With ``normalise`` the sum is divided by Σ(1−β) of the batch instead of B, as in the authors' released code; the
    loss is 0 if β is 1 for all examples. The batch is that of one call.

    Source: section 3.3, Appendix A.2.
    """

    options: ReweightOptions

    def loss(self, inputs: LossInputs) -> Tensor:
        """Give the weighted cross-entropy; a scalar."""
        weights = unexplained(self.bias(inputs), inputs.labels)
        each = F.cross_entropy(inputs.logits, inputs.labels, reduction="none")
        if not self.options.normalise:
            return inputs.mean(weights * each)
        return weighted_mean(each, weights if inputs.weights is None else weights * inputs.weights)


class ConfidenceRegularisation(BiasedLoss):
    """−S(p_t, β)·log p_m, the mean over the batch, with S_j = p_t,j^(1−β) / Σ_k p_t,k^(1−β).

    The main model learns from a teacher whose predictions are softened where p_b predicts well. The true
    label is used only for β.

    Source: section 3.3; Utama et al. 2020.
    """

    options: ConfregOptions

    def attach(self, context: TrainingContext) -> None:
        """Keep log p_t of the training examples, on the device of the model."""
        log_probs = context.stages[self.options.teacher].log_probs
        assert log_probs is not None, "required when it is registered"
        self._teacher = torch.from_numpy(log_probs).to(context.device)

    def loss(self, inputs: LossInputs) -> Tensor:
        """Give the cross-entropy to the softened teacher; a scalar."""
        strength = unexplained(self.bias(inputs), inputs.labels)
        targets = softened(self._teacher[inputs.index].to(inputs.logits), strength)
        return inputs.mean(F.cross_entropy(inputs.logits, targets, reduction="none"))


class Focal(Debiaser):
    """−(1−p_y)^γ·log p_y, the mean over the batch: low weights for examples that p_m predicts well; no bias model.

    Source: Lin et al. 2017, section 3.2, without class weights.
    """

    options: FocalOptions

    def loss(self, inputs: LossInputs) -> Tensor:
        """Give the focal loss; a scalar."""
        log_probs = torch.log_softmax(inputs.logits, dim=1)
        # A power of 1 − p_y has no finite gradient at p_y = 1 if γ is below 1; the exponential has.
        weights = torch.exp(self.options.gamma * log_of_wrong(log_probs, inputs.labels))
        return -inputs.mean(weights * of_true(log_probs, inputs.labels))
