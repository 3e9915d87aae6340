"""Checks of evaluators, on small splits."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import datasets
import numpy as np

from srframework.component import NEEDS_BIAS
from srframework.contracts import Split
from srframework.testing.check import NotApplicable, Subject, checks_in, require
from srframework.testing.inputs import evaluated
from srframework.testing.small_split import (
    ROWS,
    bias_probs,
    figures_of,
    random_logits,
    require_equal,
    small_columns,
    small_split,
    some_figures,
    with_columns,
)
from srframework.testing.small_task import LABELS


def computes_figures(subject: Subject) -> None:
    """The evaluator computes named finite numbers of predictions or of a model."""
    figures = figures_of(subject) | subject.build().measure(evaluated(subject))
    require(figures, "no figure of predictions or of a model")
    for name, value in figures.items():
        require(
            isinstance(name, str) and name.strip() == name and name,
            f"expected a name without spaces around it, got {name!r}",
        )
        require(math.isfinite(value), f"{name} is {value}")


def declares_figures(subject: Subject) -> None:
    """figures() declares every figure that the evaluator computes, and each declared figure is computed."""
    evaluator = subject.build()
    declared, computed = evaluator.figures(), {*figures_of(subject), *evaluator.measure(evaluated(subject))}
    for name in computed:
        require(any(figure.covers(name) for figure in declared), f"figures() does not declare {name}")
    for figure in declared:
        require(
            any(figure.covers(name) for name in computed),
            f"figures() declares {figure.name}, but no method computes it",
        )


def fractions_in_range(subject: Subject) -> None:
    """A figure whose unit is "fraction" is in [-1, 1], and a count is an integer of 0 or more."""
    evaluator = subject.build()
    gold = np.array(small_columns()["label"])
    sure = {"right": gold, "wrong": (gold + 1) % 3}
    cases = [figures_of(subject, logits=(1e3 * np.eye(3)[labels]).astype(np.float32)) for labels in sure.values()]
    for seed in range(4):
        cases.append(figures_of(subject, logits=random_logits(seed=seed)))
        cases.append(evaluator.measure(evaluated(subject, seed)))
    for found in cases:
        for name, value in found.items():
            unit = next((figure.unit for figure in evaluator.figures() if figure.covers(name)), "")
            if unit == "fraction":
                require(abs(value) <= 1 + 1e-9, f"{name} is {value}, and is a fraction")
            if unit == "count":
                require(value >= 0 and value == round(value), f"{name} is {value}, and is a count")


def order_of_rows(subject: Subject) -> None:
    """The order of the examples does not matter."""
    some_figures(subject)
    for seed in range(4):
        logits, order = random_logits(seed=seed), np.random.default_rng(seed).permutation(ROWS)
        columns = {name: [values[i] for i in order] for name, values in small_columns().items()}
        expected, got = figures_of(subject, logits=logits), figures_of(subject, small_split(columns), logits[order])
        require_equal(expected, got, "with the rows in another order")


def perfect_predictions(subject: Subject) -> None:
    """Perfect predictions reach the best value of each figure."""
    names, gold = some_figures(subject), np.array(small_columns()["label"])
    ladder = []
    for wrong in (ROWS, 8, 4, 0):
        labels = np.where(np.arange(ROWS) < wrong, (gold + 1) % 3, gold)
        ladder.append(figures_of(subject, logits=(6 * np.eye(3)[labels]).astype(np.float32)))
    drawn = [figures_of(subject, logits=random_logits(seed=seed)) for seed in range(3)]
    for name in names:
        values = [each[name] for each in (*ladder[:-1], *drawn) if name in each]
        best = ladder[-1].get(name)
        if best is None:
            continue
        better = next((figure.better for figure in subject.build().figures() if figure.covers(name)), None)
        is_best = {"higher": best >= max(values) - 1e-9, "lower": best <= min(values) + 1e-9}
        is_extreme = is_best[better] if better else any(is_best.values())
        for_wrong = ladder[0].get(name)
        if best == for_wrong and min(values) < max(values):
            require(False, f"{name} is {best} for perfect predictions, and also if every prediction is wrong")
        direction = f", where {better} is better" if better else ""
        got = f"{best} for perfect predictions, and {min(values)}..{max(values)} for others{direction}"
        require(is_extreme, f"{name} is {got}")


def predictions_matter(subject: Subject) -> None:
    """Other predictions change some figure."""
    names = some_figures(subject)
    others = [figures_of(subject, logits=random_logits(seed=seed)) for seed in range(2, 8)]
    changed = any(other.get(name) != value for other in others for name, value in names.items())
    require(changed, "the figures do not depend on the predictions")


def bias_matters(subject: Subject) -> None:
    """Another p_b changes some figure."""
    if NEEDS_BIAS not in subject.component.required(subject.options()):
        raise NotApplicable('the evaluator does not require "bias"')
    names, evaluator, split = some_figures(subject), subject.build(), small_split()
    given = with_columns(subject, split, random_logits())
    others = [evaluator.evaluate(replace(given, bias_probs=bias_probs(split, seed))) for seed in range(1, 5)]
    require(any(other != names for other in others), "the figures do not depend on p_b")


def labels_matter(subject: Subject) -> None:
    """Other true labels change some figure."""
    names, columns = some_figures(subject), small_columns()
    changed = False
    for shift in (1, 2):
        split = small_split(columns | {"label": [(each + shift) % 3 for each in columns["label"]]})
        changed |= any(figures_of(subject, split).get(name) != value for name, value in names.items())
    require(changed, "the figures do not depend on the true labels")


def respects_collapse(subject: Subject) -> None:
    """With a split of other labels, a prediction counts as the label that collapse gives."""
    some_figures(subject)
    columns = small_columns() | {"label": [i // 2 % 2 for i in range(ROWS)]}
    split = Split("hans", datasets.Dataset.from_dict(columns), ("no", "yes"), collapse=(0, 1, 0))
    gold = np.array(columns["label"])
    draw = np.random.default_rng(2).integers(0, 3, ROWS)
    one, two = (np.eye(3, dtype=np.float32)[each] for each in (draw, np.where(draw == 2, 0, draw)))
    at_one = figures_of(subject, split, 4 * one)
    require_equal(figures_of(subject, split, 4 * two), at_one, "with label 2 collapsed to label 0")
    best = figures_of(subject, split, (4 * np.eye(3)[np.where(gold == 0, 2, 1)]).astype(np.float32))
    same = figures_of(subject, split, (4 * np.eye(3)[gold]).astype(np.float32))
    require_equal(same, best, "with perfect predictions, label 2 for label 0")


def inputs_unchanged(subject: Subject) -> None:
    """The evaluator does not change the predictions."""
    evaluator, model, given = subject.build(), evaluated(subject), with_columns(subject, small_split(), random_logits())
    for each, method, arguments in (
        (given, "evaluate", (given,)),
        (given, "resampled", (given, np.ones((1, ROWS)))),
        (model.id, "measure", (model,)),
    ):
        before = copy.deepcopy(each)
        getattr(evaluator, method)(*arguments)
        for name in ("logits", "predicted", "gold"):
            require(np.array_equal(getattr(before, name), getattr(each, name)), f"{name} is changed in place")
        if before.bias_probs is not None and each.bias_probs is not None:
            require(np.array_equal(before.bias_probs, each.bias_probs), "bias_probs is changed in place")
        for name, column in before.columns.items():
            require(np.array_equal(column, each.columns[name]), f"the column {name} is changed in place")


def absent_labels_and_groups(subject: Subject) -> None:
    """A split without examples of a label or of a group gives finite figures."""
    columns = small_columns(1)
    cases = {
        "one example": columns,
        "only one label": small_columns() | {"label": [0] * ROWS},
        "only one group": small_columns() | {"group": ["g"] * ROWS, "heuristic": ["x"] * ROWS},
        "a label without examples": small_columns() | {"label": [i % 2 for i in range(ROWS)]},
    }
    for where, table in cases.items():
        for seed in (1, 2):
            for name, value in figures_of(
                subject, small_split(table), random_logits(len(table["label"]), seed)
            ).items():
                require(math.isfinite(value), f"{where}: {name} is {value}")


def repeats(subject: Subject) -> None:
    """The figures depend only on the predictions, not on earlier calls or on a random state."""
    some_figures(subject)
    evaluator, split = subject.build(), small_split()
    first = evaluator.evaluate(with_columns(subject, split, random_logits()))
    evaluator.evaluate(with_columns(subject, small_split(small_columns(6)), random_logits(6, 2)))
    np.random.seed(5)
    require_equal(first, evaluator.evaluate(with_columns(subject, split, random_logits())), "at a second call")
    require_equal(first, figures_of(subject), "with another instance")


def only_the_order_of_logits(subject: Subject) -> None:
    """A constant that is added to all logits of an example changes nothing."""
    expected = some_figures(subject)
    shifted = random_logits() + np.arange(ROWS, dtype=np.float32)[:, None]
    got = figures_of(subject, logits=shifted)
    for name, value in expected.items():
        require(
            abs(value - got.get(name, math.inf)) < 1e-4 * max(1, abs(value)), f"{name} is {got.get(name)}, not {value}"
        )


def ignores_name(subject: Subject) -> None:
    """The name of the split does not matter."""
    require_equal(
        some_figures(subject), figures_of(subject, small_split(name="other")), "with another name of the split"
    )


def agrees_with_resamples(subject: Subject) -> None:
    """A figure of a resample is the figure that evaluate() gives for the same examples."""
    evaluator, split = subject.build(), small_split()
    draws = [np.arange(ROWS), np.array([0, 0, 1, 2, 2, 2, 3, 5, 8, 8, 10, 11]), np.array([4, 4, 4, 7])]
    counts = np.stack([np.bincount(each, minlength=ROWS) for each in draws]).astype(np.float64)
    for seed in range(3):
        logits = random_logits(seed=seed)
        before, found = counts.copy(), evaluator.resampled(with_columns(subject, split, logits), counts)
        if not found:
            raise NotApplicable("no figures of resamples")
        require(np.array_equal(before, counts), "resampled() changes the counts in place")
        for index, draw in enumerate(draws):
            columns = {name: [values[i] for i in draw] for name, values in small_columns().items()}
            expected = figures_of(subject, small_split(columns), logits[draw])
            for name, values in found.items():
                if name not in expected:
                    require(
                        bool(np.isnan(values[index])), f"{name} of a resample is {values[index]}, evaluate() has none"
                    )
                    continue
                where = f"{name} of the examples {draw.tolist()}"
                close = abs(values[index] - expected[name]) < 1e-6 * max(1, abs(expected[name]))
                require(close, f"{where} is {values[index]} in resampled(), {expected[name]} in evaluate()")
        near = (3 * np.eye(len(LABELS))[logits.argmax(axis=1)]).astype(np.float32)
        for name, values in evaluator.resampled(with_columns(subject, split, near), counts).items():
            reads = any(figure.needs_logits for figure in evaluator.figures() if figure.covers(name))
            same = np.allclose(values, found[name], equal_nan=True)
            require(reads or same, f"{name} of a resample needs the logits; its declaration does not have needs_logits")


def options_matter(subject: Subject) -> None:
    """Each option changes a figure for some value."""
    variations = list(subject.variations())
    if not variations:
        raise NotApplicable("no options")
    split, model = small_split(), evaluated(subject)
    for name, pairs in variations:
        changed = not pairs
        for pair in pairs:
            made = [subject.built(each) for each in pair]
            found = [
                [each.evaluate(with_columns(subject, split, scale * random_logits())) for scale in (0.3, 1, 4)]
                + [each.measure(model)]
                for each in made
            ]
            if changed := found[0] != found[1]:
                break
        require(changed, f"the option {name} changes nothing")


CHECKS = checks_in(
    "evaluator",
    [
        computes_figures,
        declares_figures,
        fractions_in_range,
        order_of_rows,
        perfect_predictions,
        predictions_matter,
        bias_matters,
        labels_matter,
        respects_collapse,
        inputs_unchanged,
        absent_labels_and_groups,
        repeats,
        only_the_order_of_logits,
        ignores_name,
        agrees_with_resamples,
        options_matter,
    ],
)
