"""Built-in pruners."""

from __future__ import annotations

from srf_pruners.options import ImpOptions, MaskOptions
from srframework import Component, hookimpl


@hookimpl
def srframework_pruners() -> list[Component]:
    """mask, imp."""
    return [
        Component(
            name="mask",
            options=MaskOptions,
            factory="srf_pruners.mask:MaskTraining",
            summary="Mask training: weights frozen, a score for each of them trained.",
            source="§3.2.2, App. A.1.2",
        ),
        Component(
            name="imp",
            options=ImpOptions,
            factory="srf_pruners.imp:IterativeMagnitudePruning",
            summary="Iterative magnitude pruning: prune a little, train a little, again; every level is kept.",
            source="§3.2.1, App. A.1.1",
        ),
    ]
