"""Built-in pruners."""

from __future__ import annotations

from srf_pruners.options import ImpOptions, ImpRewindOptions, MaskOptions, OneShotOptions
from srframework import Component, hookimpl


@hookimpl
def srframework_pruners() -> list[Component]:
    """mask, imp, imp-rw, omp, random."""
    return [
        Component(
            name="mask",
            options=MaskOptions,
            factory="srf_pruners.mask:MaskTraining",
            summary="Mask training: weights frozen, a score for each of them trained.",
            source="§3.2.2, App. A.1.2; schedule: §5.2",
        ),
        Component(
            name="imp",
            options=ImpOptions,
            factory="srf_pruners.imp:IterativeMagnitudePruning",
            summary="Iterative magnitude pruning: prune a little, train a little, again; every level is kept.",
            source="§3.2.1, App. A.1.1",
        ),
        Component(
            name="imp-rw",
            options=ImpRewindOptions,
            factory="srf_pruners.imp_rw:RewindingMagnitudePruning",
            summary="IMP with rewinding: at every prune the weights that survive return to their initial values.",
            source="§3.2.1, §4.3, App. A.1.1",
        ),
        Component(
            name="omp",
            options=OneShotOptions,
            factory="srf_pruners.one_shot:OneShotMagnitudePruning",
            summary="One-shot magnitude pruning: prune at once, then train what is left.",
            source="Han et al. 2015 (arXiv 1506.02626), §3",
        ),
        Component(
            name="random",
            options=OneShotOptions,
            factory="srf_pruners.one_shot:RandomPruning",
            summary="A baseline: prune entries at random, then train what is left.",
            source="Frankle & Carbin 2019 (arXiv 1803.03635), §2",
        ),
    ]
