"""Built-in data sets."""

from __future__ import annotations

from srf_datasets import example_files
from srf_datasets.options import PairsOptions
from srf_datasets.synthetic_options import SyntheticOptions
from srf_datasets.task_options import FactVerificationOptions, NliOptions, ParaphraseOptions
from srframework import Component, hookimpl


def _metric(options: PairsOptions) -> list[str]:
    return [f"evaluator/{options.metric}", "evaluator/sparsity"]


@hookimpl
def srframework_datasets() -> list[Component]:
    """Register nli, paraphrase, fact-verification, pairs, synthetic."""
    return [
        Component(
            name="nli",
            options=NliOptions,
            factory="srf_datasets.nli:Nli",
            summary="Natural language inference: MNLI; OOD: HANS.",
            source="§4.1.1, App. B.1",
            requires=["evaluator/accuracy", "evaluator/hans", "evaluator/sparsity"],
            provides=NliOptions.provided,
            example=example_files.nli,
        ),
        Component(
            name="paraphrase",
            options=ParaphraseOptions,
            factory="srf_datasets.paraphrase:Paraphrase",
            summary="Paraphrase identification: QQP; OOD: PAWS-qqp and PAWS-wiki.",
            source="§4.1.1, App. B.1",
            requires=["evaluator/f1", "evaluator/accuracy", "evaluator/sparsity"],
            provides=ParaphraseOptions.provided,
            example=example_files.paraphrase,
        ),
        Component(
            name="fact-verification",
            options=FactVerificationOptions,
            factory="srf_datasets.fact_verification:FactVerification",
            summary="Fact verification: FEVER; OOD: Fever-Symmetric v1 and v2.",
            source="§4.1.1, App. B.1",
            requires=["evaluator/accuracy", "evaluator/sparsity"],
            provides=FactVerificationOptions.provided,
            example=example_files.fact_verification,
        ),
        Component(
            name="pairs",
            options=PairsOptions,
            factory="srf_datasets.pairs:Pairs",
            summary="Your own data: TSV, CSV, JSON lines or hub data sets, with any OOD splits.",
            source="srframework",
            requires=_metric,
            provides=PairsOptions.provided,
            example=example_files.pairs,
        ),
        Component(
            name="synthetic",
            options=SyntheticOptions,
            factory="srf_datasets.synthetic:Synthetic",
            summary="Generated claim verification with a spurious cue word; OOD: a cue without meaning.",
            source="srframework",
            requires=["evaluator/accuracy", "evaluator/sparsity"],
            provides=SyntheticOptions.provided,
            example={"train_size": 30, "dev_size": 12, "ood_size": 12, "ood_train_size": 6},
        ),
    ]
