"""Compute the length of the stages of a recipe, and check the points inside them that other stages refer to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from srframework.contracts import Phase
from srframework.errors import UsageError
from srframework.recipe.model import Recipe, Stage
from srframework.training.options import optimizer_steps

Plan = Mapping[str, Sequence[Phase]]
"""The phases of each stage, by its name; without the stages whose length is unknown."""


@dataclass(frozen=True)
class StageLength:
    """The length of one stage.

    Attributes:
        stage: Name of the stage.
        formula: The stage in the paper's notation.
        length: Epochs or steps, as in the recipe.
        steps: Optimizer steps; None if the size of the training set is unknown before it is read.
    """

    stage: str
    formula: str
    length: str
    steps: int | None


def lengths(recipe: Recipe) -> list[StageLength]:
    """The length of each stage, in order; steps are None if they depend on data that are not read yet."""
    phases = plan(recipe, recipe.dataset.build().sizes())
    steps = {name: steps_of(each) for name, each in phases.items()}
    return [StageLength(each.name, each.formula(), _length(each), steps.get(each.name)) for each in recipe.stages]


def steps_of(phases: Sequence[Phase]) -> int:
    """The total number of steps of all phases."""
    return sum(phase.steps for phase in phases)


def _length(stage: Stage) -> str:
    training = stage.training
    count, unit = (training.max_steps, "step") if training.max_steps else (training.epochs, "epoch")
    return f"{count} {unit}{'s' if count != 1 else ''}"


def plan(recipe: Recipe, sizes: Mapping[str, int], processes: int = 1) -> Plan:
    """Compute the phases of each stage; a pruner may use fewer steps than it gets.

    Args:
        recipe: A checked recipe; each pruner is built once.
        sizes: Number of examples of ``train`` and ``ood_train``, where known.
        processes: Number of processes that share a step.
    """
    found = {stage.name: _phases(stage, sizes, processes) for stage in recipe.stages}
    return {name: phases for name, phases in found.items() if phases is not None}


def _phases(stage: Stage, sizes: Mapping[str, int], processes: int) -> Sequence[Phase] | None:
    training = stage.training
    splits = ["train", *(["ood_train"] if training.ood_train else [])]
    if training.max_steps is None and not all(name in sizes for name in splits):
        return None
    examples = sizes.get("train", 0) + training.ood_train * sizes.get("ood_train", 0)
    steps = optimizer_steps(training, examples, processes)
    return stage.phases(steps)


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
        UsageError: A stage does not reach a step or level; shows the valid ones.
    """
    exact = {stage.name for stage in recipe.stages if not estimated or stage.training.max_steps is not None}
    for stage in recipe.stages:
        for key, reference in stage.references():
            if reference.stage not in plan:
                continue
            phases = plan[reference.stage]
            total = steps_of(phases)
            where = f"stages.{stage.name}.{key}: {str(reference)!r}"
            if reference.step is not None and reference.stage in exact and not 1 <= reference.step <= total:
                expected = f"expected a step of {reference.stage!r}, 1 to {total}, got {reference.step}"
                raise UsageError(f"{where}: {expected}")
            if reference.level is not None:
                check_level(where, reference.stage, reference.level, phases)


def check_level(where: str, stage: str, level: float, phases: Sequence[Phase]) -> None:
    """Check that a stage keeps a sparsity level.

    Args:
        where: The key and the reference, for the message.
        stage: Name of the stage.
        level: Sparsity level, in (0, 1).
        phases: Phases of the stage.

    Raises:
        UsageError: The stage does not keep this level; lists the levels that it keeps.
    """
    levels = [f"{phase.level:g}" for phase in phases if phase.level is not None]
    if f"{level:g}" not in levels:
        message = f"expected a sparsity level that {stage!r} keeps, got {level:g}"
        raise UsageError(f"{where}: {message}; it keeps {', '.join(levels) or 'none'}")
