"""The settings of torch, numpy and the process, which no component changes for the others."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from srframework.testing.check import require


def _settings() -> dict[str, Any]:
    return {
        "torch.set_grad_enabled": torch.is_grad_enabled(),
        "torch.set_default_dtype": torch.get_default_dtype(),
        "torch.set_default_device": str(torch.get_default_device()),
        "torch.set_num_threads": torch.get_num_threads(),
        "torch.use_deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "np.seterr": np.geterr(),
        "os.chdir": os.getcwd(),
    }


@contextlib.contextmanager
def untouched_settings(method: str) -> Iterator[None]:
    """Require that the block, which calls a method, leaves the global settings as they are; restore them."""
    before = _settings()
    try:
        torch.set_grad_enabled(True)  # an earlier check of the component may have changed them
        torch.set_default_dtype(torch.float32)
        np.seterr(all="warn")
        usual = _settings()
        yield
        after = _settings()
    finally:
        torch.set_grad_enabled(before["torch.set_grad_enabled"])
        torch.set_default_dtype(before["torch.set_default_dtype"])
        torch.set_num_threads(before["torch.set_num_threads"])
        torch.use_deterministic_algorithms(before["torch.use_deterministic_algorithms"])
        np.seterr(**before["np.seterr"])
        os.chdir(before["os.chdir"])
    for name, value in usual.items():
        require(after[name] == value, f"{method} changes a setting of the whole process, as {name} does")
