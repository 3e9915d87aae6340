"""Materials that several recipes of one process share, such as those of a sweep."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from srframework.hashing import digest
from srframework.recipe.model import Recipe
from srframework.run.identity import signed
from srframework.run.resources import Materials

_SHARED: dict[str, Materials] = {}
_MOST_SHARED = 2
"""A worker of a sweep alternates between few data sets and seeds."""

_MOST_FILES = 10_000
"""Limit for the files of one directory whose state is compared."""


def shared_materials(recipe: Recipe, accelerator: Accelerator) -> Materials:
    """Return the materials of a recipe; recipes that differ only in their stages share one object.

    They are read again after :func:`clear_shared_materials`, or if a file or a directory named by an option changed.

    Raises:
        SRFrameworkError: The data or the model are invalid.
    """
    bias = None if recipe.bias is None else signed(recipe.bias)
    uses = [signed(use) for use in (recipe.backbone, recipe.dataset, *recipe.evaluators)]
    key = digest([uses, bias, recipe.seed, str(Path.cwd()), list(_states([uses, bias]))])
    if key not in _SHARED:
        while len(_SHARED) >= _MOST_SHARED:
            del _SHARED[next(iter(_SHARED))]
        _SHARED[key] = Materials(recipe, accelerator)
    return _SHARED[key]


def clear_shared_materials() -> None:
    """Forget the shared materials."""
    _SHARED.clear()


def _states(value: Any) -> Iterator[list[Any]]:
    """Yield the state of the files and directories that options name."""
    if isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _states(each)
    elif isinstance(value, str) and "\0" not in value and os.path.exists(value):
        inside = (os.path.join(folder, name) for folder, _, names in os.walk(value) for name in sorted(names))
        for path in [value, *itertools.islice(inside, _MOST_FILES)]:
            try:
                state = os.stat(path)
            except OSError:
                yield [path]
            else:
                yield [path, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]
