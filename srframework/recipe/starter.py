"""The text of a new recipe, from a shipped recipe."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, get_origin

from srframework.component import Options
from srframework.errors import UsageError
from srframework.files import write_text
from srframework.recipe.model import find_recipe, shipped
from srframework.registry.registry import Registered
from srframework.text import did_you_mean, nearest, shorten

_NEEDS = re.compile(r"^# Needs: .*\n", re.MULTILINE)
_TABLE = re.compile(r"^\[dataset\].*?(?=^\[(?!dataset\.)|\Z)", re.MULTILINE | re.DOTALL)
"""The table ``[dataset]``, and its own tables, such as ``[dataset.ood.hans]``."""


def starter_text(recipe: str, name: str, dataset: Registered | None) -> str:
    """Return the text of a shipped recipe under a new name, with another data set if one is given.

    Args:
        recipe: Name of the shipped recipe.
        name: Name of the new recipe.
        dataset: The data set; None: that of the shipped recipe.

    Raises:
        UsageError: There is no such shipped recipe, or its data set cannot be replaced.
    """
    if recipe not in shipped():
        hint = did_you_mean(nearest(recipe, shipped()))
        raise UsageError(f"no shipped recipe is named {shorten(recipe)} (see `srframework recipes`){hint}")
    line = f"name = {json.dumps(name)}"
    text = re.sub(r'^name = ".*"$', lambda _: line, find_recipe(recipe).read_text("utf-8"), count=1, flags=re.M)
    if dataset is None:
        return text
    replaced, count = _TABLE.subn(lambda _: _table(dataset), _NEEDS.sub("", text, count=1))
    if count != 1:
        raise UsageError(f"--task: the recipe {recipe!r} has no table [dataset] to replace")
    return replaced


def required_options(dataset: Registered) -> list[str]:
    """Return the names of the options without a default."""
    return [name for name, field in dataset.component.options.model_fields.items() if field.is_required()]


def _table(dataset: Registered) -> str:
    """The table [dataset]; options without a default are comments to fill in."""
    described = dataset.component.options.model_fields
    missing = [
        f"# {option} = {_blank(described[option].annotation)}    # {described[option].description}\n"
        for option in required_options(dataset)
    ]
    return f'[dataset]\nuse = "{dataset.name}"\n{"".join(missing)}\n'


def _blank(annotation: Any) -> str:
    """A place to fill in: for a table, with its first option; for a list, with two values."""
    if get_origin(annotation) is tuple:
        return '["…", "…"]'
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return f'{{ {next(iter(annotation.model_fields))} = "…" }}'
    return ""


def write_new(path: Path, text: str) -> None:
    """Write a file that must not exist.

    Raises:
        UsageError: It exists, or cannot be written.
    """
    if os.path.lexists(path):
        raise UsageError(f"{path}: already exists; choose another name")
    try:
        write_text(path, text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
