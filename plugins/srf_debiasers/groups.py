"""Losses for the worst group of examples. Shapes: N training examples, B examples of a batch, G groups."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, distributed
from torch.nn import functional as F

from srf_debiasers.options import GroupDroOptions, JttOptions
from srframework import DataError, Debiaser, LossInputs, TrainingContext


class GroupDro(Debiaser):
    """Σ_g q_g ℓ_g, with ℓ_g the mean cross-entropy of group g in the batch, 0 for a group without examples in it.

    Before each loss, q_g is multiplied by exp(η (ℓ_g + C/√n_g)) and normalised; n_g is the number of training examples
    of the group, η is ``step_size`` and C ``adjustment``. At the beginning q is uniform. Processes share ℓ and q.

    Source: Sagawa et al. 2020, algorithm 1 and section 3.3.
    """

    options: GroupDroOptions

    def attach(self, context: TrainingContext) -> None:
        """Number the groups of the training set, in the order of their sorted names.

        Raises:
            DataError: There is only one group.
        """
        names, group, sizes = np.unique(context.columns[self.options.column], return_inverse=True, return_counts=True)
        if len(names) < 2:
            raise DataError(f"group-dro: expected at least 2 groups in the column {self.options.column!r}, got 1")
        self._names, self._log = [str(name) for name in names], context.log
        self._group = torch.from_numpy(group.reshape(-1).astype(np.int64)).to(context.device)
        self._margin = self.options.adjustment / torch.from_numpy(sizes).to(context.device, torch.float32).sqrt()
        self._log_q = torch.full_like(self._margin, 1 / len(names)).log()

    def loss(self, inputs: LossInputs) -> Tensor:
        """Update q, and give the weighted loss of the groups; a scalar."""
        each = F.cross_entropy(inputs.logits, inputs.labels, reduction="none")
        weights = torch.ones_like(each) if inputs.weights is None else inputs.weights.to(each)
        zeros, group = torch.zeros_like(self._log_q, dtype=each.dtype), self._group[inputs.index]
        sums, totals = zeros.index_add(0, group, weights * each), zeros.index_add(0, group, weights)
        everywhere, processes = sums.detach().clone(), 1
        if distributed.is_available() and distributed.is_initialized():
            processes = distributed.get_world_size()
            distributed.all_reduce(everywhere)
            distributed.all_reduce(totals)
        totals = totals.where(totals > 0, 1.0)
        scores = self._log_q + self.options.step_size * (everywhere / totals + self._margin).float()
        self._log_q = torch.log_softmax(scores, dim=0)
        for name, q in zip(self._names, self._log_q.exp(), strict=True):
            self._log(f"q/{name}", q)
        # The gradients of the processes are averaged, and each process has only its own part of the sums.
        return processes * (self._log_q.exp().to(each) * sums / totals).sum()

    def state(self) -> dict[str, Tensor]:
        """Give log q."""
        return {"log_q": self._log_q.clone()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Use the log q of the state."""
        self._log_q = state["log_q"].to(self._log_q)


class JustTrainTwice(Debiaser):
    """Cross-entropy with the weight λ for the examples that another stage predicts wrongly, and 1 for all others.

    It is divided by the mean weight of the training set. So it is the mean over a training set that contains each of
    those examples λ times.

    Source: Liu et al. 2021, section 3.
    """

    options: JttOptions

    def attach(self, context: TrainingContext) -> None:
        """Find the errors of the other stage on the training set."""
        log_probs = context.stages[self.options.identified_by].log_probs
        assert log_probs is not None, "required when it is registered"
        wrong = log_probs.argmax(axis=1) != context.gold
        weights = np.where(wrong, self.options.upweight, 1.0)
        self._weights = torch.from_numpy((weights / weights.mean()).astype(np.float32)).to(context.device)
        context.log("identified", float(wrong.mean()))

    def loss(self, inputs: LossInputs) -> Tensor:
        """Give the weighted cross-entropy; a scalar."""
        each = F.cross_entropy(inputs.logits, inputs.labels, reduction="none")
        return inputs.mean(self._weights[inputs.index].to(each) * each)
