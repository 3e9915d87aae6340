"""The bias model (p_b) of a run: fits it, checks its predictions, and reports its own accuracy.

Shapes: N examples of a split, C labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from srframework.contracts import BiasModel, Network, Split, TaskData
from srframework.errors import DataError, PluginError
from srframework.faults import calling_model, where
from srframework.recipe.model import Use
from srframework.run.embeddings import input_embeddings

CONFIDENT = 0.8
"""A bias model is confident if its highest probability is at least this."""


PRECISION = 1e-6
"""Precision of probabilities whose logarithms are float32."""


class FittedBias:
    """A bias model that is fitted on the training examples.

    Args:
        use: The component.
        task: The data to fit it on.
        network: The spurious features may use its input embeddings as word vectors.
        model: The component, if it is already built.

    Attributes:
        uses_embeddings: Whether its features have used these input embeddings.

    Raises:
        DataError: The data are not sufficient to fit it.
    """

    def __init__(self, use: Use, task: TaskData, network: Network, model: BiasModel | None = None) -> None:
        self._use, self._task = use, task
        self._model: BiasModel = model or use.build()
        self.uses_embeddings = False
        self._predictions: dict[str, np.ndarray | None] = {}
        features = task.spurious_features
        with calling_model("input embeddings"):
            embeddings = input_embeddings(network)

        def vectors(words: Sequence[str]) -> np.ndarray:
            self.uses_embeddings = True
            return embeddings(words)

        self._model.fit(task, None if features is None else lambda split: features(split, vectors))

    def log_probs(self, split: Split) -> np.ndarray:
        """Return log p_b of the examples of a split, ``(N, C)``, float32.

        Raises:
            DataError: The bias model has no predictions for the split.
            PluginError: Its predictions are not finite or have a wrong shape.
        """
        found = self._ask(split)
        if found is None:
            name = self._use.registered.name
            raise DataError(f"bias: {name!r} has no predictions for the split {split.name!r}, but a stage trains on it")
        return found

    def probabilities(self, split: Split) -> np.ndarray | None:
        """Return p_b of the K labels of a split, ``(N, K)``, float32; None if it is unknown for this split.

        Raises:
            PluginError: As :meth:`log_probs`.
        """
        log_probs = self._ask(split)
        return None if log_probs is None else _of_labels(log_probs, split).astype(np.float32)

    def report(self) -> dict[str, Any]:
        """Report its own accuracy on each split for which it has predictions.

        ``accuracy``: in [0, 1], in the split's own labels; n tied labels count 1/n of the example each.
        ``confidently_right``: share of the examples whose true label has a probability of at least
        :data:`CONFIDENT`; a debiasing loss discounts these examples most. ``confidently_wrong``: share of the
        examples where another label has it. ``merged``: the same figures with those labels merged that the task's
        spurious features cannot distinguish. ``word_vectors``: ``"backbone"`` if the features use the backbone's input
        embeddings, otherwise None: vectors of a file, or none at all.
        """
        splits = {split.name: self._of(split) for split in (self._task.train, *self._task.evaluated)}
        known = {name: figures for name, figures in splits.items() if figures is not None}
        return {
            "use": self._use.registered.name,
            "word_vectors": "backbone" if self.uses_embeddings else None,
            "confident_from": CONFIDENT,
            "splits": known,
        }

    def _of(self, split: Split) -> Mapping[str, Any] | None:
        log_probs = self._ask(split)
        if log_probs is None:
            return None
        probabilities = _of_labels(log_probs, split)
        gold = np.asarray(split.examples["label"][:])
        if split.collapse is not None:
            return _figures(probabilities, gold)
        figures: dict[str, Any] = {**_figures(probabilities, gold)}
        if merged := [self._task.labels.index(label) for label in self._task.merged_labels]:
            groups = [merged[0] if label in merged else label for label in range(len(self._task.labels))]
            figures["merged"] = _figures(_collapsed(probabilities, groups, len(groups)), np.asarray(groups)[gold])
        return figures

    def _ask(self, split: Split) -> np.ndarray | None:
        if split.name not in self._predictions:
            given = self._model.log_probs(split)
            self._predictions[split.name] = None if given is None else self._checked(given, split)
        return self._predictions[split.name]

    def _checked(self, given: Any, split: Split) -> np.ndarray:
        log_probs = np.asarray(given, dtype=np.float32)
        expected = (len(split.examples), len(self._task.labels))
        if log_probs.shape != expected or not np.isfinite(log_probs).all():
            got = log_probs.shape if log_probs.shape != expected else "some that are not finite"
            owner = self._use.registered.owner
            raise PluginError(f"{where()}{owner}: expected finite log-probabilities of shape {expected}, got {got}")
        return log_probs


def _of_labels(log_probs: np.ndarray, split: Split) -> np.ndarray:
    """Return the probabilities of the split's own labels, ``(N, K)``, float64."""
    probabilities: np.ndarray = np.exp(log_probs.astype(np.float64))
    return probabilities if split.collapse is None else _collapsed(probabilities, split.collapse, len(split.labels))


def _collapsed(probabilities: np.ndarray, targets: Sequence[int], labels: int) -> np.ndarray:
    """Sum the columns that have the same target, ``(N, labels)``."""
    own = np.zeros((len(probabilities), labels))
    for label, target in enumerate(targets):
        own[:, target] += probabilities[:, label]
    return own


def _figures(probabilities: np.ndarray, gold: np.ndarray) -> dict[str, float]:
    highest = probabilities.max(axis=1, keepdims=True)
    best = probabilities >= highest - PRECISION
    right = best[np.arange(len(gold)), gold]
    confident = highest[:, 0] >= CONFIDENT - PRECISION
    return {
        "accuracy": float((right / best.sum(axis=1)).mean()),
        "confidently_right": float((right & confident).mean()),
        "confidently_wrong": float((~right & confident).mean()),
    }
