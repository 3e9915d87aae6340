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
from srframework.testing.process_state import global_settings

_DRAWING = (
    (random, "Random"),
    (np.random, "default_rng"),
    (np.random, "RandomState"),
    (np.random, "Generator"),
    (torch, "Generator"),
    (datasets.Dataset, "shuffle"),
    (datasets.Dataset, "train_test_split"),
)


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
def untouched_states(method: str) -> Iterator[None]:
    """Require that the block, which calls a method, leaves the global random states and settings as they are."""
    settings = global_settings()
    with global_states(20):
        before = _states()
        try:
            yield
        finally:  # a changed setting may be the reason of an error
            changed = [name for name, value in global_settings().items() if value != settings[name]]
            require(not changed, f"{method} changes {', '.join(changed)}")
        after = _states()
    advice = f"{method} changes the global random state of"
    require(before[0] == after[0], f"{advice} Python's random; draw from a generator of its own")
    require(str(before[1]) == str(after[1]), f"{advice} numpy; draw from a generator of its own")
    require(torch.equal(before[2], after[2]), f"{advice} torch; draw from a generator of its own")


@contextlib.contextmanager
def watched_generators(component: Component) -> Iterator[list[str]]:
    """Yield a list that gets the name of each random generator that the component's package creates in the block."""
    factory = component.factory
    package = (factory if isinstance(factory, str) else factory.__module__).partition(":")[0].partition(".")[0]
    drawn: list[str] = []
    with contextlib.ExitStack() as patches:
        for owner, name in _DRAWING:
            original = getattr(owner, name)
            call = _recording(original, name, package, drawn)
            patches.enter_context(mock.patch.object(owner, name, call))
            for module in [each for key, each in sys.modules.items() if key.partition(".")[0] == package]:
                for alias in [key for key, value in vars(module).items() if value is original]:
                    patches.enter_context(mock.patch.object(module, alias, call))
        yield drawn


def _recording(original: Any, name: str, package: str, drawn: list[str]) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))
        if caller.partition(".")[0] == package:
            drawn.append(name)
        return original(*args, **kwargs)

    return call
