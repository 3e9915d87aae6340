"""Texts with other hashes, as in another process with another hash seed."""

from __future__ import annotations

import builtins
import contextlib
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

from srframework.component import Component


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
