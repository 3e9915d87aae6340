"""The cause of a loss that is not finite: the first such step, and its inputs that are not finite."""

from __future__ import annotations

import torch
from torch import Tensor

from srframework.contracts import Debiaser, LossInputs
from srframework.training.options import TrainingOptions


class LossWatch:
    """Checks each loss on its device, without waiting for the result.

    Args:
        debiaser: The loss.
        options: The stage's options, for the remedy.
        device: Device of the losses.
    """

    def __init__(self, debiaser: Debiaser, options: TrainingOptions, device: torch.device) -> None:
        self._debiaser, self._options = debiaser, options
        self._first = torch.zeros(3, dtype=torch.int64, device=device)

    def check(self, loss: Tensor, inputs: LossInputs, step: int) -> None:
        """Record the first step whose loss is not finite, and which of its inputs are not finite."""

        def is_bad(tensor: Tensor | None) -> Tensor:
            finite = loss.new_ones((), dtype=torch.bool) if tensor is None else tensor.detach().isfinite().all()
            return (~finite).to(self._first)

        seen = [is_bad(each) for each in (inputs.logits, inputs.bias_log_probs)]
        now = torch.stack([is_bad(loss) * step, *seen])
        self._first = torch.where((self._first[0] == 0) & (now[0] > 0), now, self._first)

    def cause(self) -> str:
        """Return the cause of the first loss that is not finite."""
        step, logits, bias = self._first.tolist()
        is_first = step == 1  # the weights are still the finite initial ones
        if logits and is_first:
            return "at step 1 the model computes logits that are not finite from finite weights"
        if not logits and bias:
            return f"the bias model gives log-probabilities that are not finite for the examples of step {step}"
        if not logits and is_first:
            return f"at step 1 the loss {type(self._debiaser).__name__} is not finite although the logits are finite"
        return self.remedy()

    def remedy(self) -> str:
        """Return the remedy for a training that diverges."""
        rate, norm = self._options.learning_rate, self._options.max_grad_norm
        return f"learning_rate is {rate:g}, max_grad_norm {norm:g}; a lower learning rate is the usual remedy"
