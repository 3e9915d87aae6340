"""Checks of the gradient of a loss: hard examples count, and examples that the bias model explains count less."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srframework.component import NEEDS_BIAS
from srframework.testing.check import NotApplicable, Subject, require
from srframework.testing.inputs import GOLD, attached_debiaser, loss_inputs
from srframework.testing.small_task import LABELS

_CERTAIN = 1e-8


def _pulls(subject: Subject, logits: Tensor, bias: Tensor) -> Tensor:
    """How strongly the loss raises the logit of each example's label, ``(6,)``: 1 for cross-entropy and certain errors.

    Teachers predict the labels."""
    teacher = (4 * _one_hot(0)).log_softmax(1)
    inputs = loss_inputs(subject, logits=logits, bias=bias)
    debiaser = attached_debiaser(subject, bias=bias, teacher=teacher)
    debiaser.loss(inputs).backward()  # type: ignore[no-untyped-call]
    gradient = inputs.logits.grad
    require(gradient is not None, "the loss has no gradient for the logits")
    assert gradient is not None
    return -len(GOLD) * gradient.gather(1, torch.tensor(GOLD)[:, None]).squeeze(1)


def _one_hot(shift: int) -> Tensor:
    """The labels of the six examples, or other labels, ``(6, C)``."""
    return nn.functional.one_hot((torch.tensor(GOLD) + shift) % len(LABELS), len(LABELS)).float()


def learns_from_errors(subject: Subject) -> None:
    """An example that the model predicts wrongly with certainty has a gradient that raises the logit of its label."""
    uniform = torch.zeros(len(GOLD), len(LABELS)).log_softmax(1)
    pulls = _pulls(subject, 20 * (_one_hot(1) - _one_hot(0)), uniform)
    still = [row for row, pull in enumerate(pulls.tolist()) if not pull > 1e-3]
    sentence = f"the gradient vanishes for the examples {still}, whose predictions are wrong with certainty"
    require(not still, f"{sentence}; use log_softmax of the logits, and do not clamp")


def discounts_the_bias(subject: Subject) -> None:
    """An example whose label the bias model knows has a smaller gradient than with a uniform bias model; one on which
    the bias model is wrong does not."""
    if NEEDS_BIAS not in subject.component.required(subject.options()):
        raise NotApplicable('the debiaser does not require "bias"')
    uniform, right, wrong = (
        float(_pulls(subject, torch.zeros(len(GOLD), len(LABELS)), bias.log()).sum())
        for bias in (
            torch.full((len(GOLD), len(LABELS)), 1 / len(LABELS)),
            (_one_hot(0) + _CERTAIN) / (1 + len(LABELS) * _CERTAIN),
            (_one_hot(1) + _CERTAIN) / (1 + len(LABELS) * _CERTAIN),
        )
    )
    figures = f"the gradient is {right:.3f}, with a uniform bias model {uniform:.3f}"
    require(right <= 0.6 * uniform, f"where the bias model knows the label, {figures}")
    figures = f"the gradient is {wrong:.3f}, with a uniform bias model {uniform:.3f}"
    require(wrong >= 0.99 * uniform, f"where the bias model is certain of another label, {figures}")


CHECKS = [learns_from_errors, discounts_the_bias]
