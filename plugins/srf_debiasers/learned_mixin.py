"""Product of experts with a learned weight of the bias. Shapes: B examples, C labels, H hidden units."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srf_debiasers.arithmetic import entropy
from srf_debiasers.losses import BiasedLoss
from srf_debiasers.options import LearnedMixinOptions
from srframework import BackboneError, LossInputs, ParameterGroup, TrainingContext


class LearnedMixin(BiasedLoss):
    """−y·log softmax(log p_m + g·log p_b), the mean over the batch, with g = softplus(w·h).

    h is the input of the last layer of the classifier; w is trained with the model. g = 0 would
    ignore the bias; to prevent this, the option ``entropy``, λ, adds λ times the mean entropy of
    softmax(g·log p_b) ("+H"). Softmax ignores a constant in each row, so the logits can replace log p_m.

    Source: Clark et al. 2019, section 3.2. As there, w·h has no intercept; their released code has one.
    """

    options: LearnedMixinOptions

    def __init__(self, options: LearnedMixinOptions) -> None:
        super().__init__(options)
        self._weight: nn.Parameter | None = None

    def attach(self, context: TrainingContext) -> None:
        """Draw w, ``(H,)``, like torch's linear layers: uniform in ±1/√H, from the context's generator.

        w is on the CPU, in float32.

        Raises:
            BackboneError: H is 0: the model has no known classifier.
        """
        size = context.hidden_size
        if size < 1:
            raise BackboneError("learned-mixin: expected a backbone with a classifier among its matrices, got none")
        bound = size**-0.5
        self._weight = nn.Parameter(torch.empty(size).uniform_(-bound, bound, generator=context.generator))

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Give w; empty before :meth:`attach`."""
        return () if self._weight is None else (ParameterGroup([self._weight]),)

    def loss(self, inputs: LossInputs) -> Tensor:
        """Give the cross-entropy of the mixture plus the entropy term; a scalar."""
        assert inputs.hidden is not None, "the training loop gives it"
        assert self._weight is not None, "attach comes first"
        # w stays in place, since the optimizer refers to it; a copy in the graph moves to the batch's device.
        trust = F.softplus(inputs.hidden.to(inputs.logits.dtype) @ self._weight.to(inputs.logits))
        bias = trust[:, None] * self.bias(inputs)
        loss = inputs.mean(F.cross_entropy(inputs.logits + bias, inputs.labels, reduction="none"))
        if self.options.entropy == 0:
            return loss
        return loss + self.options.entropy * inputs.mean(entropy(torch.log_softmax(bias, dim=1)))
