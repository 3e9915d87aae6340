"""The global settings of torch and numpy that a component must leave as they are, and a stable ``hash``."""

from __future__ import annotations

import builtins
import contextlib
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch

from srframework.component import Component


def global_settings() -> dict[str, Any]:
    """Return the settings by name."""
    return {
        "the default dtype of torch": torch.get_default_dtype(),
        "the gradient mode of torch": torch.is_grad_enabled(),
        "the number of threads of torch": torch.get_num_threads(),
        "the deterministic mode of torch": torch.are_deterministic_algorithms_enabled(),
        "the anomaly detection of torch": torch.is_anomaly_enabled(),
        "the error handling of numpy": dict(np.geterr()),
    }


@contextlib.contextmanager
def restored_settings() -> Iterator[None]:
    """Restore the settings after the block."""
    dtype, grad, threads, deterministic, anomaly, errors = global_settings().values()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        torch.autograd.set_detect_anomaly(anomaly)
        np.seterr(**errors)


@contextlib.contextmanager
def in_another_process(component: Component) -> Iterator[None]:
    """Give ``hash()`` of texts other values in the component's package, as another process with another seed does."""
    factory, original = component.factory, builtins.hash
    package = (factory if isinstance(factory, str) else factory.__module__).partition(":")[0].partition(".")[0]

    def call(value: Any) -> int:
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))
        if caller.partition(".")[0] == package and isinstance(value, str | bytes | tuple):
            return original((value, "another process"))
        return original(value)

    with mock.patch.object(builtins, "hash", call):
        yield
