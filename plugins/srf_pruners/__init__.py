"""Built-in pruners."""

from __future__ import annotations

from srf_pruners.mask_options import MaskOptions
from srf_pruners.options import ImpOptions, ImpRewindOptions, OneShotOptions
from srframework import Component, hookimpl


@hookimpl
def srframework_pruners() -> list[Component]:
    """Register mask, imp, imp-rw, omp, random."""
    return [
        Component(
            name="mask",
            options=MaskOptions,
            factory="srf_pruners.mask:MaskTraining",
            summary="Mask training: the weights are frozen; a score for each weight is trained.",
            source="§3.2.2, App. A.1.2; schedule: §5.2",
        ),
        Component(
            name="imp",
            options=ImpOptions,
            factory="srf_pruners.imp:IterativeMagnitudePruning",
            summary="Iterative magnitude pruning: prune and train in turns; keeps the sparsity levels that you choose.",
            source="§3.2.1, App. A.1.1",
            example={"sparsity": 0.5, "interval": 0.2},
        ),
        Component(
            name="imp-rw",
            options=ImpRewindOptions,
            factory="srf_pruners.imp_rw:RewindingMagnitudePruning",
            summary="IMP with rewinding: every prune resets the remaining weights to their initial values.",
            source="§3.2.1, §4.3, App. A.1.1",
            example={"sparsity": 0.5, "interval": 0.25},
        ),
        Component(
            name="omp",
            options=OneShotOptions,
            factory="srf_pruners.one_shot:OneShotMagnitudePruning",
            summary="One-shot magnitude pruning: prune once, then train the remaining weights.",
            source="Han et al. 2015 (arXiv 1506.02626), §3",
        ),
        Component(
            name="random",
            options=OneShotOptions,
            factory="srf_pruners.one_shot:RandomPruning",
            summary="Baseline: prune random weights, then train the remaining ones.",
            source="Frankle & Carbin 2019 (arXiv 1803.03635), §2",
        ),
    ]
