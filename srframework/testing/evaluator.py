"""Checks of evaluators, on small splits."""

from __future__ import annotations

import math
from typing import Any

import datasets
import numpy as np
import torch

from srframework.contracts import Split
from srframework.testing.check import NotApplicable, Subject, checks_in, require
from srframework.testing.inputs import predictions
from srframework.testing.small_task import LABELS, network

_ROWS = 12


def _columns(rows: int = _ROWS) -> dict[str, list[Any]]:
    at = range(rows)
    return {
        "text_a": [f"a {i}" for i in at],
        "text_b": [f"b {i}" for i in at],
        "label": [(i * 2 + i // 3) % 3 for i in at],
        "id": [f"id{i}" for i in at],
        "group": [f"g{i % 4}" for i in at],
        "heuristic": [("x", "y")[i % 2] for i in at],
    }


def _split(columns: dict[str, list[Any]] | None = None, name: str = "dev") -> Split:
    return Split(name, datasets.Dataset.from_dict(columns or _columns()), LABELS)


def _logits(rows: int = _ROWS, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, len(LABELS))).astype(np.float32)


def _figures(subject: Subject, split: Split | None = None, logits: np.ndarray | None = None) -> dict[str, float]:
    evaluator, split = subject.build(), split or _split()
    given = _logits(len(split.examples)) if logits is None else logits
    figures: dict[str, float] = evaluator.evaluate(predictions(split, given)) if evaluator.applies_to(split) else {}
    return figures


def _some_figures(subject: Subject) -> dict[str, float]:
    if not (figures := _figures(subject)):
        raise NotApplicable("no figures of predictions")
    return figures


def _require_equal(one: dict[str, float], two: dict[str, float], where: str) -> None:
    require(one.keys() == two.keys(), f"{where}: the figures have other names: {sorted(one.keys() ^ two.keys())}")
    for name, value in one.items():
        require(abs(value - two[name]) <= 1e-6 * max(1, abs(value)), f"{where}: {name} is {two[name]}, not {value}")


def computes_figures(subject: Subject) -> None:
    """The evaluator computes named finite numbers of predictions or of weights."""
    figures = _figures(subject) | subject.build().measure(network().matrices())
    require(figures, "no figure of predictions or of weights")
    for name, value in figures.items():
        require(isinstance(name, str) and name.strip() == name and name, f"the name {name!r} is not a string")
        require(math.isfinite(value), f"{name} is {value}")


def order_of_rows(subject: Subject) -> None:
    """The order of the examples does not matter."""
    _some_figures(subject)
    for seed in range(4):
        logits, order = _logits(seed=seed), np.random.default_rng(seed).permutation(_ROWS)
        columns = {name: [values[i] for i in order] for name, values in _columns().items()}
        expected, got = _figures(subject, logits=logits), _figures(subject, _split(columns), logits[order])
        _require_equal(expected, got, "with the rows in another order")


def perfect_predictions(subject: Subject) -> None:
    """Perfect predictions reach the best value of each figure."""
    names, gold = _some_figures(subject), np.array(_columns()["label"])
    ladder = []
    for wrong in (_ROWS, 8, 4, 0):
        labels = np.where(np.arange(_ROWS) < wrong, (gold + 1) % 3, gold)
        ladder.append(_figures(subject, logits=(6 * np.eye(3)[labels]).astype(np.float32)))
    drawn = [_figures(subject, logits=_logits(seed=seed)) for seed in range(3)]
    for name in names:
        values = [each[name] for each in (*ladder[:-1], *drawn) if name in each]
        best = ladder[-1].get(name)
        if best is None:
            continue
        is_extreme = best >= max(values) - 1e-9 or best <= min(values) + 1e-9
        for_wrong = ladder[0].get(name)
        if best == for_wrong and min(values) < max(values):
            require(False, f"{name} is {best} for perfect predictions, and also if every prediction is wrong")
        require(is_extreme, f"{name} is {best} for perfect predictions, and {min(values)}..{max(values)} for others")


def predictions_matter(subject: Subject) -> None:
    """Other predictions change some figure."""
    names = _some_figures(subject)
    others = [_figures(subject, logits=_logits(seed=seed)) for seed in range(2, 8)]
    changed = any(other.get(name) != value for other in others for name, value in names.items())
    require(changed, "the figures do not depend on the predictions")


def labels_matter(subject: Subject) -> None:
    """Other true labels change some figure."""
    names, columns = _some_figures(subject), _columns()
    changed = False
    for shift in (1, 2):
        split = _split(columns | {"label": [(each + shift) % 3 for each in columns["label"]]})
        changed |= any(_figures(subject, split).get(name) != value for name, value in names.items())
    require(changed, "the figures do not depend on the true labels")


def respects_collapse(subject: Subject) -> None:
    """With a split of other labels, a prediction counts as the label that collapse gives."""
    _some_figures(subject)
    columns = _columns() | {"label": [i // 2 % 2 for i in range(_ROWS)]}
    split = Split("hans", datasets.Dataset.from_dict(columns), ("no", "yes"), collapse=(0, 1, 0))
    gold = np.array(columns["label"])
    draw = np.random.default_rng(2).integers(0, 3, _ROWS)
    one, two = (np.eye(3, dtype=np.float32)[each] for each in (draw, np.where(draw == 2, 0, draw)))
    at_one = _figures(subject, split, 4 * one)
    _require_equal(_figures(subject, split, 4 * two), at_one, "with label 2 collapsed to label 0")
    best = _figures(subject, split, (4 * np.eye(3)[np.where(gold == 0, 2, 1)]).astype(np.float32))
    same = _figures(subject, split, (4 * np.eye(3)[gold]).astype(np.float32))
    _require_equal(same, best, "with perfect predictions, label 2 for label 0")


def inputs_unchanged(subject: Subject) -> None:
    """The evaluator changes neither the logits nor the weights."""
    logits, split, evaluator = _logits(), _split(), subject.build()
    before, rows = logits.copy(), split.examples.to_dict()
    if evaluator.applies_to(split):
        evaluator.evaluate(predictions(split, logits))
    require(np.array_equal(before, logits), "evaluate() changes the logits in place")
    require(split.examples.to_dict() == rows, "evaluate() changes the examples in place")
    matrices = network().matrices()
    copies = {name: value.detach().clone() for name, value in matrices.items()}
    evaluator.measure(matrices)
    for name, value in copies.items():
        require(torch.equal(value, matrices[name].detach()), f"measure() changes {name} in place")


def absent_labels_and_groups(subject: Subject) -> None:
    """A split without examples of a label or of a group gives finite figures."""
    columns = _columns(1)
    cases = {
        "one example": columns,
        "only one label": _columns() | {"label": [0] * _ROWS},
        "only one group": _columns() | {"group": ["g"] * _ROWS, "heuristic": ["x"] * _ROWS},
        "a label without examples": _columns() | {"label": [i % 2 for i in range(_ROWS)]},
    }
    for where, table in cases.items():
        for seed in (1, 2):
            for name, value in _figures(subject, _split(table), _logits(len(table["label"]), seed)).items():
                require(math.isfinite(value), f"{where}: {name} is {value}")


def repeats(subject: Subject) -> None:
    """The figures depend only on the predictions, not on earlier calls or on a random state."""
    _some_figures(subject)
    evaluator, split = subject.build(), _split()
    first = evaluator.evaluate(predictions(split, _logits()))
    evaluator.evaluate(predictions(_split(_columns(6)), _logits(6, 2)))
    np.random.seed(5)
    _require_equal(first, evaluator.evaluate(predictions(split, _logits())), "at a second call")
    _require_equal(first, _figures(subject), "with another instance")


def only_the_order_of_logits(subject: Subject) -> None:
    """A constant that is added to all logits of an example changes nothing."""
    expected = _some_figures(subject)
    shifted = _logits() + np.arange(_ROWS, dtype=np.float32)[:, None]
    got = _figures(subject, logits=shifted)
    for name, value in expected.items():
        require(
            abs(value - got.get(name, math.inf)) < 1e-4 * max(1, abs(value)), f"{name} is {got.get(name)}, not {value}"
        )


def ignores_other_columns(subject: Subject) -> None:
    """The texts, the name of the split and columns that nobody asks for do not matter."""
    expected = _some_figures(subject)
    changed = _columns() | {"text_a": ["x"] * _ROWS, "text_b": ["y"] * _ROWS, "id": [f"z{i}" for i in range(_ROWS)]}
    _require_equal(expected, _figures(subject, _split(changed, "other")), "with other texts")


def agrees_with_confusion(subject: Subject) -> None:
    """A figure of a confusion matrix is the figure that evaluate() gives."""
    evaluator, split = subject.build(), _split()
    for seed in range(3):
        given, confusion = predictions(split, _logits(seed=seed)), np.zeros((len(LABELS), len(LABELS)))
        np.add.at(confusion, (given.gold, given.predicted), 1)
        many = np.stack([confusion, 2 * confusion.T, confusion])
        before = many.copy()
        figures, padded = evaluator.of_confusion(many), evaluator.of_confusion(np.pad(confusion, (0, 1))[np.newaxis])
        if not figures:
            raise NotApplicable("no figures of a confusion matrix")
        require(np.array_equal(before, many), "of_confusion() changes the matrices in place")
        expected = evaluator.evaluate(given)
        for name, values in figures.items():
            require(name in expected, f"evaluate() has no figure {name}")
            for got in (values[0], values[2], padded[name][0]):
                require(
                    abs(got - expected[name]) < 1e-9, f"{name} of a confusion matrix is {got}, not {expected[name]}"
                )


def options_matter(subject: Subject) -> None:
    """Each option changes a figure for some value."""
    variations = list(subject.variations())
    if not variations:
        raise NotApplicable("no options")
    split, matrices = _split(), network().matrices()
    for name, pairs in variations:
        changed = not pairs
        for pair in pairs:
            made = [subject.built(each) for each in pair]
            found = [
                [
                    e.evaluate(predictions(split, scale * _logits())) if e.applies_to(split) else {}
                    for scale in (0.3, 1, 4)
                ]
                + [e.measure(matrices)]
                for e in made
            ]
            if changed := found[0] != found[1]:
                break
        require(changed, f"the option {name} changes nothing")


CHECKS = checks_in(
    "evaluator",
    [
        computes_figures,
        order_of_rows,
        perfect_predictions,
        predictions_matter,
        labels_matter,
        respects_collapse,
        inputs_unchanged,
        absent_labels_and_groups,
        repeats,
        only_the_order_of_logits,
        ignores_other_columns,
        agrees_with_confusion,
        options_matter,
    ],
)
