"""One run of a recipe: trains and evaluates its stages or reuses them from the store; writes the run directory.

Imported by sweeps, subnetwork, deployment, claims, report and cli; imports recipe, training, registry and store.

``srframework.run`` is this package, and it can be called: :func:`srframework.deployment.from_python.run`.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A package that is also the function of its name."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Run a recipe."""
        # By name: this package must not import the packages above it.
        return importlib.import_module("srframework.deployment.from_python").run(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
