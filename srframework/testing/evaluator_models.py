"""Checks of what evaluators do with a model, with several splits, and with the process."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from srframework.component import references
from srframework.contracts import Evaluated, Network
from srframework.masks import Mask
from srframework.testing.check import NotApplicable, Subject, checks_in, require
from srframework.testing.inputs import evaluated
from srframework.testing.randomness import untouched_settings
from srframework.testing.small_split import figures_of, random_logits
from srframework.testing.small_task import network


def pruned_model(subject: Subject, rows: int = 1, seed: int = 2) -> Evaluated:
    """An evaluated model with a mask, whose first rows of each matrix are 0."""
    net = network(rows)
    kept = {}
    for name, weight in net.counted().items():
        weight.data[:rows] = 0
        kept[name] = weight.detach() != 0
    return replace(evaluated(subject, seed, net), mask=Mask(kept))


def _measured(subject: Subject) -> dict[str, float]:
    found: dict[str, float] = subject.build().measure(evaluated(subject))
    if not found:
        raise NotApplicable("no figures of a model")
    return found


def model_unchanged(subject: Subject) -> None:
    """measure() changes neither the model, its mask, θ_pt, nor the figures of other evaluators."""
    given = pruned_model(subject)
    given = replace(given, figures={split: dict(each) for split, each in given.figures.items()})
    nets = {"the model": given.network, "θ_pt": given.pretrained}
    for net in nets.values():
        net.model.eval()
    before = {where: _state(net) for where, net in nets.items()}
    mask, figures = Mask(given.mask or {}), copy.deepcopy(given.figures)
    subject.build().measure(given)
    for where, net in nets.items():
        weights, trainable = _state(net)
        for name, value in before[where][0].items():
            require(torch.equal(value, weights[name]), f"measure() changes {name} of {where} in place")
        require(trainable == before[where][1], f"measure() changes which parameters of {where} require a gradient")
        require(not net.model.training, f"measure() leaves {where} in training mode")
        dirty = [name for name, each in net.model.named_parameters() if each.grad is not None]
        require(not dirty, f"measure() leaves a gradient in {', '.join(dirty[:1])} of {where}")
    require(mask == given.mask, "measure() changes the mask in place")
    require(figures == given.figures, "measure() changes the figures of other evaluators")


def _state(net: Network) -> tuple[Mapping[str, torch.Tensor], list[bool]]:
    weights = {name: value.clone() for name, value in net.model.state_dict().items()}
    return weights, [each.requires_grad for each in net.model.parameters()]


def any_number_of_splits(subject: Subject) -> None:
    """Without an OOD split, or with two, the figures are finite and declared."""
    _measured(subject)
    model = evaluated(subject)
    two = replace(model.ood[0], split="ood2")
    of_two = {split: {"accuracy": 0.5} for split in ("dev", "ood", "ood2")}
    stages = {
        text: replace(each, predictions={**each.predictions, "ood2": replace(each.predictions["ood"], split="ood2")})
        for text, each in model.stages.items()
    }
    cases: dict[str, Evaluated] = {
        "without an OOD split": replace(model, ood=(), figures={"dev": model.figures["dev"]}),
        "with two OOD splits": replace(model, ood=(*model.ood, two), figures=of_two, stages=stages),
        "with an additional split": replace(model, ood=(), also=model.ood),
    }
    _require_sound(subject, cases)


def with_and_without_mask(subject: Subject) -> None:
    """With a mask and without, pruned or not, the figures are finite, declared, and fractions if so declared."""
    _measured(subject)
    pruned = pruned_model(subject)
    cases = {
        "without a mask": evaluated(subject),
        "with a mask": pruned,
        "with zeros and no mask": replace(pruned, mask=None),
        "with a mask that prunes everything": pruned_model(subject, rows=64),
        "with a mask that prunes nothing": pruned_model(subject, rows=0),
    }
    _require_sound(subject, cases)


def _require_sound(subject: Subject, cases: Mapping[str, Evaluated]) -> None:
    evaluator = subject.build()
    for where, given in cases.items():
        for name, value in evaluator.measure(given).items():
            require(math.isfinite(value), f"{where}: {name} is {value}")
            declared = [figure for figure in evaluator.figures() if figure.covers(name)]
            require(declared, f"{where}: figures() does not declare {name}")
            fits = declared[0].unit != "fraction" or abs(value) <= 1 + 1e-9
            require(fits, f"{where}: {name} is {value}, and is a fraction")


def references_matter(subject: Subject) -> None:
    """Another model of a stage that an option refers to, with other predictions and another mask, changes a figure."""
    if not list(references(subject.options())):
        raise NotApplicable("no option refers to a stage")
    model, evaluator = evaluated(subject), subject.build()
    found = []
    for seed in range(2, 6):
        other, net = pruned_model(subject, seed, seed), functools.partial(network, seed)
        stages = {text: replace(each, network=net, mask=other.mask) for text, each in other.stages.items()}
        found.append(evaluator.measure(replace(model, stages=stages)))
    require(any(each != found[0] for each in found), "the figures do not depend on the stage that the option names")


def worst_is_worst(subject: Subject) -> None:
    """A figure that is named "worst" is no better than any figure of a group or a label."""
    declared: Any = subject.build().figures()
    worst = [figure for figure in declared if "worst" in figure.name and figure.better]
    groups = [figure for figure in declared if figure.name.endswith("/*")]
    if not worst or not groups:
        raise NotApplicable("no figure is the worst of others")
    for seed in range(4):
        found = figures_of(subject, logits=random_logits(seed=seed))
        for one in worst:
            sign = 1 if one.better == "higher" else -1
            same = [each for each in groups if (each.unit, each.better) == (one.unit, one.better)]
            for name, value in found.items():
                if one.name in found and any(each.covers(name) for each in same):
                    fits = sign * found[one.name] <= sign * value + 1e-9
                    require(fits, f"{one.name} is {found[one.name]}, which is better than {name}, {value}")


def columns_exist(subject: Subject) -> None:
    """columns() names columns of the data, not the label, which predictions have as ``gold``."""
    names = subject.build().columns()
    require("label" not in names, "columns(): no split has 'label' among its columns; use predictions.gold")
    require(len(set(names)) == len(names), f"columns() names a column twice: {', '.join(names)}")


def settings_untouched(subject: Subject) -> None:
    """The settings of torch, numpy and the process stay as they were."""
    with untouched_settings("evaluate() or measure()"):
        figures_of(subject)
        subject.build().measure(evaluated(subject))


CHECKS = checks_in(
    "evaluator",
    [
        model_unchanged,
        any_number_of_splits,
        with_and_without_mask,
        references_matter,
        worst_is_worst,
        columns_exist,
        settings_untouched,
    ],
)
