"""Versions of distributions: those that count in a key, and those in run.json."""

from __future__ import annotations

import functools
import platform
from importlib.metadata import version

from srframework.recipe.model import Recipe

COMPUTING = ("srframework", "accelerate", "numpy", "scikit-learn", "tokenizers", "torch", "transformers")
"""Distributions that compute results; their versions are part of a result's key."""

_READING = ("datasets", "safetensors")
"""Distributions that only read and write files; the content of the files counts instead."""


def computing_versions() -> dict[str, str]:
    """Return the versions that count in a key."""
    return {name: _version(name) for name in COMPUTING}


def run_versions(recipe: Recipe) -> dict[str, str]:
    """Return the versions of Python, of the plugins that a recipe uses, and of the libraries."""
    uses = [recipe.backbone, recipe.dataset, *recipe.evaluators]
    uses += [use for stage in recipe.stages for use in (stage.loss, stage.pruner) if use is not None]
    uses += [recipe.bias] if recipe.bias is not None else []
    plugins = {use.registered.plugin.dist: use.registered.plugin.version for use in uses}
    libraries = {name: _version(name) for name in (*COMPUTING, *_READING)}
    return {"python": platform.python_version(), **plugins, **libraries}


_version = functools.cache(version)
