"""Choose some stages of a recipe to run: ``--until`` and ``--stages``."""

from __future__ import annotations

from collections.abc import Sequence

from srframework.errors import UsageError
from srframework.recipe.model import Recipe
from srframework.text import choices_text, nearest, shorten


def up_to(recipe: Recipe, last: str) -> Recipe:
    """Keep the stages that run before a stage, and the stage itself.

    Args:
        recipe: The recipe.
        last: The name of the stage.

    Raises:
        UsageError: There is no such stage, or an evaluator refers to a stage that runs later.
    """
    names = _known(recipe, [last], "--until")
    order = [stage.name for stage in recipe.stages]
    return _only(recipe, order[: order.index(names[0]) + 1], "--until")


def chosen(recipe: Recipe, names: Sequence[str]) -> Recipe:
    """Keep some stages and the stages that they depend on.

    Args:
        recipe: The recipe.
        names: The names of the stages; at least one.

    Raises:
        UsageError: There is no such stage, or an evaluator refers to a stage that is not kept.
    """
    return _only(recipe, _known(recipe, names, "--stages"), "--stages")


def _known(recipe: Recipe, names: Sequence[str], option: str) -> Sequence[str]:
    known = [stage.name for stage in recipe.stages]
    for name in names:
        if name not in known:
            offered = choices_text(nearest(name, known), known)
            raise UsageError(f"{option}: the recipe {recipe.name!r} has no stage {shorten(name)}{offered}")
    return names


def _only(recipe: Recipe, names: Sequence[str], option: str) -> Recipe:
    kept = recipe.only(*names)
    stages = {stage.name for stage in kept.stages}
    for key, reference in kept.of_evaluators():
        if reference.stage not in stages:
            raise UsageError(f"{option}: {key} refers to the stage {reference.stage!r}, which would not run; add it")
    return kept
