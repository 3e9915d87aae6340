"""NaN and infinities among weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Which is the first that has NaN or an infinity among its entries, and how many; None where all are finite."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or math.isfinite(tensor.sum().item()):
            continue
        if count := int((~torch.isfinite(tensor)).sum()):  # of finite entries the sum may still be none
            kind = "NaN" if bool(tensor.isnan().any()) else "infinity"
            return f"{kind} in {name} ({count} of its {tensor.numel()} entries are not finite)"
    return None
