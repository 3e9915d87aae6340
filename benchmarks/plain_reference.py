"""Mask training and evaluation as the authors' code computes them, in plain PyTorch, for comparisons."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import get_linear_schedule_with_warmup

Batch = Mapping[str, Tensor]


class _Binary(torch.autograd.Function):
    """1[scores ≥ φ]; the backward pass treats it as the scores."""

    @staticmethod
    def forward(_ctx: Any, scores: Tensor, threshold: Tensor) -> Tensor:
        return (scores >= threshold).to(scores.dtype)

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


class _MaskedLinear(nn.Module):
    """A linear layer with W ⊙ 1[scores ≥ φ]; hard initialisation (App. A.1.2)."""

    def __init__(self, linear: nn.Linear, sparsity: float, phi: float) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        magnitudes = linear.weight.detach().abs()
        cut = magnitudes.flatten().kthvalue(max(1, round(sparsity * magnitudes.numel()))).values
        self.scores = nn.Parameter((magnitudes > cut) * (2 * phi))
        self.threshold = torch.tensor(phi)

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the masked matrix."""
        return nn.functional.linear(inputs, self.weight * _Binary.apply(self.scores, self.threshold), self.bias)


def masked(model: nn.Module, names: Sequence[str], sparsity: float, phi: float) -> dict[str, nn.Parameter]:
    """Freeze a model and give each of these linear modules a mask, in place; return the scores."""
    model.requires_grad_(False)
    found: dict[str, nn.Parameter] = {}
    for name in names:
        owner, _, attribute = name.rpartition(".")
        made = _MaskedLinear(model.get_submodule(name), sparsity, phi)
        setattr(model.get_submodule(owner), attribute, made)
        found[name] = made.scores
    return found


def trained(
    model: nn.Module,
    parameters: Sequence[nn.Parameter],
    batches: Sequence[Batch],
    rate: float,
    now: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Train on each batch once, with a linear decay to 0; return the time after each step."""
    model.train()
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, len(batches))
    times = []
    for batch in batches:
        inputs = {name: value for name, value in batch.items() if name not in ("labels", "index")}
        nn.functional.cross_entropy(model(**inputs).logits, batch["labels"]).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        times.append(now())
    return times


def evaluated(model: nn.Module, batches: Sequence[Batch]) -> Tensor:
    """Return the logits of all batches."""
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(**batch).logits for batch in batches])
