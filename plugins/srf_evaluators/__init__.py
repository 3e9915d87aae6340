"""Built-in evaluators."""

from __future__ import annotations

from srframework import Component, Options, hookimpl


class NoOptions(Options):
    """No options."""


@hookimpl
def srframework_evaluators() -> list[Component]:
    """Register accuracy, f1, hans, sparsity."""
    return [
        Component(
            name="accuracy",
            options=NoOptions,
            factory="srf_evaluators.classification:Accuracy",
            summary="Fraction of examples with the right predicted label.",
            source="§4.1.1",
        ),
        Component(
            name="f1",
            options=NoOptions,
            factory="srf_evaluators.classification:F1",
            summary="F1 of each class, averaged with the class sizes as weights; and the accuracy of each class.",
            source="§4.1.1, App. B.1",
        ),
        Component(
            name="hans",
            options=NoOptions,
            factory="srf_evaluators.hans:Hans",
            summary="Accuracy on HANS by heuristic and label.",
            source="McCoy et al. 2019, table 4",
        ),
        Component(
            name="sparsity",
            options=NoOptions,
            factory="srf_evaluators.sparsity:Sparsity",
            summary="Fraction of zeros in the matrices of encoder and classifier: of each matrix, and in total.",
            source="§3.1",
        ),
    ]
