"""Built-in losses, and the bias models that some of them need."""

from __future__ import annotations

from srf_debiasers.options import FileBiasOptions, LogisticBiasOptions, NoOptions
from srframework import Component, hookimpl


@hookimpl
def srframework_debiasers() -> list[Component]:
    """std, poe; bias-logistic, bias-file."""
    return [
        Component(
            name="std",
            options=NoOptions,
            factory="srf_debiasers.losses:Standard",
            summary="Cross-entropy.",
            source="§3.3",
        ),
        Component(
            name="poe",
            options=NoOptions,
            factory="srf_debiasers.losses:ProductOfExperts",
            summary="Product of experts: trains on p_m · p_b, tests with p_m.",
            source="§3.3; Clark et al. 2019, He et al. 2019",
            requires=["bias"],
        ),
        Component(
            name="bias-logistic",
            options=LogisticBiasOptions,
            factory="srf_debiasers.bias:LogisticBias",
            summary="Bias model: logistic regression on the data set's spurious features.",
            source="App. B.3.1; Clark et al. 2019",
            requires=["spurious-features"],
            provides=["bias"],
        ),
        Component(
            name="bias-file",
            options=FileBiasOptions,
            factory="srf_debiasers.bias:FileBias",
            summary="Bias model: its predictions, from a .npy or .json file.",
            source="App. B.3.1",
            provides=["bias"],
        ),
    ]
