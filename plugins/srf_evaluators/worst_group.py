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
    values are the names of the labels. Only groups that occur in the split count. Applies to splits that have
    all of the columns and at least one example.
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

    def applies_to(self, predictions: Predictions) -> bool:
        """Whether the split has examples and all columns that define the groups."""
        return len(predictions.gold) > 0 and set(self.options.group_by) <= set(predictions.columns)

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Give the accuracy and the size of each group, and the lowest accuracy."""
        names, group = _groups(predictions, self.options.group_by)
        right = predictions.predicted == predictions.gold
        sizes = np.bincount(group, minlength=len(names))
        accuracies = np.bincount(group, weights=right, minlength=len(names)) / sizes
        figures = {"worst-group": float(accuracies.min())}
        for name, accuracy, size in zip(names, accuracies, sizes, strict=True):
            figures |= {f"group/{name}": float(accuracy), f"group-size/{name}": float(size)}
        return figures


def _groups(predictions: Predictions, group_by: tuple[str, ...]) -> tuple[list[str], np.ndarray]:
    """Return the names of the groups, sorted by column, and the index of the group of each example, ``(N,)``."""
    of_columns, codes = [], []
    for name in group_by:
        column = predictions.columns[name]
        texts = [predictions.labels[value] for value in column] if name == "label" else [str(each) for each in column]
        values, code = np.unique(texts, return_inverse=True)
        of_columns.append([str(value) for value in values])
        codes.append(code)
    shape = [len(values) for values in of_columns]
    present, group = np.unique(np.ravel_multi_index(codes, shape), return_inverse=True)
    names = ["/".join(each) for each in itertools.product(*of_columns)]
    return [names[index] for index in present], group
