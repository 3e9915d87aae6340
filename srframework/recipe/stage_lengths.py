"""Compute the length of the stages of a recipe, in optimizer steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from srframework.contracts import Phase
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
