"""A small split, and the figures that an evaluator computes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import datasets
import numpy as np

from srframework.component import NEEDS_BIAS
from srframework.contracts import Predictions, Split
from srframework.testing.check import NotApplicable, Subject, require
from srframework.testing.inputs import predictions
from srframework.testing.small_task import LABELS

ROWS = 12


def small_columns(rows: int = ROWS) -> dict[str, list[Any]]:
    """Return the columns of a small split, by name."""
    at = range(rows)
    return {
        "text_a": [f"a {i}" for i in at],
        "text_b": [f"b {i}" for i in at],
        "label": [(i * 2 + i // 3) % 3 for i in at],
        "id": [f"id{i}" for i in at],
        "group": [f"g{i % 4}" for i in at],
        "heuristic": [("x", "y")[i % 2] for i in at],
    }


def small_split(columns: dict[str, list[Any]] | None = None, name: str = "dev") -> Split:
    """Return a split with three labels; with these columns, or with those of :func:`small_columns`."""
    return Split(name, datasets.Dataset.from_dict(columns or small_columns()), LABELS)


def random_logits(rows: int = ROWS, seed: int = 1) -> np.ndarray:
    """Draw logits, ``(rows, 3)``, float32."""
    return np.random.default_rng(seed).normal(size=(rows, len(LABELS))).astype(np.float32)


def bias_probs(split: Split, seed: int = 0) -> np.ndarray:
    """Return p_b of a small split, ``(N, K)``, float32. It depends only on the first text of an example, so it follows
    an example to another place."""
    table = np.random.default_rng(seed).dirichlet(np.ones(len(split.labels)), size=ROWS).astype(np.float32)
    return table[[int(text.split()[1]) % ROWS for text in split.examples["text_a"]]]


def figures_of(subject: Subject, split: Split | None = None, logits: np.ndarray | None = None) -> dict[str, float]:
    """Return the figures of a new evaluator for a split; by default for random logits."""
    evaluator, split = subject.build(), split or small_split()
    given = with_columns(subject, split, random_logits(len(split.examples)) if logits is None else logits)
    figures: dict[str, float] = evaluator.evaluate(given)
    return figures


def with_columns(subject: Subject, split: Split, logits: np.ndarray) -> Predictions:
    """Return predictions with the columns and p_b if the evaluator asks for them, and no others."""
    given = predictions(split, logits)
    if NEEDS_BIAS in subject.component.required(subject.options()):
        given = replace(given, bias_probs=bias_probs(split))
    other = np.array([("u", "v")[int(each[2:]) % 2] for each in given.columns["id"]], dtype=object)
    names = [name for name in subject.build().columns() if name != "label"]  # no split has it among its columns
    return replace(given, columns={name: given.columns.get(name, other) for name in names})


def some_figures(subject: Subject) -> dict[str, float]:
    """Return the figures for the small split.

    Raises:
        NotApplicable: There are none.
    """
    if not (figures := figures_of(subject)):
        raise NotApplicable("no figures of predictions")
    return figures


def require_equal(one: dict[str, float], two: dict[str, float], where: str) -> None:
    """Require that two sets of figures have the same names and values."""
    require(one.keys() == two.keys(), f"{where}: the figures have other names: {sorted(one.keys() ^ two.keys())}")
    for name, value in one.items():
        require(abs(value - two[name]) <= 1e-6 * max(1, abs(value)), f"{where}: {name} is {two[name]}, not {value}")
