"""Finds tensors that all instances of a component share."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor


def shared_tensors(component: Any) -> str:
    """Name a tensor, or a container with tensors, in the class of a component, or a container with tensors in its
    module; empty if there is none."""
    for made in type(component).__mro__:
        if made.__module__.partition(".")[0] in ("srframework", "abc", "builtins", "typing"):
            continue
        for name, value in vars(made).items():
            if isinstance(value, Tensor) or _has_tensors(value):
                return f"the class attribute {made.__name__}.{name}"
        module = sys.modules.get(made.__module__)
        for name, value in vars(module).items() if module is not None else ():
            if _has_tensors(value):
                return f"the variable {name} of the module {made.__module__}"
    return ""


def _has_tensors(value: Any) -> bool:
    inside: Iterable[Any] = ()
    if isinstance(value, Mapping):
        inside = list(value.values())
    elif isinstance(value, list | tuple | set):
        inside = list(value)
    return any(isinstance(each, Tensor) or _has_tensors(each) for each in inside)
