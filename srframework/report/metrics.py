"""The metrics of a comparison, as the evaluators of a recipe compute them of confusion matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from srframework.contracts import Evaluator
from srframework.errors import DataError, SRFrameworkError
from srframework.faults import validated
from srframework.registry.registry import Registry

Floats: TypeAlias = NDArray[np.float64]

Metric: TypeAlias = Callable[[Floats], Floats]
"""Confusion matrices, ``(R, C, C)``, true label by predicted label -> the figure of each, ``(R,)``."""


def metric_of(evaluators: Sequence[Mapping[str, Any]], name: str, registry: Registry) -> Metric:
    """The figure ``name``, as the first of the evaluators has it that computes it of confusion matrices.

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
            evaluator = _built(table, registry)
            if name in evaluator.of_confusion(np.eye(2)[np.newaxis]):
                return lambda confusion: evaluator.of_confusion(confusion)[name]
        except ValidationError as error:
            failures.append(f"evaluator {table.get('use')!r} refuses its options: {error.errors()[0]['msg']}")
        except SRFrameworkError as error:
            failures.append(str(error))
    names = ", ".join(str(table.get("use")) for table in evaluators) or "none"
    raise DataError(
        "; ".join([f"no evaluator of the recipe ({names}) computes {name} of a confusion matrix", *failures])
    )


def _built(table: Mapping[str, Any], registry: Registry) -> Evaluator:
    registered = registry.get("evaluator", str(table.get("use")))
    options = {key: value for key, value in table.items() if key != "use"}
    made: Evaluator = registered.build(validated(registered.component.options, options, registered.owner))
    return made
