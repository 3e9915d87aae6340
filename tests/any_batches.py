"""Losses, and batches of any probabilities for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import hypothesis.extra.numpy as arrays
import scipy.special
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_context import context

from srf_debiasers import srframework_bias_models, srframework_debiasers
from srf_debiasers.losses import ConfidenceRegularisation
from srframework import Debiaser, LossInputs

LOSS_COMPONENTS = {each.name: each for each in srframework_debiasers()}


COMPONENTS = LOSS_COMPONENTS | {each.name: each for each in srframework_bias_models()}


BIASED = ["poe", "reweight", "confreg", "learned-mixin"]


LOSSES = ["std", "focal", *BIASED]


HIDDEN = 3


@dataclass(frozen=True)
class Batch(LossInputs):
    """A batch with log p_t of its examples, ``(B, C)``."""

    teacher_log_probs: torch.Tensor | None = None


class OfBatch(ConfidenceRegularisation):
    """Confidence regularisation whose teacher's predictions come with each batch."""

    def loss(self, inputs: Batch) -> torch.Tensor:
        self._teacher = inputs.teacher_log_probs
        return super().loss(inputs)


def make(name: str, **options: Any) -> Debiaser:
    component = COMPONENTS[name]
    given = {"teacher": "full"} | options if name == "confreg" else options
    options = component.options(**given)
    if name == "confreg":
        return OfBatch(options)
    debiaser: Debiaser = component.build(options)
    debiaser.attach(context(hidden_size=HIDDEN))
    return debiaser


def logs(rows: Any, dtype: torch.dtype = torch.float64) -> torch.Tensor | None:
    return None if rows is None else torch.log(torch.as_tensor(rows, dtype=dtype))


def inputs(main: Any, labels: Any, bias: Any = None, teacher: Any = None, progress: float = 0.0) -> Batch:
    """A batch of rows of probabilities; every h is (1, −1, 1)."""
    hidden = torch.tensor([[1.0, -1.0, 1.0]], dtype=torch.float64).repeat(len(labels), 1)
    return with_logs(logs(main), torch.as_tensor(labels), logs(bias), logs(teacher), hidden, progress)


def with_logs(logits: Any, labels: Any, bias: Any, teacher: Any, hidden: Any, progress: float = 0.0) -> Batch:
    """A batch of these logits and log-probabilities."""
    index = torch.arange(len(labels))
    return Batch(
        logits, labels, index, bias_log_probs=bias, teacher_log_probs=teacher, hidden=hidden, progress=progress
    )


def gradient(debiaser: Debiaser, batch: LossInputs) -> torch.Tensor:
    logits = batch.logits.detach().clone().requires_grad_()
    debiaser.loss(replace(batch, logits=logits)).backward()
    return logits.grad


@st.composite
def batches(draw: st.DrawFn) -> LossInputs:
    """Up to 6 examples of 2 to 4 labels; all probabilities between 1e-7 and 1."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(2, 4)))
    main, bias, teacher = (
        scipy.special.softmax(draw(arrays.arrays("float64", shape, elements=st.floats(-7, 7))), axis=1)
        for _ in range(3)
    )
    labels = draw(arrays.arrays("int64", shape[0], elements=st.integers(0, shape[1] - 1)))
    return inputs(main, labels, bias, teacher)


def for_batches(**also: st.SearchStrategy[Any]) -> Callable[..., Any]:
    """As ``given(batch=batches())``."""
    return given(batch=batches(), **also)
