"""Checks of evaluators in unusual circumstances: other labels, absent groups, extreme logits, earlier calls."""

from __future__ import annotations

import math
from typing import Any

import datasets
import numpy as np

from srframework.contracts import Split
from srframework.testing.check import NotApplicable, Subject, checks_in, require
from srframework.testing.evaluator_models import pruned_model
from srframework.testing.inputs import evaluated
from srframework.testing.randomness import untouched_states
from srframework.testing.small_split import (
    ROWS,
    figures_of,
    random_logits,
    require_equal,
    small_columns,
    small_split,
    some_figures,
    with_columns,
)
from srframework.testing.small_task import LABELS


def _perfect(gold: np.ndarray, classes: int) -> np.ndarray:
    perfect: np.ndarray = (6 * np.eye(classes, dtype=np.float32))[gold]
    return perfect


def any_number_of_labels(subject: Subject) -> None:
    """With 2 or 5 labels, the figures are finite, and perfect predictions reach the values that they reach with 3."""
    some_figures(subject)
    gold = np.array(small_columns()["label"])
    expected = figures_of(subject, small_split(), _perfect(gold, len(LABELS)))
    for names in (LABELS[:2], (*LABELS, "never", "always")):
        labels = np.arange(ROWS) % len(names)
        given = Split("dev", datasets.Dataset.from_dict(small_columns() | {"label": labels.tolist()}), tuple(names))
        found = figures_of(subject, given, _perfect(labels, len(names)))
        for name in found.keys() & expected.keys() & _constant(subject, expected):
            close = abs(found[name] - expected[name]) <= 0.1 * max(1, abs(expected[name]))
            where = f"{name} is {found[name]} for perfect predictions of {len(names)} labels"
            require(close, f"{where}, and {expected[name]} for {len(LABELS)}")
        drawn = np.random.default_rng(1).normal(size=(ROWS, len(names))).astype(np.float32)
        for name, value in figures_of(subject, given, drawn).items():
            require(math.isfinite(value), f"with {len(names)} labels: {name} is {value}")


def _constant(subject: Subject, expected: dict[str, float]) -> set[str]:
    """The figures that perfect predictions of fewer examples do not change: no counts."""
    counts = [figure for figure in subject.build().figures() if figure.unit == "count"]
    gold = np.array(small_columns(9)["label"])
    found = figures_of(subject, small_split(small_columns(9)), _perfect(gold, len(LABELS)))
    same = {name for name, value in found.items() if abs(value - expected.get(name, math.inf)) <= 1e-6}
    return {name for name in same if not any(figure.covers(name) for figure in counts)}


def absent_labels_do_not_count(subject: Subject) -> None:
    """Perfect predictions reach the same value if a label or a group has no examples."""
    some_figures(subject)
    gold = np.array(small_columns()["label"])
    expected = figures_of(subject, small_split(), _perfect(gold, len(LABELS)))
    cases: dict[str, dict[str, list[Any]]] = {
        "without examples of a label": small_columns() | {"label": [index % 2 for index in range(ROWS)]},
        "with examples of one label": small_columns() | {"label": [1] * ROWS},
        "with one group": small_columns() | {"group": ["g0"] * ROWS, "heuristic": ["x"] * ROWS},
    }
    for where, table in cases.items():
        found = figures_of(subject, small_split(table), _perfect(np.array(table["label"]), len(LABELS)))
        for name in found.keys() & expected.keys() & _constant(subject, expected):
            close = abs(found[name] - expected[name]) <= 1e-6 * max(1, abs(expected[name]))
            require(close, f"{where}: {name} is {found[name]} for perfect predictions, and {expected[name]} with all")


_MEANS = ("fraction", "nats", "bits", "percent", "probability")
"""Units of figures that do not grow with the number of examples."""


def doubled_examples(subject: Subject) -> None:
    """With each example twice, a figure has the same value, or twice the value if its unit allows a sum."""
    expected = some_figures(subject)
    twice = {name: values * 2 for name, values in small_columns().items()} | {"id": [f"id{i}" for i in range(2 * ROWS)]}
    found = figures_of(subject, small_split(twice), np.concatenate([random_logits(), random_logits()]))
    declared = subject.build().figures()
    for name, value in expected.items():
        got, tolerance = found.get(name, math.inf), 1e-6 * max(1, abs(value))
        is_mean = any(figure.covers(name) and figure.unit in _MEANS for figure in declared)
        close = abs(got - value) <= tolerance or (not is_mean and abs(got - 2 * value) <= tolerance)
        require(close, f"{name} is {value}, with each example twice {got}")


def extreme_logits(subject: Subject) -> None:
    """Logits of plus and minus 10,000 give finite figures, which distinguish right predictions from wrong ones."""
    some_figures(subject)
    gold = np.array(small_columns()["label"])
    right, wrong = (
        [figures_of(subject, small_split(), scale * _perfect(labels, len(LABELS))) for scale in (1, 2000)]
        for labels in (gold, (gold + 1) % len(LABELS))
    )
    for name in right[0].keys() & right[1].keys() & wrong[0].keys() & wrong[1].keys():
        lost = abs(right[0][name] - wrong[0][name]) > 0.1 and right[1][name] == wrong[1][name]
        require(not lost, f"logits of ±10,000: {name} is {right[1][name]} for right predictions and for wrong ones")
    for scale in (1e4, -1e4):
        given = (scale * np.sign(random_logits())).astype(np.float32)
        for name, value in figures_of(subject, small_split(), given).items():
            require(math.isfinite(value), f"logits of ±10,000: {name} is {value}")


def constant_predictions(subject: Subject) -> None:
    """If a model predicts the same label for every example, the figures are finite."""
    some_figures(subject)
    for label in range(len(LABELS)):
        for name, value in figures_of(subject, small_split(), _perfect(np.full(ROWS, label), len(LABELS))).items():
            require(math.isfinite(value), f"{name} is {value} if every prediction is the same label")


def random_state_untouched(subject: Subject) -> None:
    """The global random states of Python, numpy and torch stay as they were."""
    with untouched_states("evaluate() or measure()"):
        figures_of(subject)
        subject.build().measure(evaluated(subject))


def earlier_calls_do_not_matter(subject: Subject) -> None:
    """The figures of a split and of a model do not depend on what the instance evaluated before."""
    evaluator = subject.build()
    for size, seed in ((ROWS, 1), (ROWS, 2), (6, 1)):
        given = small_split(small_columns(size))
        found = evaluator.evaluate(with_columns(subject, given, random_logits(size, seed)))
        require_equal(figures_of(subject, given, random_logits(size, seed)), found, "after other predictions")
    for seed in (0, 1):
        model = pruned_model(subject, seed, seed)
        require_equal(subject.build().measure(model), evaluator.measure(model), "after another model")


def model_matters(subject: Subject) -> None:
    """Other weights, some of them zero, another mask or other predictions change some figure of the model."""
    evaluator = subject.build()
    one, two = evaluator.measure(evaluated(subject)), evaluator.measure(pruned_model(subject))
    if not one:
        raise NotApplicable("no figures of a model")
    require(one != two, "the figures do not depend on the model")


CHECKS = checks_in(
    "evaluator",
    [
        any_number_of_labels,
        absent_labels_do_not_count,
        doubled_examples,
        extreme_logits,
        constant_predictions,
        random_state_untouched,
        earlier_calls_do_not_matter,
        model_matters,
    ],
)
