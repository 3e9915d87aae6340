"""A checked recipe, as a value; :mod:`srframework.recipe.check` builds it from TOML."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli_w

from srframework.component import NEEDS_BIAS, Options, references
from srframework.contracts import Phase, Pruner
from srframework.errors import Problem, RecipeError
from srframework.faults import at, calling
from srframework.registry.registry import Registered
from srframework.text import nearest
from srframework.training.options import TrainingOptions

PRETRAINED = "pretrained"
"""The name of the pretrained weights (θ_pt) in the ``weights`` of a stage."""


@dataclass(frozen=True)
class Use:
    """A component with its options, as a recipe uses it."""

    registered: Registered
    options: Options

    def build(self) -> Any:
        """Build the component; see :meth:`srframework.registry.registry.Registered.build`."""
        return self.registered.build(self.options)

    def table(self) -> dict[str, Any]:
        """The TOML table: the name and every option that has a value."""
        with calling(self.registered.owner, "options"):
            return {"use": self.registered.full_name, **self.options.model_dump(mode="json", exclude_none=True)}


@dataclass(frozen=True)
class Reference:
    """A stage, or a point inside a stage, as ``weights`` or ``mask`` names it.

    Attributes:
        stage: The name of the stage, or ``"pretrained"``.
        point: A step (``"10000"``), a sparsity level (``"0.5"``), or None for the end of the stage.
    """

    stage: str
    point: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse ``imp@0.5`` into stage ``imp`` and point ``0.5``; ``imp@.50`` gives the same point."""
        stage, at, point = text.partition("@")
        return cls(stage, _plain(point) if at else None)

    @property
    def step(self) -> int | None:
        """The step; None if the point is a level or the end."""
        return int(self.point) if self.point is not None and is_step(self.point) else None

    @property
    def level(self) -> float | None:
        """The sparsity level, in (0, 1); None if the point is a step or the end."""
        return float(self.point) if self.point is not None and not is_step(self.point) else None

    def __str__(self) -> str:
        return self.stage if self.point is None else f"{self.stage}@{self.point}"


def _plain(point: str) -> str:
    """The checkpoint name of a step or level; any other text unchanged."""
    if is_step(point):
        return str(int(point))
    try:
        level = float(point)
    except ValueError:
        return point
    return f"{level:g}" if 0 < level < 1 and f"{level:g}" != "1" else point


def is_step(point: str) -> bool:
    """Whether the text after an '@' is a number of steps (at most 18 digits)."""
    return point.isascii() and point.isdecimal() and len(point) <= _DIGITS_OF_STEPS


_DIGITS_OF_STEPS = 18


@dataclass(frozen=True)
class Stage:
    """A_L(f(θ)) or P_L^p(f(θ)).

    Attributes:
        name: Unique in its recipe.
        op: ``"train"`` or ``"prune"``.
        weights: Initial weights θ.
        mask: Mask m that stays fixed, or None.
        pruner: Pruner p; None if ``op`` is ``"train"``.
        loss: Loss L.
        training: Training options: those of the recipe with the overrides of the stage.
    """

    name: str
    op: str
    weights: Reference
    mask: Reference | None
    pruner: Use | None
    loss: Use
    training: TrainingOptions

    @property
    def needs_bias(self) -> bool:
        """Whether the loss or the pruner needs the predictions of the bias model."""
        with at(stage=self.name):
            return any(NEEDS_BIAS in use.registered.required(use.options) for use in self.components())

    def components(self) -> list[Use]:
        """The loss, and the pruner if there is one."""
        return [self.loss, *([self.pruner] if self.pruner is not None else [])]

    def phases(self, steps: int) -> Sequence[Phase]:
        """The phases of the stage, given its number of steps; a pruner may use fewer steps."""
        if self.pruner is None:
            return [Phase(steps)]
        with at(stage=self.name):
            return self._schedule.phases(steps)

    @cached_property
    def _schedule(self) -> Pruner:
        """The pruner, built only to compute its phases."""
        assert self.pruner is not None, "only called for a stage with a pruner"
        pruner: Pruner = self.pruner.build()
        return pruner

    def references(self) -> Iterator[tuple[str, Reference]]:
        """Yield the key and the reference of each stage that this stage depends on."""
        if self.weights.stage != PRETRAINED:
            yield "weights", self.weights
        if self.mask is not None:
            yield "mask", self.mask
        for kind, use in (("loss", self.loss), ("pruner", self.pruner)):
            for key, text in references(use.options) if use is not None else ():
                yield f"{kind}.{key}", Reference.parse(text)

    def table(self) -> dict[str, Any]:
        """The TOML table, with every training option."""
        table: dict[str, Any] = {"name": self.name, "op": self.op, "weights": str(self.weights)}
        if self.mask is not None:
            table["mask"] = str(self.mask)
        if self.pruner is not None:
            table["pruner"] = self.pruner.table()
        return table | {"loss": self.loss.table(), **self.training.model_dump(mode="json", exclude_none=True)}

    def formula(self) -> str:
        """In the paper's notation (§3.4): ``P_poe^mask(f(finetuned))``."""
        loss = self.loss.registered.name
        theta = "θ_pt" if self.weights.stage == PRETRAINED else str(self.weights)
        inner = theta if self.mask is None else f"M({self.mask}) ⊙ {theta}"
        return f"A_{loss}(f({inner}))" if self.pruner is None else f"P_{loss}^{self.pruner.registered.name}(f({inner}))"


@dataclass(frozen=True)
class Recipe:
    """A checked recipe; all names resolved, all options complete.

    Attributes:
        name: Shown in reports.
        seed: The seed of all random numbers.
        description: Shown in reports; may be empty.
        requires: The distributions of plugins that it needs, ``"my-plugin>=0.2"``.
        backbone, dataset, evaluators, bias: The components; ``bias`` is None if no stage needs it.
        stages: Sorted so that each stage comes after the stages that it depends on.
        claim: The unparsed ``[claim]`` table, for :mod:`srframework.claims`; None if the recipe has none.
        figure: The unparsed ``[figure]`` table, for :mod:`srframework.report`; None if the recipe has none.
    """

    name: str
    seed: int
    description: str
    backbone: Use
    dataset: Use
    evaluators: tuple[Use, ...]
    bias: Use | None
    stages: tuple[Stage, ...]
    claim: Mapping[str, Any] | None = None
    figure: Mapping[str, Any] | None = None
    requires: tuple[str, ...] = ()

    def table(self) -> dict[str, Any]:
        """The resolved recipe as a TOML document; loading it gives an equal recipe."""
        table: dict[str, Any] = {"name": self.name, "schema": 1, "seed": self.seed}
        if self.description:
            table["description"] = self.description
        if self.requires:
            table["requires"] = list(self.requires)
        table |= {"backbone": self.backbone.table(), "dataset": self.dataset.table()}
        table["evaluators"] = [use.table() for use in self.evaluators]
        if self.bias is not None:
            table["bias"] = self.bias.table()
        if self.claim is not None:
            table["claim"] = self.claim
        if self.figure is not None:
            table["figure"] = self.figure
        return table | {"stages": [stage.table() for stage in self.stages]}

    def to_toml(self) -> str:
        """The resolved recipe as text."""
        return tomli_w.dumps(self.table())

    def only(self, *names: str) -> Recipe:
        """The recipe with only these stages and the stages that they depend on, and without its claim and figures."""
        last = max(number for number, each in enumerate(self.stages, 1) if each.name in names)
        earlier = {each.name for each in self.stages[: last - 1]}
        required = {*names, *(reference.stage for _, reference in self.of_evaluators() if reference.stage in earlier)}
        for each in reversed(self.stages):
            if each.name in required:
                required |= {reference.stage for _, reference in each.references()}
        return replace(
            self, stages=tuple(each for each in self.stages if each.name in required), claim=None, figure=None
        )

    def points_kept(self, stage: str) -> frozenset[str]:
        """The points inside ``stage`` that other stages or evaluators refer to."""
        return frozenset(self._points_kept.get(stage, ()))

    @cached_property
    def _points_kept(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for other in self.stages:
            for _, reference in (*other.references(), *self.of_evaluators()):
                if reference.point is not None:
                    found.setdefault(reference.stage, set()).add(reference.point)
        return found

    def of_evaluators(self) -> Iterator[tuple[str, Reference]]:
        """Yield the key and the reference of each stage that the options of an evaluator refer to."""
        for use in self.evaluators:
            for key, text in references(use.options):
                yield f"evaluators ({use.registered.name}).{key}", Reference.parse(text)


def shipped() -> dict[str, Path]:
    """The recipes that come with srframework, by name: ``quickstart``, ``paper/table-6``."""
    root = Path(__file__).parents[1] / "recipes"
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in sorted(root.rglob("*.toml"))}


def find_recipe(recipe: str) -> Path:
    """The file that ``recipe`` names: a path, or the name of a shipped recipe.

    Raises:
        RecipeError: Neither exists; suggests the nearest shipped recipe.
    """
    if os.path.isfile(recipe):
        return Path(recipe)
    recipes = shipped()
    if os.path.exists(recipe) and recipe not in recipes:
        return Path(recipe)
    if recipe not in recipes:
        message = "no such file, and no shipped recipe has this name (see `srframework recipes`)"
        raise RecipeError([Problem(recipe, "", message, nearest(recipe, recipes))])
    return recipes[recipe]
