"""The figures of a model, and of its dense twin, on the data of a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from srframework.contracts import Predictions, Split
from srframework.errors import DataError, UsageError
from srframework.models.classifier import used
from srframework.models.predictions import RESAMPLES, Estimate, Predictor, estimate
from srframework.recipe.model import Recipe, Use
from srframework.recipe.needs import match_bias
from srframework.registry.registry import Registry
from srframework.report.bootstrap import Sample, over_examples
from srframework.report.metrics import Metric, metric_of
from srframework.run.resources import Materials
from srframework.text import listed

CONFLICTING, WORST = "bias-groups/conflicting", "worst-group"

_BIAS_GROUPS = {"use": "bias-groups"}
_GROUP = "group"


@dataclass(frozen=True)
class Row:
    """A figure on a split.

    Attributes:
        kind: ``"id"``, ``"also"`` or ``"ood"``.
        split, figure, unit, better: Split and declaration of the figure.
        model: The figure of the model.
        against: That of the dense model, if there is one.
        difference: 95 % interval of the difference model − dense, over the same resampled examples.
    """

    kind: str
    split: str
    figure: str
    unit: str
    better: str | None
    model: Estimate
    against: Estimate | None = None
    difference: tuple[float, float] | None = None


@dataclass(frozen=True)
class Flips:
    """Examples of a split whose predicted label differs between the dense model and the model.

    Attributes:
        split: The split.
        examples: Its number of examples.
        right_to_wrong: The dense model is right, the model is wrong.
        wrong_to_right: The other way round.
        wrong_to_wrong: Two different wrong labels.
    """

    split: str
    examples: int
    right_to_wrong: int
    wrong_to_right: int
    wrong_to_wrong: int


def flips_of(dense: Predictions, model: Predictions) -> Flips:
    """Count the flips between two predictions of the same examples."""
    before, after = dense.predicted == dense.gold, model.predicted == model.gold
    counts = (before & ~after, ~before & after, ~before & ~after & (dense.predicted != model.predicted))
    return Flips(model.split, len(model.gold), *(int(each.sum()) for each in counts))


def with_bias(recipe: Recipe, registry: Registry) -> tuple[Recipe, list[str]]:
    """Return the recipe with a bias model, the default one if it has none; and why that is not possible."""
    if recipe.bias is not None:
        return recipe, []
    problems: list[str] = []
    needy = [(("evaluators",), used(registry, "evaluator", _BIAS_GROUPS, "bias-groups"))]
    bias = match_bias(None, recipe.dataset, needy, registry, lambda _, message: problems.append(message))
    if problems:
        return recipe, [f"no accuracy on conflicting examples: {problems[0]}"]
    return replace(recipe, bias=bias), []


def require_labels(name: str, labels: Sequence[str], materials: Materials) -> None:
    """Check that a model has the labels of the data, in any order and case.

    Raises:
        UsageError: It does not; lists both.
    """
    ours, theirs = ({label.casefold() for label in each} for each in (materials.task.labels, labels))
    if ours != theirs:
        expected = listed(materials.task.labels)
        raise UsageError(f"{name}: expected the labels of the recipe ({expected}), got {listed(labels)}")


def compared(
    model: Predictor, dense: Predictor | None, materials: Materials, recipe: Recipe, registry: Registry
) -> tuple[list[Row], list[Flips], list[str]]:
    """Return the figures on every evaluated split, the flips against the dense model, and sentences for the user."""
    rows: list[Row] = []
    flips: list[Flips] = []
    notes: list[str] = []
    for kind, split in _splits(materials):
        logits, cut = model.logits(split)
        notes += cut
        found = _predictions(split, logits, materials)
        other = None if dense is None else _predictions(split, dense.logits(split)[0], materials)
        if other is not None:
            flips.append(flips_of(other, found))
        for table, name in _wanted(split, recipe, materials):
            metric = metric_of(table, name, registry)
            try:
                rows.append(_row(kind, metric, found, other))
            except DataError as error:
                notes.append(f"{split.name}: {error}")
    return rows, flips, notes


def _splits(materials: Materials) -> Iterator[tuple[str, Split]]:
    task = materials.task
    yield "id", materials.reported
    yield from (("also", split) for split in task.also)
    yield from (("ood", split) for split in task.ood)


def _wanted(split: Split, recipe: Recipe, materials: Materials) -> Iterator[tuple[Sequence[Mapping[str, Any]], str]]:
    """Yield the figures of a split, each with the tables of the evaluators that may have it."""
    tables = [use.table() for use in recipe.evaluators]
    yield tables, materials.task.metric
    if materials.bias is not None and materials.bias.probabilities(split) is not None:
        yield [_BIAS_GROUPS], CONFLICTING
    yield [_groups(recipe.evaluators, split)], WORST


def _groups(evaluators: Sequence[Use], split: Split) -> dict[str, Any]:
    """Return the evaluator of the worst group: that of the recipe if the split has its groups, else by label."""
    columns = split.examples.column_names
    for use in evaluators:
        table = use.table()
        if use.registered.name == WORST and set(table.get("group_by", ())) <= set(columns):
            return table
    return {"use": WORST, "group_by": ["label", _GROUP] if _GROUP in columns else ["label"]}


def _predictions(split: Split, logits: np.ndarray, materials: Materials) -> Predictions:
    known = None if materials.bias is None else materials.bias.probabilities(split)
    return Predictions.of_split(split, logits, split.examples.column_names, known)


def _row(kind: str, metric: Metric, found: Predictions, other: Predictions | None) -> Row:
    declared = next(each for each in metric.evaluator.figures() if each.covers(metric.name))
    own = _given(metric, found)
    head = (kind, found.split, metric.name, declared.unit, declared.better, estimate(metric, own))
    if other is None:
        return Row(*head)
    dense = _given(metric, other)
    difference = over_examples(metric, [Sample([dense], [own])], RESAMPLES)
    return Row(*head, estimate(metric, dense), difference)


def _given(metric: Metric, predictions: Predictions) -> Predictions:
    """Return the predictions with what the metric needs; other columns would only make the resampling slow."""
    columns = {name: predictions.columns[name] for name in metric.evaluator.columns()}
    return replace(predictions, columns=columns, bias_probs=predictions.bias_probs if metric.needs_bias else None)
