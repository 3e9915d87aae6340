"""What components require of each other: a bias model, features to fit it on, OOD training examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from srframework.component import NEEDS_BIAS
from srframework.faults import at
from srframework.recipe.model import Stage, Use
from srframework.recipe.statements import KeyPath
from srframework.registry.registry import Registry

Indexed = tuple[int, Stage]
"""A stage, with its place among the [[stages]] tables of the file."""

Add = Callable[[KeyPath, str], None]
"""Takes the key at which something is wrong, and a sentence."""


def match_bias(bias: Use | None, dataset: Use, stages: Sequence[Indexed], registry: Registry, add: Add) -> Use | None:
    """The bias model that the recipe names, or the only one that needs no options; checked."""
    offered = set(dataset.registered.provided(dataset.options))
    models = registry.of_kind("bias")
    names = ", ".join(each.name for each in models) or "none is installed"
    needy = [(index, stage) for index, stage in stages if stage.needs_bias]
    if not needy:
        return bias
    if bias is None:
        free = [
            each for each in models if not any(f.is_required() for f in each.component.options.model_fields.values())
        ]
        if len(free) == 1:
            bias = Use(free[0], free[0].component.options())
    data = dataset.registered.name
    for index, stage in needy:
        loss = f"debiaser {stage.loss.registered.name!r} needs a bias model"
        if bias is None:
            add(("stages", index, "loss", "use"), f"{loss}; expected a [bias] table with one of: {names}")
        elif missing := set(bias.registered.required(bias.options)) - offered:
            what = " and ".join(sorted(missing)).replace("-", " ")
            add(
                ("stages", index, "loss", "use"),
                f"{loss}; expected a data set with {what} for {bias.registered.name!r}, or a [bias] table "
                f"with another of: {names}; got dataset {data!r}, which has none with these options",
            )
    return bias


def check_needs(dataset: Use, stages: Sequence[Indexed], add: Add) -> None:
    """Whatever else a stage's components require must come from the data set."""
    offered = {NEEDS_BIAS, *dataset.registered.provided(dataset.options)}
    for index, stage in stages:
        if stage.training.ood_train and "ood-train" not in offered:
            expected = "0, for want of OOD training examples"
            got = f"{stage.training.ood_train}; {dataset.registered.owner} has none with these options"
            add(("stages", index, "ood_train"), f"expected {expected}, got {got}")
        for key, use in (("loss", stage.loss), ("pruner", stage.pruner)):
            with at(stage=stage.name):
                missing = set(use.registered.required(use.options)) - offered if use is not None else set()
            if use is not None and missing:
                what = " and ".join(sorted(missing))
                expected = f"a data set that provides {what}, which {use.registered.owner} requires"
                add(("stages", index, key, "use"), f"expected {expected}; got {dataset.registered.name!r}")
