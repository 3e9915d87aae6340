"""Checks that several processes have the same mask."""

from __future__ import annotations

import torch
from accelerate import Accelerator

from srframework.contracts import Pruner
from srframework.errors import SRFrameworkError


def require_equal_masks(pruner: Pruner, accelerator: Accelerator, step: int) -> None:
    """Check that all processes have the same mask after ``step`` steps.

    Raises:
        SRFrameworkError: Their masks differ.
    """
    if accelerator.num_processes == 1:
        return
    mine = list(bytes.fromhex(pruner.masks().digest()))
    digests = accelerator.gather(torch.tensor([mine], device=accelerator.device)).tolist()
    if any(digest != digests[0] for digest in digests):
        hashes = ", ".join(f"{rank}: {bytes(digest).hex()[:12]}" for rank, digest in enumerate(digests))
        raise SRFrameworkError(
            f"the processes disagree on the mask after step {step}: expected equal hashes, got {hashes}"
        )
