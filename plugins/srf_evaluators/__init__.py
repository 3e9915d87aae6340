"""Built-in evaluators."""

from __future__ import annotations

from srframework import Component, Options, hookimpl


class NoOptions(Options):
    """None."""


@hookimpl
def srframework_evaluators() -> list[Component]:
    """accuracy, f1, hans, sparsity."""
    return [
        Component(
            name="accuracy",
            options=NoOptions,
            factory="srf_evaluators.classification:Accuracy",
            summary="Share of examples whose label is predicted.",
            source="§4.1.1",
        ),
        Component(
            name="f1",
            options=NoOptions,
            factory="srf_evaluators.classification:F1",
            summary="F1, the mean over classes weighted by their size; and the accuracy of each class.",
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
            summary="Zeros among the entries of the encoder's and the classifier's matrices, each and all, counted.",
            source="§3.1",
        ),
    ]
