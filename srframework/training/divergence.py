"""Why a loss is no finite number: the first step where it is none, and which of its inputs are not finite there."""

from __future__ import annotations

import torch
from torch import Tensor

from srframework.contracts import Debiaser, LossInputs
from srframework.training.options import TrainingOptions


class LossWatch:
    """Looks at each loss, on the device, without waiting for it.

    Args:
        debiaser: The loss.
        options: The stage's, for the advice.
        device: Where the losses are.
    """

    def __init__(self, debiaser: Debiaser, options: TrainingOptions, device: torch.device) -> None:
        self._debiaser, self._options = debiaser, options
        self._first = torch.zeros(4, dtype=torch.int64, device=device)

    def see(self, loss: Tensor, inputs: LossInputs, step: int) -> None:
        """Remember the first step whose loss is not finite, and which of its inputs are not."""

        def is_bad(tensor: Tensor | None) -> Tensor:
            finite = loss.new_ones((), dtype=torch.bool) if tensor is None else tensor.detach().isfinite().all()
            return (~finite).to(self._first)

        seen = [is_bad(each) for each in (inputs.logits, inputs.bias_log_probs, inputs.teacher_log_probs)]
        now = torch.stack([is_bad(loss) * step, *seen])
        self._first = torch.where((self._first[0] == 0) & (now[0] > 0), now, self._first)

    def cause(self) -> str:
        """Of a loss that is no finite number, by what came first."""
        step, logits, bias, teacher = self._first.tolist()
        is_first = step == 1  # before it no weight was changed, and all were finite
        if logits and is_first:
            return "at step 1 the model itself gives logits that are not finite, from finite weights"
        if not logits and (bias or teacher):
            whose = "bias model" if bias else "teacher"
            return f"the {whose} gives log-probabilities that are not finite for the examples of step {step}"
        if not logits and is_first:
            return f"at step 1 the loss, {type(self._debiaser).__name__}, makes it of finite logits"
        return self.remedy()

    def remedy(self) -> str:
        """What to change where a training diverges."""
        rate, norm = self._options.learning_rate, self._options.max_grad_norm
        return f"learning_rate is {rate:g}, max_grad_norm {norm:g}; a lower learning rate is the usual remedy"
