"""Detection of NaN and infinities in weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Describe the first tensor with NaN or infinite entries, and count them; None if all entries are finite."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or math.isfinite(tensor.sum().item()):
            continue
        if count := int((~torch.isfinite(tensor)).sum()):  # the sum of finite entries may overflow
            kind = "NaN" if bool(tensor.isnan().any()) else "infinity"
            return f"{kind} in {name} ({count} of its {tensor.numel()} entries are not finite)"
    return None
