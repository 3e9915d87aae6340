"""Accuracy of the group of examples on which a model is worst."""

from __future__ import annotations

import itertools

import numpy as np

from srf_evaluators.options import WorstGroupOptions
from srframework import Evaluator, Figure, Predictions


class WorstGroup(Evaluator):
    """``worst-group``: the lowest accuracy of a group; ``group/<values>``: the accuracy of each group, in [0, 1];
    ``group-size/<values>``: its number of examples.

    A group has the examples with equal values in the columns ``group_by``. ``label`` stands for the true label; its
    values are the names of the labels. Only groups that occur in the split count. Splits that lack one of
    the columns have no such figures.
    """

    options: WorstGroupOptions

    def figures(self) -> list[Figure]:
        """Declare the accuracies and the sizes of the groups."""
        by = " and ".join(self.options.group_by)
        return [
            Figure("worst-group", "fraction", "higher", f"Lowest accuracy of the groups of equal {by}."),
            Figure("group/*", "fraction", "higher", f"Accuracy of the examples of one group of equal {by}."),
            Figure("group-size/*", "count", None, f"Number of examples of one group of equal {by}."),
        ]

    def columns(self) -> list[str]:
        """Ask for the columns that define the groups."""
        return [name for name in self.options.group_by if name != "label"]

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Give the lowest accuracy, and the accuracy and the size of each group."""
        names, group = _groups(predictions, self.options.group_by)
        found = self.resampled(predictions, np.ones((1, len(group))))
        sizes = np.bincount(group, minlength=len(names))
        figures = {name: float(each[0]) for name, each in found.items()}
        return figures | {f"group-size/{name}": float(size) for name, size in zip(names, sizes, strict=True)}

    def resampled(self, predictions: Predictions, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Give the accuracies; the lowest one is of the groups that a resample has."""
        names, group = _groups(predictions, self.options.group_by)
        right = predictions.predicted == predictions.gold
        accuracies = np.full((len(names), len(counts)), np.nan)
        for index, of_group in enumerate(accuracies):
            drawn = counts @ (group == index)
            np.divide(counts @ ((group == index) & right), drawn, out=of_group, where=drawn > 0)
        of_groups = {f"group/{name}": each for name, each in zip(names, accuracies, strict=True)}
        return {"worst-group": np.nanmin(accuracies, axis=0), **of_groups}


def _groups(predictions: Predictions, group_by: tuple[str, ...]) -> tuple[list[str], np.ndarray]:
    """Return the names of the groups, sorted by column, and the index of the group of each example, ``(N,)``."""
    of_columns, codes = [], []
    for name in group_by:
        if name == "label":
            texts = [predictions.labels[value] for value in predictions.gold]
        else:
            texts = [str(each) for each in predictions.columns[name]]
        values, code = np.unique(texts, return_inverse=True)
        of_columns.append([str(value) for value in values])
        codes.append(code)
    shape = [len(values) for values in of_columns]
    present, group = np.unique(np.ravel_multi_index(codes, shape), return_inverse=True)
    names = ["/".join(each) for each in itertools.product(*of_columns)]
    return [names[index] for index in present], group
