"""The keys that ``--set`` and ``--grid`` accept, with the choices of their values, for completion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from srframework.component import may_refer, names_stage
from srframework.recipe.model import PRETRAINED, Recipe
from srframework.registry.registry import Registry
from srframework.training.options import TrainingOptions


@dataclass(frozen=True)
class Key:
    """A key of a recipe.

    Attributes:
        name: The key, dotted, stages by name: ``stages.srnet.pruner.sparsity``.
        description: What it sets.
        choices: Some or all of its values; empty if they cannot be listed.
    """

    name: str
    description: str
    choices: tuple[str, ...] = ()


def keys(recipe: Recipe | None, registry: Registry) -> Iterator[Key]:
    """Yield the keys of a recipe; without a recipe, those that every recipe has."""
    names = {kind: tuple(each.name for each in registry.of_kind(kind)) for kind in ("backbone", "dataset", "bias")}
    yield Key("name", "Name of the recipe.")
    yield Key("seed", "Seed of all random numbers.")
    yield Key("backbone", "The encoder.", names["backbone"])
    yield Key("dataset", "The data set.", names["dataset"])
    yield Key("bias", "The bias model.", names["bias"])
    yield from _of(TrainingOptions, "training")
    if recipe is None:
        return
    for kind, use in (("backbone", recipe.backbone), ("dataset", recipe.dataset), ("bias", recipe.bias)):
        if use is not None:
            yield from _of(type(use.options), kind)
    stages = tuple(stage.name for stage in recipe.stages)
    for stage in recipe.stages:
        prefix = f"stages.{stage.name}"
        others = tuple(name for name in stages if name != stage.name)
        yield Key(f"{prefix}.weights", "Initial weights: a stage, or a point in one.", (PRETRAINED, *others))
        yield Key(f"{prefix}.mask", "Mask that stays fixed: a stage, or a point in one.", others)
        yield Key(f"{prefix}.loss", "The loss.", tuple(each.name for each in registry.of_kind("debiaser")))
        yield from _of(type(stage.loss.options), f"{prefix}.loss", others)
        if stage.pruner is not None:
            yield Key(f"{prefix}.pruner", "The pruner.", tuple(each.name for each in registry.of_kind("pruner")))
            yield from _of(type(stage.pruner.options), f"{prefix}.pruner", others)
        yield from _of(TrainingOptions, prefix)


def option_keys(options: type[BaseModel]) -> Iterator[Key]:
    """Yield the keys of the options of one component, without a prefix."""
    for key in _of(options, ""):
        yield replace(key, name=key.name.removeprefix("."))


def _of(model: type[BaseModel], prefix: str, stages: tuple[str, ...] = ()) -> Iterator[Key]:
    """Yield the keys of the options of a class; an option that is a table has keys of its own."""
    for name, field in model.model_fields.items():
        place, members = f"{prefix}.{name}", list(_members(field.annotation))
        tables = [each for each in members if isinstance(each, type) and issubclass(each, BaseModel)]
        for table in tables:
            yield from _of(table, place, stages)
        if not tables:
            refers = names_stage(field.metadata) or may_refer(field.annotation)
            yield Key(place, field.description or "", stages if refers else tuple(_choices(members)))


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the types of a union, or the only type."""
    if get_origin(annotation) in (Union, UnionType):
        for each in get_args(annotation):
            yield from _members(each)
    else:
        yield annotation


def _choices(types: Iterable[Any]) -> Iterator[str]:
    for each in types:
        if get_origin(each) is Literal:
            yield from map(str, get_args(each))
        elif each is bool:
            yield from ("true", "false")
