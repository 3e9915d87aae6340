"""What a recipe will cost, told before it runs: steps, and floating-point operations."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from srframework.contracts import Backbone, Dataset, Phase
from srframework.recipe.model import Recipe, Stage
from srframework.recipe.plan import plan

RATE = 50e12
"""Floating-point operations a second by which hours are told: what one data-centre GPU sustains in fp32/TF32."""


@dataclass(frozen=True)
class StageCost:
    """What a stage costs.

    Attributes:
        stage: Its name.
        formula: In the paper's notation.
        length: In epochs or steps, as the recipe says.
        steps: Optimizer steps; None where the size of the training set is not known without reading it.
        operations: Floating-point operations of training and evaluation; None where the sizes of the
            data or of the model are not known.
    """

    stage: str
    formula: str
    length: str
    steps: int | None
    operations: float | None

    @property
    def hours(self) -> float | None:
        """On a device that does :data:`RATE` operations a second."""
        return None if self.operations is None else self.operations / RATE / 3600


def estimate(recipe: Recipe) -> list[StageCost]:
    """The cost of each stage, in order.

    An estimate, mostly too high, since examples are mostly shorter than ``max_length``: a token takes 2
    operations for each entry of the encoder's matrices forward, and 4 backward (Kaplan et al. 2020, section 2.1);
    attention scores and embeddings are left out, and what a teacher says of the training examples.
    """
    dataset: Dataset = recipe.dataset.build()
    backbone: Backbone = recipe.backbone.build()
    sizes, entries = dataset.sizes(), backbone.size()
    phases = plan(recipe, sizes)
    return [
        _stage(stage, phases.get(stage.name), sizes, entries, len(recipe.steps_kept(stage.name)))
        for stage in recipe.stages
    ]


def _stage(
    stage: Stage, phases: Sequence[Phase] | None, sizes: Mapping[str, int], entries: int | None, steps_kept: int
) -> StageCost:
    training = stage.training
    steps = None if phases is None else sum(phase.steps for phase in phases)
    operations = None
    evaluated = {name: size for name, size in sizes.items() if name not in ("train", "ood_train")}
    if phases is not None and steps is not None and entries is not None and evaluated:
        seen = steps * training.batch_size * training.gradient_accumulation
        during = sum(evaluated.values()) if training.eval_ood else evaluated.get("dev", 0)
        ends = set(itertools.accumulate(phase.steps for phase in phases)) - {0}
        evaluations = steps // training.eval_every + sum(end % training.eval_every != 0 for end in ends)
        kept = 1 + steps_kept + sum(phase.level is not None for phase in phases)
        measured = during * evaluations + sum(evaluated.values()) * kept
        operations = float(entries) * training.max_length * (6 * seen + 2 * measured)
    return StageCost(stage.name, stage.formula(), _length(stage), steps, operations)


def _length(stage: Stage) -> str:
    training = stage.training
    count, unit = (training.max_steps, "step") if training.max_steps else (training.epochs, "epoch")
    return f"{count} {unit}{'s' if count != 1 else ''}"
