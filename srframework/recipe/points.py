"""Check references to points inside a stage: a step (``full@10000``) or a sparsity level (``imp@0.5``).

A point that a stage or an evaluator refers to is kept for it. A claim needs levels that the stage keeps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from srframework.contracts import Phase
from srframework.errors import UsageError
from srframework.pruning import kept_levels_options
from srframework.recipe.model import Recipe, Stage
from srframework.recipe.stage_lengths import Plan, plan, steps_of


def check_early(recipes: Iterable[Recipe]) -> None:
    """Check recipes as :func:`check_points` does, before the data are read: the sizes of the data are estimates.

    Raises:
        UsageError: Lists the problems of all recipes, each once.
    """
    problems: dict[str, None] = {}
    for recipe in recipes:
        try:
            check_points(recipe, plan(recipe, recipe.dataset.build().sizes()), estimated=True)
        except UsageError as error:
            problems[str(error)] = None
    if problems:
        raise UsageError("\n".join(problems))


def check_points(recipe: Recipe, plan: Plan, estimated: bool = False) -> None:
    """Check that each stage reaches the steps and levels that other stages refer to.

    Args:
        recipe: A checked recipe.
        plan: The phases of its stages.
        estimated: Whether stage lengths in epochs are estimates; steps of such stages are not checked.

    Raises:
        UsageError: A stage does not reach a step or level, or may stop before; shows the valid ones.
    """
    patient = {stage.name for stage in recipe.stages if stage.training.patience is not None}
    exact = {stage.name for stage in recipe.stages if not estimated or stage.training.max_steps is not None}
    found = [(f"stages.{s.name}.{key}", reference) for s in recipe.stages for key, reference in s.references()]
    for key, reference in (*found, *recipe.of_evaluators()):
        if reference.step is not None and reference.stage in patient:
            expected = f"expected a stage without patience, which may stop {reference.stage!r} before step"
            raise UsageError(f"{key}: {str(reference)!r}: {expected} {reference.step}")
        if reference.stage not in plan:
            continue
        phases = plan[reference.stage]
        total = steps_of(phases)
        where = f"{key}: {str(reference)!r}"
        if reference.step is not None and reference.stage in exact and not 1 <= reference.step <= total:
            expected = f"expected a step of {reference.stage!r}, 1 to {total}, got {reference.step}"
            raise UsageError(f"{where}: {expected}")
        if reference.level is not None:
            _check_reached(where, reference.stage, reference.level, phases)


def check_kept(where: str, stage: Stage, level: float, phases: Sequence[Phase], referred: Collection[str]) -> None:
    """Check that a stage keeps a sparsity level.

    Args:
        where: The key and the reference, for the message.
        stage: The stage.
        level: Sparsity level, in (0, 1).
        phases: Phases of the stage.
        referred: The points of the stage that other stages or evaluators refer to.

    Raises:
        UsageError: The stage does not reach or does not keep this level; lists the levels, and names the option that
            chooses them.
    """
    _check_reached(where, stage.name, level, phases)
    kept = [each.point for each in phases if each.point is not None and (each.kept or each.point in referred)]
    if f"{level:g}" in kept:
        return
    options = kept_levels_options(type(stage.pruner.options)) if stage.pruner is not None else []
    how = "".join(f"; choose the levels with stages.{stage.name}.pruner.{option}" for option in options)
    message = f"expected a sparsity level that {stage.name!r} keeps, got {level:g}"
    raise UsageError(f"{where}: {message}; it keeps {', '.join(kept) or 'none'}{how}")


def _check_reached(where: str, stage: str, level: float, phases: Sequence[Phase]) -> None:
    levels = [phase.point for phase in phases if phase.point is not None]
    if f"{level:g}" not in levels:
        message = f"expected a sparsity level that {stage!r} reaches, got {level:g}"
        raise UsageError(f"{where}: {message}; it reaches {', '.join(levels) or 'none'}")
