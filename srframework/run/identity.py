"""What a stage's result depends on, and its hash: two stages of one hash are one stage.

What is in it: the options that bear on the result, those of the stages that it builds on, the components that take
part in it, each with its options, its version and the content of its code, the seed, and what the stage works on. What
is not: names, paths, how progress is shown and how often a checkpoint is written, and the stages that come after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from srframework.errors import DataError
from srframework.hashing import digest
from srframework.recipe.model import PRETRAINED, Recipe, Reference, Stage, Use
from srframework.registry.plugin_code import PluginCode, of_plugin
from srframework.registry.registry import Registered
from srframework.run.options_in_key import options_in_key
from srframework.training.options import PROGRESS

FORMAT = 2
"""Raised where a change of the core changes what is computed, or how a result is kept.

Of the core the code does not count, so that most changes of it leave the results; of plugins, the built-in ones
included, it does: see :mod:`srframework.registry.plugin_code`."""

_LOCATED = ("backbone", "dataset")
"""The kinds whose :data:`srframework.Location` does not count, since what is found there does."""


def component(use: Use) -> dict[str, Any]:
    """A component: which, of which version, of which code, with which options.

    Of a file to read the content counts in place of its path, at any depth of the options.

    Raises:
        DataError: A file that an option names cannot be read.
        PluginError: The plugin's code was changed after it was loaded, or an option has a value that cannot be hashed.
    """
    registered = use.registered
    return {
        "use": registered.full_name,
        "options": options_in_key(use.options, registered.owner, registered.kind not in _LOCATED),
        "version": registered.plugin.version,
        "source": _code(registered).digest(),
    }


def signed(use: Use) -> dict[str, Any]:
    """A component as :func:`component` gives it, with the locations that it names: where nothing is loaded yet, they
    stand for what will be."""
    return {**component(use), "options": options_in_key(use.options, use.registered.owner, locations_count=True)}


def _code(registered: Registered) -> PluginCode:
    plugin = registered.plugin
    if plugin.code is not None:
        return plugin.code
    return of_plugin(f"{plugin.dist} {plugin.version}", plugin.value, [registered.component])


class Components:
    """What the components of a recipe are at one moment, and whether they still are it.

    Args:
        uses: The components. Files that their options name are read now.

    Raises:
        DataError, PluginError: See :func:`component`.
    """

    def __init__(self, uses: Iterable[Use]) -> None:
        self._known = [(use, component(use)) for use in uses]

    def __call__(self, use: Use) -> dict[str, Any]:
        """The component as it was at that moment."""
        known = next((found for each, found in self._known if each is use or each == use), None)
        return component(use) if known is None else known

    def check(self) -> None:
        """See that neither their code nor the files that they read were changed since.

        Raises:
            DataError: A file was changed.
            PluginError: Code was changed, and then loaded.
        """
        for use, before in self._known:
            _code(use.registered).check()
            now = component(use)
            if now != before:
                changed = [name for name, value in now["options"].items() if value != before["options"].get(name)]
                raise DataError(
                    f"{use.registered.owner}: {', '.join(changed)}: a file was changed while the recipe was running; "
                    "run the command again"
                )


def stage_identity(
    recipe: Recipe,
    stage: Stage,
    keys: Mapping[str, str],
    works_on: Mapping[str, Any],
    component: Callable[[Use], Mapping[str, Any]] = component,
) -> dict[str, Any]:
    """What determines the weights and the mask of a stage.

    Args:
        recipe: Of the stage.
        stage: The stage.
        keys: The hash of each stage that it builds on, by its name.
        works_on: What stands for θ_pt and for the data.
        component: What stands for a component; :class:`Components` gives what it was as the run began.
    """

    def point(reference: Reference | None) -> list[str | None] | None:
        if reference is None or reference.stage == PRETRAINED:
            return None
        return [keys[reference.stage], reference.point]

    training = stage.training.model_dump(mode="json", exclude=set(PROGRESS))
    if stage.training.max_steps is not None:
        del training["epochs"]
    if stage.training.keep != "best":
        del training["best_after"]
    loss = dict(component(stage.loss))
    taught = {key.removeprefix("loss."): point(ref) for key, ref in stage.references() if key.startswith("loss.")}
    loss["options"] = loss["options"] | taught
    return {
        "format": FORMAT,
        "seed": recipe.seed,
        "weights": point(stage.weights),
        "mask": point(stage.mask),
        "pruner": None if stage.pruner is None else component(stage.pruner),
        "loss": loss,
        "bias": component(recipe.bias) if stage.needs_bias and recipe.bias is not None else None,
        "backbone": component(recipe.backbone),
        "training": training,
        "evaluators": [component(use) for use in recipe.evaluators] if stage.training.keep == "best" else None,
        "works_on": works_on,
    }


def uses(recipe: Recipe) -> list[Use]:
    """Every component that a recipe uses, and that its results depend on; of the data set the rows count instead."""
    of_stages = [use for stage in recipe.stages for use in (stage.loss, stage.pruner) if use is not None]
    bias = [] if recipe.bias is None else [recipe.bias]
    return [recipe.backbone, *recipe.evaluators, *bias, *of_stages]


def signatures(recipe: Recipe) -> dict[str, str]:
    """The hash of each stage by what the recipe says, before anything is read: equal in two recipes
    where they mean one stage."""
    components = Components(uses(recipe))
    works_on = {"backbone": signed(recipe.backbone), "dataset": signed(recipe.dataset)}
    found: dict[str, str] = {}
    for stage in recipe.stages:
        identity = stage_identity(recipe, stage, found, works_on, components)
        found[stage.name] = digest(identity)
    return found
