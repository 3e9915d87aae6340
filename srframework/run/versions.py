"""The versions that count in a key, and those that run.json has too."""

from __future__ import annotations

import functools
import platform
from importlib.metadata import version

from srframework.recipe.model import Recipe

COMPUTING = ("srframework", "accelerate", "numpy", "scikit-learn", "tokenizers", "torch", "transformers")
"""The distributions by which results are computed: their versions are part of a result's key."""

_READING = ("datasets", "safetensors")
"""Those that only read and write: what they read counts by its content."""


def computing_versions() -> dict[str, str]:
    """The versions that count in a key."""
    return {name: _version(name) for name in COMPUTING}


def run_versions(recipe: Recipe) -> dict[str, str]:
    """Of Python, of the plugins that a recipe uses, and of the libraries."""
    uses = [recipe.backbone, recipe.dataset, *recipe.evaluators]
    uses += [use for stage in recipe.stages for use in (stage.loss, stage.pruner) if use is not None]
    uses += [recipe.bias] if recipe.bias is not None else []
    plugins = {use.registered.plugin.dist: use.registered.plugin.version for use in uses}
    libraries = {name: _version(name) for name in (*COMPUTING, *_READING)}
    return {"python": platform.python_version(), **plugins, **libraries}


_version = functools.cache(version)
