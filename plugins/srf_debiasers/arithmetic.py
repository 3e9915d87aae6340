"""Pure arithmetic of the losses on tensors. Shapes: B examples, C labels."""

from __future__ import annotations

import torch
from torch import Tensor


def annealed(log_probs: Tensor, theta: float) -> Tensor:
    """Flatten distributions: p^θ, normalised; the same tensor object if θ is 1.

    Args:
        log_probs: ``(B, C)``, finite, normalised.
        theta: In [0, 1]; 0 gives the uniform distribution.

    Returns:
        Log-probabilities, ``(B, C)``.

    Source: the authors' released code.

    >>> annealed(torch.tensor([[0.2, 0.8]]).log(), 0.5).exp()
    tensor([[0.3333, 0.6667]])
    """
    return log_probs if theta == 1 else torch.log_softmax(theta * log_probs, dim=1)


def of_true(values: Tensor, labels: Tensor) -> Tensor:
    """Select from ``(B, C)`` the values at the labels ``(B,)``; ``(B,)``."""
    return values.gather(1, labels[:, None]).squeeze(1)


def unexplained(bias_log_probs: Tensor, labels: Tensor) -> Tensor:
    """Give 1 − β, the probability of the wrong labels under p_b; ``(B,)``, in [0, 1].

    Args:
        bias_log_probs: ``(B, C)``, log p_b, normalised.
        labels: ``(B,)``, int64, the true labels; β is their probability under p_b.

    >>> unexplained(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([1]))
    tensor([0.2500])
    """
    # expm1, since 1 − exp(log β) loses precision as β approaches 1; log β may be above 0 by rounding.
    return torch.expm1(of_true(bias_log_probs, labels).clamp(max=0)).abs()


def softened(teacher_log_probs: Tensor, strength: Tensor) -> Tensor:
    """Raise each distribution to its own power: S_j = p_j^s / Σ_k p_k^s.

    Args:
        teacher_log_probs: ``(B, C)``, log p; −∞ means a probability of 0, with 0⁰ = 1.
        strength: ``(B,)``, s = 1 − β, in [0, 1]; 1 gives p, 0 the uniform distribution.

    Returns:
        Probabilities, ``(B, C)``.

    Source: section 3.3; Utama et al. 2020.

    >>> softened(torch.tensor([[0.2, 0.8], [0.2, 0.8]]).log(), torch.tensor([0.5, 0.0]))
    tensor([[0.3333, 0.6667],
            [0.5000, 0.5000]])
    """
    finite = teacher_log_probs.clamp(min=torch.finfo(teacher_log_probs.dtype).min)  # 0 · −∞ would be NaN
    return torch.softmax(strength[:, None] * finite, dim=1)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Give Σ w·v / Σ w of two ``(B,)``; 0 if all weights are 0. Weights must be 0 or more.

    >>> weighted_mean(torch.tensor([1.0, 5.0]), torch.tensor([0.75, 0.25]))
    tensor(2.)
    """
    return (weights / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)) @ values


def log_of_wrong(log_probs: Tensor, labels: Tensor) -> Tensor:
    """Give log(1 − p_y) as the log-sum over the other labels: exact and smooth as p_y approaches 1.

    Args:
        log_probs: ``(B, C)``, finite, normalised; C is at least 2.
        labels: ``(B,)``, int64; y.

    Returns:
        ``(B,)``, at most 0 up to rounding.

    >>> log_of_wrong(torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([0])).exp()
    tensor([0.5000])
    """
    return log_probs.scatter(1, labels[:, None], -torch.inf).logsumexp(1)


def entropy(log_probs: Tensor) -> Tensor:
    """Give the entropy of each distribution, in nats; ``(B,)``.

    Args:
        log_probs: ``(B, C)``, finite, normalised.

    >>> entropy(torch.tensor([[0.5, 0.5]]).log())
    tensor([0.6931])
    """
    return -(log_probs.exp() * log_probs).sum(1)
