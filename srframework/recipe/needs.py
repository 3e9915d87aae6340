"""Check the requirements of components: a bias model, its features, OOD training examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from srframework.component import COLUMN, NEEDS_BIAS, NEEDS_PREDICTIONS
from srframework.faults import at
from srframework.recipe.model import Stage, Use
from srframework.recipe.statements import KeyPath
from srframework.registry.registry import Registry

DEFAULT_BIAS = "bias-logistic"
"""The default bias model, if it is installed."""

EVALUATOR = "evaluator/"
"""Beginning of a requirement of an evaluator: ``"evaluator/hans"``."""

Indexed = tuple[int, Stage]
"""A stage, with the index of its [[stages]] table in the file."""

Add = Callable[[KeyPath, str], None]
"""Reports a problem: its key and the message."""


def needy(stages: Sequence[Indexed], evaluators: Sequence[Use]) -> list[tuple[KeyPath, Use]]:
    """Return the components that need a bias model, one of each stage, with the keys of their tables."""
    found: list[tuple[KeyPath, Use]] = []
    for index, stage in stages:
        with at(stage=stage.name):
            of_stage = [use for use in stage.components() if NEEDS_BIAS in use.registered.required(use.options)]
        if of_stage:
            key = "pruner" if of_stage[0] is stage.pruner else "loss"
            found.append((("stages", index, key, "use"), of_stage[0]))
    return found + [(("evaluators",), use) for use in evaluators if NEEDS_BIAS in use.registered.required(use.options)]


def match_bias(
    bias: Use | None, dataset: Use, needy: Sequence[tuple[KeyPath, Use]], registry: Registry, add: Add
) -> Use | None:
    """Return the bias model of the recipe, or the default one; check its requirements.

    Args:
        bias: The bias model that the recipe names.
        dataset: The data set.
        needy: The components that need a bias model, see :func:`needy`.
        registry: Where the default is found.
        add: Reports a problem.
    """
    offered = set(dataset.registered.provided(dataset.options))
    models = registry.of_kind("bias")
    names = ", ".join(each.name for each in models) or "none is installed"
    if not needy:
        return bias
    if bias is None:
        default = [each for each in models if each.name == DEFAULT_BIAS]
        if len(default) == 1:
            bias = Use(default[0], default[0].component.options())
    data = dataset.registered.name
    for key, use in needy:
        needs = f"{use.registered.kind} {use.registered.name!r} needs a bias model"
        if bias is None:
            add(key, f"{needs}; expected a [bias] table with one of: {names}")
        elif missing := set(bias.registered.required(bias.options)) - offered:
            features = " and ".join(sorted(missing)).replace("-", " ")
            add(
                key,
                f"{needs}; bias model {bias.registered.name!r} needs {features}, which dataset {data!r} does not "
                f"provide with these options; use another data set, or another bias model in [bias]: {names}",
            )
    return bias


def check_other_needs(dataset: Use, others: Sequence[tuple[KeyPath, Use]], add: Add) -> None:
    """Check that the data set provides everything that backbone and evaluators require, and requires only evaluators.

    Args:
        dataset: The data set.
        others: Backbone and evaluators, each with the key of its table.
        add: Reports a problem.
    """
    offered = set(dataset.registered.provided(dataset.options))
    for key, use in others:
        own = {NEEDS_BIAS} if use.registered.kind == "evaluator" else set()
        if missing := set(use.registered.required(use.options)) - offered - own:
            names, owner = " and ".join(sorted(missing)), use.registered.owner
            expected = f"a data set that provides {names}, which {owner} requires"
            add(key, f"expected {expected}; got {dataset.registered.name!r}")
    required = dataset.registered.required(dataset.options)
    if unknown := sorted(need for need in required if not need.startswith(EVALUATOR)):
        owner = dataset.registered.owner
        add(
            ("dataset", "use"),
            f'{owner} requires {" and ".join(unknown)}; a data set can require "evaluator/NAME" only',
        )


def check_needs(dataset: Use, stages: Sequence[Indexed], add: Add) -> None:
    """Check that the data set provides everything else that the components of the stages require."""
    offered = {NEEDS_BIAS, NEEDS_PREDICTIONS, *dataset.registered.provided(dataset.options)}
    for index, stage in stages:
        if stage.training.ood_train and "ood-train" not in offered:
            reason = f"{dataset.registered.owner} has no OOD training examples with these options"
            add(("stages", index, "ood_train"), f"expected 0, got {stage.training.ood_train}; {reason}")
        for key, use in (("loss", stage.loss), ("pruner", stage.pruner)):
            with at(stage=stage.name):
                required = use.registered.required(use.options) if use is not None else ()
            # Columns are checked when the data are read.
            missing = {need for need in required if not need.startswith(COLUMN)} - offered
            if use is not None and missing:
                names = " and ".join(sorted(missing))
                expected = f"a data set that provides {names}, which {use.registered.owner} requires"
                add(("stages", index, key, "use"), f"expected {expected}; got {dataset.registered.name!r}")
