"""How long the stages of a recipe are, and whether the points inside them that others name exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from srframework.contracts import Phase
from srframework.errors import UsageError
from srframework.recipe.model import Recipe, Stage
from srframework.training.options import optimizer_steps

Plan = Mapping[str, Sequence[Phase]]
"""The phases of each stage, by its name; a stage whose length is not known is not in it."""


@dataclass(frozen=True)
class StageLength:
    """How long a stage is.

    Attributes:
        stage: Its name.
        formula: In the paper's notation.
        length: In epochs or steps, as the recipe says.
        steps: Optimizer steps; None where the size of the training set is not known without reading it.
    """

    stage: str
    formula: str
    length: str
    steps: int | None


def lengths(recipe: Recipe) -> list[StageLength]:
    """The length of each stage, in order, as far as it is known before the data are read."""
    phases = plan(recipe, recipe.dataset.build().sizes())
    steps = {name: steps_of(each) for name, each in phases.items()}
    return [StageLength(each.name, each.formula(), _length(each), steps.get(each.name)) for each in recipe.stages]


def steps_of(phases: Sequence[Phase]) -> int:
    """The steps of all phases together."""
    return sum(phase.steps for phase in phases)


def _length(stage: Stage) -> str:
    training = stage.training
    count, unit = (training.max_steps, "step") if training.max_steps else (training.epochs, "epoch")
    return f"{count} {unit}{'s' if count != 1 else ''}"


def plan(recipe: Recipe, sizes: Mapping[str, int], processes: int = 1) -> Plan:
    """How the steps of each stage are divided; a pruner may take fewer than it is given.

    Args:
        recipe: Its pruners are built, each once.
        sizes: Examples of ``train`` and ``ood_train``, as far as they are known.
        processes: How many share a step.
    """
    found = {stage.name: _phases(stage, sizes, processes) for stage in recipe.stages}
    return {name: phases for name, phases in found.items() if phases is not None}


def _phases(stage: Stage, sizes: Mapping[str, int], processes: int) -> Sequence[Phase] | None:
    training = stage.training
    wanted = ["train", *(["ood_train"] if training.ood_train else [])]
    if training.max_steps is None and not all(name in sizes for name in wanted):
        return None
    examples = sizes.get("train", 0) + training.ood_train * sizes.get("ood_train", 0)
    steps = optimizer_steps(training, examples, processes)
    return stage.phases(steps)


def check_early(recipes: Iterable[Recipe]) -> None:
    """Refuse what :func:`check_points` does, as far as it is known before the data are read: their size is an estimate.

    Raises:
        UsageError: Has the problems of all recipes, each once.
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
    """Refuse a reference to a step or level that its stage never reaches.

    Args:
        recipe: Checked.
        plan: The length of its stages.
        estimated: Whether the length of a stage that is told in epochs is an estimate, which refuses no step.

    Raises:
        UsageError: There is one; says what the stage reaches.
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
    """Refuse a sparsity level that a stage does not keep.

    Args:
        where: What names the level, for the message.
        stage: The stage.
        level: In (0, 1).
        phases: Of the stage.

    Raises:
        UsageError: It is none of those that the stage keeps.
    """
    levels = [f"{phase.level:g}" for phase in phases if phase.level is not None]
    if f"{level:g}" not in levels:
        got = f"expected a sparsity level that {stage!r} keeps, got {level:g}"
        raise UsageError(f"{where}: {got}; it keeps {', '.join(levels) or 'none'}")
