"""The identity of a stage: everything that its result depends on. Stages with the same hash are the same stage.

Included: the options that change the result, the stages that it builds on, its components with their options,
versions and code, the seed, the data and the model. Not included: names, paths, progress and checkpoint options, and
later stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from srframework.component import NEEDS_BIAS, references
from srframework.errors import DataError
from srframework.hashing import digest
from srframework.recipe.model import PRETRAINED, Recipe, Reference, Stage, Use
from srframework.registry.plugin_code import PluginCode, of_plugin
from srframework.registry.registry import Registered
from srframework.run.options_in_key import options_in_key
from srframework.training.options import PROGRESS

FORMAT = 4
"""Increase this when a change of the core changes a result or its files.

The code of the core does not count, so that most changes of it keep the results. The code of plugins, including the
built-in ones, does count: see :mod:`srframework.registry.plugin_code`."""

MEASURED = 3
"""Increase this when a change of the core changes what is measured of a trained stage, or its files."""

_LOCATED = ("backbone", "dataset")
"""The kinds for which a :data:`srframework.Location` does not count; the content at the location counts."""


def component(use: Use) -> dict[str, Any]:
    """Return the identity of a component: its name, version, code and options.

    For a file, the content counts in place of the path, at any depth of the options.

    Raises:
        DataError: A file named by an option cannot be read.
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
    """Return the identity of a component with its locations, which stand for their content before it is loaded."""
    return {**component(use), "options": options_in_key(use.options, use.registered.owner, locations_count=True)}


def _code(registered: Registered) -> PluginCode:
    plugin = registered.plugin
    if plugin.code is not None:
        return plugin.code
    return of_plugin(f"{plugin.dist} {plugin.version}", plugin.value, [registered.component])


class Components:
    """The identities of a recipe's components at one moment, and a check that they have not changed since.

    Args:
        uses: The components. Files named by their options are read now.

    Raises:
        DataError, PluginError: See :func:`component`.
    """

    def __init__(self, uses: Iterable[Use]) -> None:
        self._known = [(use, component(use)) for use in uses]

    def __call__(self, use: Use) -> dict[str, Any]:
        """Return the identity of a component at that moment."""
        known = next((found for each, found in self._known if each is use or each == use), None)
        return component(use) if known is None else known

    def check(self) -> None:
        """Check that neither their code nor their files have changed since.

        Raises:
            DataError: A file was changed.
            PluginError: Code was changed and then loaded.
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
    """Return everything that determines the weights and the mask of a stage.

    Args:
        recipe: The recipe of the stage.
        stage: The stage.
        keys: The hash of each stage that it builds on, by name.
        works_on: Identity of θ_pt and the data.
        component: Gives the identity of a component; :class:`Components` gives that at the start of the run.
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
    if stage.training.eval_precision == "fp32":  # the default, which adds nothing to a key
        del training["eval_precision"]

    def with_references(use: Use, kind: str) -> dict[str, Any]:
        """The component, with the hash of each stage that its options refer to in place of the stage's name."""
        keys = {key.removeprefix(kind): point(ref) for key, ref in stage.references() if key.startswith(kind)}
        found = dict(component(use))
        return {**found, "options": found["options"] | keys}

    return {
        "format": FORMAT,
        "seed": recipe.seed,
        "weights": point(stage.weights),
        "mask": point(stage.mask),
        "pruner": None if stage.pruner is None else with_references(stage.pruner, "pruner."),
        "loss": with_references(stage.loss, "loss."),
        "bias": component(recipe.bias) if stage.needs_bias and recipe.bias is not None else None,
        "backbone": component(recipe.backbone),
        "training": training,
        "evaluators": [with_bias(_of_splits(component(use), use), use, recipe, component) for use in recipe.evaluators]
        if stage.training.keep == "best"
        else None,
        "works_on": works_on,
    }


def with_bias(
    found: Mapping[str, Any], use: Use, recipe: Recipe, component: Callable[[Use], Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Add the bias model of the recipe to the identity of an evaluator that requires it."""
    if recipe.bias is None or NEEDS_BIAS not in use.registered.required(use.options):
        return found
    return {**found, "bias": component(recipe.bias)}


def _of_splits(found: Mapping[str, Any], use: Use) -> Mapping[str, Any]:
    """The identity of an evaluator, for its figures of single splits, which no stage that it refers to has part in."""
    keys: dict[str, Any] = {key: None for key, _ in references(use.options)}
    return {**found, "options": found["options"] | keys} if keys else found


def uses(recipe: Recipe) -> list[Use]:
    """Return the components that the results of a recipe depend on, without the data set, whose rows count instead."""
    of_stages = [use for stage in recipe.stages for use in (stage.loss, stage.pruner) if use is not None]
    bias = [] if recipe.bias is None else [recipe.bias]
    return [recipe.backbone, *recipe.evaluators, *bias, *of_stages]


def signatures(recipe: Recipe) -> dict[str, str]:
    """Return a hash of each stage from the recipe alone, before data or models are read.

    Two recipes that define the same stage give it the same hash.
    """
    components = Components(uses(recipe))
    works_on = {"backbone": signed(recipe.backbone), "dataset": signed(recipe.dataset)}
    found: dict[str, str] = {}
    for stage in recipe.stages:
        identity = stage_identity(recipe, stage, found, works_on, components)
        found[stage.name] = digest(identity)
    return found
