"""Built-in losses (debiasers) and bias models."""

from __future__ import annotations

import json
from pathlib import Path

from srf_debiasers.options import (
    AnnealingOptions,
    ConfregOptions,
    FileBiasOptions,
    FocalOptions,
    GroupDroOptions,
    JttOptions,
    LearnedMixinOptions,
    LogisticBiasOptions,
    NoOptions,
    ReweightOptions,
)
from srframework import Component, hookimpl


@hookimpl
def srframework_debiasers() -> list[Component]:
    """Register std, poe, reweight, confreg, learned-mixin, focal, group-dro, jtt."""
    return [
        Component(
            name="std",
            options=NoOptions,
            factory="srf_debiasers.losses:Standard",
            summary="Standard training: cross-entropy, without debiasing.",
            source="§3.3",
        ),
        Component(
            name="poe",
            options=AnnealingOptions,
            factory="srf_debiasers.losses:ProductOfExperts",
            summary="Product of experts: trains the product of model and bias model, predicts with the model.",
            source="§3.3; Clark et al. 2019, He et al. 2019",
            requires=["bias"],
        ),
        Component(
            name="reweight",
            options=ReweightOptions,
            factory="srf_debiasers.losses:Reweight",
            summary="Example reweighting: lower weights for examples that the bias model predicts well.",
            source="§3.3, App. A.2; Clark et al. 2019, Schuster et al. 2019",
            requires=["bias"],
        ),
        Component(
            name="confreg",
            options=ConfregOptions,
            factory="srf_debiasers.losses:ConfidenceRegularisation",
            summary="Confidence regularisation: learns from a teacher, less confident where the bias model is right.",
            source="§3.3, App. A.2; Utama et al. 2020",
            requires=["bias", "predictions"],
        ),
        Component(
            name="learned-mixin",
            options=LearnedMixinOptions,
            factory="srf_debiasers.learned_mixin:LearnedMixin",
            summary="Product of experts with a learned weight of the bias model for each example.",
            source="Clark et al. 2019, §3.2",
            requires=["bias"],
        ),
        Component(
            name="focal",
            options=FocalOptions,
            factory="srf_debiasers.losses:Focal",
            summary="Focal loss: lower weights for examples that the model predicts well; needs no bias model.",
            source="Lin et al. 2017, §3.2",
        ),
        Component(
            name="group-dro",
            options=GroupDroOptions,
            factory="srf_debiasers.groups:GroupDro",
            summary="Group DRO: raises the weights of groups with a high loss; needs a column of groups.",
            source="Sagawa et al. 2020",
            requires=GroupDroOptions.required,
        ),
        Component(
            name="jtt",
            options=JttOptions,
            factory="srf_debiasers.groups:JustTrainTwice",
            summary="Just train twice: a higher weight for the training examples that another stage predicts wrongly.",
            source="Liu et al. 2021",
            requires=["predictions"],
        ),
    ]


def _bias_file(directory: Path) -> dict[str, str]:
    """Write the predictions of a bias model for the 12 training examples of the checks, which have 3 labels."""
    path = directory / "bias.json"
    rows = [[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.25, 0.125, 0.625], [0.625, 0.25, 0.125]] * 3
    path.write_text(json.dumps(rows), encoding="utf-8")
    return {"path": str(path)}


@hookimpl
def srframework_bias_models() -> list[Component]:
    """Register bias-logistic, bias-file."""
    return [
        Component(
            name="bias-logistic",
            options=LogisticBiasOptions,
            factory="srf_debiasers.bias:LogisticBias",
            summary="Logistic regression on the data set's spurious features.",
            source="App. B.3.1; Clark et al. 2019",
            requires=["spurious-features"],
        ),
        Component(
            name="bias-file",
            options=FileBiasOptions,
            factory="srf_debiasers.bias:FileBias",
            summary="Predictions of your own bias model, from a .npy or .json file.",
            source="App. B.3.1",
            example=_bias_file,
        ),
    ]
