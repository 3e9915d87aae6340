"""The global random states, and the random generators that a component creates."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import datasets
import numpy as np
import torch

from srframework.component import Component
from srframework.testing.check import require
from srframework.testing.settings import global_settings

_DRAWING = (
    (random, "Random"),
    (np.random, "default_rng"),
    (np.random, "RandomState"),
    (np.random, "Generator"),
    (torch, "Generator"),
    (datasets.Dataset, "shuffle"),
    (datasets.Dataset, "train_test_split"),
    (datasets.DatasetDict, "shuffle"),
)

_DRAWING_IF_LOADED = (
    ("pandas", "DataFrame", "sample"),
    ("pandas", "Series", "sample"),
    ("sklearn.model_selection", "", "train_test_split"),
    ("sklearn.utils", "", "shuffle"),
    ("sklearn.utils", "", "resample"),
)
"""Module, class in it, function; patched only if the module is loaded."""


def _states() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


@contextlib.contextmanager
def global_states(seed: int | None = None) -> Iterator[None]:
    """Restore the global random states of Python, numpy and torch after the block; first set them, if given a seed."""
    states = _states()
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@contextlib.contextmanager
def untouched_settings(method: str) -> Iterator[None]:
    """Require that the block, which calls a method, leaves the settings of torch, numpy and the process as they are."""
    settings = global_settings()
    try:
        yield
    finally:  # a changed setting may be the reason of an error
        changed = [name for name, value in global_settings().items() if value != settings[name]]
        require(not changed, f"{method} changes {', '.join(changed)}")


@contextlib.contextmanager
def untouched_states(method: str) -> Iterator[None]:
    """Require that the block, which calls a method, leaves the global random states and settings as they are."""
    with global_states(20):
        before = _states()
        with untouched_settings(method):
            yield
        after = _states()
    advice = f"{method} changes the global random state of"
    require(before[0] == after[0], f"{advice} Python's random; draw from a generator of its own")
    require(str(before[1]) == str(after[1]), f"{advice} numpy; draw from a generator of its own")
    require(torch.equal(before[2], after[2]), f"{advice} torch; draw from a generator of its own")


@contextlib.contextmanager
def watched_generators(component: Component, made: object = None) -> Iterator[list[str]]:
    """Yield a list that gets the name of each random generator that the component's packages create in the block.

    Args:
        component: The component.
        made: An instance, whose base classes count too; None: only the factory counts.
    """
    factory = component.factory
    modules = [(factory if isinstance(factory, str) else factory.__module__).partition(":")[0]]
    modules += [each.__module__ for each in type(made).__mro__]
    packages = {each.partition(".")[0] for each in modules} - {"srframework", "builtins", "abc"}
    owners: list[tuple[Any, str]] = list(_DRAWING)
    for module_name, class_name, name in _DRAWING_IF_LOADED:
        if (loaded := sys.modules.get(module_name)) is not None:
            owners.append((getattr(loaded, class_name) if class_name else loaded, name))
    drawn: list[str] = []
    with contextlib.ExitStack() as patches:
        for owner, name in owners:
            original = getattr(owner, name)
            call = _recording(original, name, packages, drawn)
            patches.enter_context(mock.patch.object(owner, name, call))
            for module in [each for key, each in sys.modules.items() if key.partition(".")[0] in packages]:
                for alias in [key for key, value in vars(module).items() if value is original]:
                    patches.enter_context(mock.patch.object(module, alias, call))
        yield drawn


def _recording(original: Any, name: str, packages: set[str], drawn: list[str]) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        frame: Any = sys._getframe(1)
        if frame.f_code.co_name == "__call__" and frame.f_globals is globals():
            frame = frame.f_back
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in packages:
            drawn.append(name)
        return original(*args, **kwargs)

    if not isinstance(original, type):
        return call

    class Watched(type):
        """Records calls of a class; isinstance() and attributes of the class stay as they are."""

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            return call(*args, **kwargs)

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, original)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, original)

        def __getattr__(cls, attribute: str) -> Any:
            return getattr(original, attribute)

    return Watched(name, (), {})
