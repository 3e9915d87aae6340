"""The settings of torch, numpy and the process, which a component must leave as they are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


def global_settings() -> dict[str, Any]:
    """Return the settings by name."""
    return {
        "the default dtype of torch": torch.get_default_dtype(),
        "the default device of torch": str(torch.get_default_device()),
        "the gradient mode of torch": torch.is_grad_enabled(),
        "the number of threads of torch": torch.get_num_threads(),
        "the deterministic mode of torch": torch.are_deterministic_algorithms_enabled(),
        "the anomaly detection of torch": torch.is_anomaly_enabled(),
        "the error handling of numpy": dict(np.geterr()),
        "the working directory": os.getcwd(),
    }


@contextlib.contextmanager
def restored_settings() -> Iterator[None]:
    """Restore the settings after the block."""
    dtype, device, grad, threads, deterministic, anomaly, errors, directory = global_settings().values()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_default_device(None if device == "cpu" else device)
        torch.set_grad_enabled(grad)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        torch.autograd.set_detect_anomaly(anomaly)
        np.seterr(**errors)
        os.chdir(directory)
