"""What a stage's result depends on, and its hash: two stages of one hash are one stage.

What is in it: the options that bear on the result, those of the stages that it builds on, the
versions of the components, the seed, and what the stage works on. What is not: names, paths, how
progress is told and how often a checkpoint is written, and the stages that come after it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from srframework.component import input_files
from srframework.recipe import PRETRAINED, Recipe, Reference, Stage, Use
from srframework.training_options import PROGRESS

FORMAT = 1
"""Raised where a change of the core changes what is computed, or how a result is kept."""


def digest(document: Any) -> str:
    """SHA-256 of a JSON value, in hexadecimal; the order of keys does not count."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def component(use: Use) -> dict[str, Any]:
    """A component: which, of which version, with which options; of a file to read, the content in place of its path."""
    table = use.table()
    for name in input_files(type(use.options)):
        if isinstance(path := table.get(name), str):
            with open(path, "rb") as file:
                table[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return {**table, "version": use.registered.plugin.version}


def stage_identity(
    recipe: Recipe, stage: Stage, keys: Mapping[str, str], works_on: Mapping[str, Any]
) -> dict[str, Any]:
    """What determines the weights and the mask of a stage.

    Args:
        recipe: Of the stage.
        stage: The stage.
        keys: The hash of each stage that it builds on, by its name.
        works_on: What stands for θ_pt and for the data.
    """

    def point(reference: Reference | None) -> list[str | None] | None:
        if reference is None or reference.stage == PRETRAINED:
            return None
        return [keys[reference.stage], reference.point]

    training = stage.training.model_dump(mode="json", exclude=set(PROGRESS))
    if stage.training.max_steps is not None:
        del training["epochs"]
    loss = component(stage.loss)
    for key, reference in stage.references():
        if key.startswith("loss."):
            loss[key.removeprefix("loss.")] = point(reference)
    return {
        "format": FORMAT,
        "seed": recipe.seed,
        "weights": point(stage.weights),
        "mask": point(stage.mask),
        "pruner": None if stage.pruner is None else component(stage.pruner),
        "loss": loss,
        "training": training,
        "evaluators": [component(use) for use in recipe.evaluators] if stage.training.keep == "best" else None,
        "works_on": works_on,
    }


def signatures(recipe: Recipe) -> dict[str, str]:
    """The hash of each stage by what the recipe says, before anything is read: equal in two recipes
    where they mean one stage."""
    bias = None if recipe.bias is None else component(recipe.bias)
    found: dict[str, str] = {}
    for stage in recipe.stages:
        works_on = {
            "backbone": component(recipe.backbone),
            "dataset": component(recipe.dataset),
            "bias": bias if stage.needs_bias else None,
        }
        found[stage.name] = digest(stage_identity(recipe, stage, found, works_on))
    return found
