"""L: the losses. Shapes: B examples, C labels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from srframework import Debiaser, LossInputs


class Standard(Debiaser):
    """−y·log p_m, the mean over the batch."""

    def loss(self, inputs: LossInputs) -> Tensor:
        """Give the cross-entropy of ``(B, C)`` logits; a scalar."""
        return F.cross_entropy(inputs.logits, inputs.labels)


class ProductOfExperts(Debiaser):
    """−y·log softmax(log p_m + log p_b), the mean over the batch.

    What p_b already explains earns p_m nothing, and is left to it. Softmax ignores a constant
    in each row, so the logits stand for log p_m.

    Source: section 3.3.
    """

    def loss(self, inputs: LossInputs) -> Tensor:
        """Give the cross-entropy of the product; a scalar."""
        assert inputs.bias_log_probs is not None, "required when it is registered"
        return F.cross_entropy(inputs.logits + inputs.bias_log_probs, inputs.labels)
