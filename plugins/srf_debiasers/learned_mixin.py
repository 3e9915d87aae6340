"""A product of experts that learns, example by example, how far to trust the bias. Shapes: B examples, C labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srf_debiasers.arithmetic import mean_entropy
from srf_debiasers.losses import BiasedLoss
from srf_debiasers.options import LearnedMixinOptions
from srframework import BackboneError, LossInputs


class LearnedMixin(BiasedLoss):
    """−y·log softmax(log p_m + g·log p_b), the mean over the batch, with g = softplus(w·h).

    h is what the last layer of the classifier is given; w is trained along with the model. g = 0 would
    ignore the bias. With the option ``entropy``, λ, the mean entropy of softmax(g·log p_b) is added λ
    times, so that the bias is not ignored ("+H"). Softmax ignores a constant in each row, so the logits
    stand for log p_m.

    Source: Clark et al. 2019, section 3.2. As there w·h has no intercept; their released code has one.
    """

    options: LearnedMixinOptions

    def __init__(self, options: LearnedMixinOptions) -> None:
        super().__init__(options)
        self._weight: nn.Parameter | None = None

    def attach(self, hidden_size: int) -> None:
        """Draw w anew, ``(H,)``, as torch's linear layers are: uniform in ±1/√H, from torch's global generator.

        It is made on the CPU, float32.

        Raises:
            BackboneError: H is 0: the model has no classifier that is known.
        """
        if hidden_size < 1:
            raise BackboneError("learned-mixin: expected a backbone with a classifier among its matrices, got none")
        bound = hidden_size**-0.5
        self._weight = nn.Parameter(torch.empty(hidden_size, device="cpu").uniform_(-bound, bound))

    def parameters(self) -> Sequence[nn.Parameter]:
        """Give w; nothing before :meth:`attach`."""
        return () if self._weight is None else (self._weight,)

    def loss(self, inputs: LossInputs) -> Tensor:
        """Give the cross-entropy of the mixture, and what ``entropy`` adds; a scalar."""
        assert inputs.hidden is not None, "the training loop gives it"
        assert self._weight is not None, "attach comes first"
        # An optimizer holds w as it was made, so it is never moved: a copy goes to the batch's device, in the graph.
        trust = F.softplus(inputs.hidden.to(inputs.logits.dtype) @ self._weight.to(inputs.logits))
        bias = trust[:, None] * self.bias(inputs)
        loss = F.cross_entropy(inputs.logits + bias, inputs.labels)
        if self.options.entropy == 0:
            return loss
        return loss + self.options.entropy * mean_entropy(torch.log_softmax(bias, dim=1))
