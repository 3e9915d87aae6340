"""Built-in evaluators."""

from __future__ import annotations

from srf_evaluators.options import NoOptions, WorstGroupOptions
from srframework import Component, hookimpl


@hookimpl
def srframework_evaluators() -> list[Component]:
    """Register accuracy, bias-groups, f1, hans, sparsity, worst-group."""
    return [
        Component(
            name="accuracy",
            options=NoOptions,
            factory="srf_evaluators.classification:Accuracy",
            summary="Fraction of examples with the right predicted label.",
            source="§4.1.1",
        ),
        Component(
            name="bias-groups",
            options=NoOptions,
            factory="srf_evaluators.bias_groups:BiasGroups",
            summary="Accuracy where the bias model predicts the true label (aligned), and where not (conflicting).",
            source="Nam et al. 2020, section 4 (bias-aligned and bias-conflicting)",
            requires=["bias"],
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
        Component(
            name="worst-group",
            options=WorstGroupOptions,
            factory="srf_evaluators.worst_group:WorstGroup",
            summary="Accuracy of each group of examples, and the lowest of these accuracies.",
            source="Sagawa et al. 2020, section 2",
        ),
    ]
