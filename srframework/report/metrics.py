"""The figures of resampled examples, as the evaluators of a recipe compute them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from srframework.component import NEEDS_BIAS
from srframework.contracts import Evaluator, Predictions
from srframework.errors import DataError, SRFrameworkError
from srframework.faults import validated
from srframework.registry.registry import Registry

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A figure that an evaluator computes of resampled examples.

    Attributes:
        name: Name of the figure.
        evaluator: Computes it.
        needs_logits: Whether it reads the logits.
        needs_bias: Whether the evaluator requires p_b.
    """

    name: str
    evaluator: Evaluator
    needs_logits: bool
    needs_bias: bool = False

    def __call__(self, predictions: Predictions, counts: Floats) -> Floats:
        """Return the figure of R resamples, ``(R,)``; NaN where it is not defined.

        Args:
            predictions: K examples.
            counts: ``(R, K)``: how often each resample has each example.

        Raises:
            DataError: The evaluator has no such figure of these predictions.
        """
        figures = self.evaluator.resampled(predictions, counts)
        if self.name not in figures:
            raise DataError(f"the evaluator of {self.name} does not compute it of resampled examples")
        found: Floats = figures[self.name]
        return found


def metric_of(evaluators: Sequence[Mapping[str, Any]], name: str, registry: Registry) -> Metric:
    """Return the figure ``name`` of the first evaluator that declares it.

    Args:
        evaluators: Tables of a resolved recipe: ``use``, and the options.
        name: Of a figure, ``"accuracy"``.
        registry: Where the evaluators are found.

    Raises:
        DataError: None of them does; says why.
    """
    failures: list[str] = []
    for table in evaluators:
        try:
            evaluator, needs_bias = _built(table, registry)
            for figure in evaluator.figures():
                if figure.covers(name):
                    return Metric(name, evaluator, figure.needs_logits, needs_bias)
        except ValidationError as error:
            failures.append(f"evaluator {table.get('use')!r} refuses its options: {error.errors()[0]['msg']}")
        except SRFrameworkError as error:
            failures.append(str(error))
    names = ", ".join(str(table.get("use")) for table in evaluators) or "none"
    raise DataError("; ".join([f"no evaluator of the recipe ({names}) declares {name}", *failures]))


def _built(table: Mapping[str, Any], registry: Registry) -> tuple[Evaluator, bool]:
    """Return the evaluator of a table, and whether it requires p_b."""
    registered = registry.get("evaluator", str(table.get("use")))
    options = {key: value for key, value in table.items() if key != "use"}
    checked = validated(registered.component.options, options, registered.owner)
    return registered.build(checked), NEEDS_BIAS in registered.required(checked)
