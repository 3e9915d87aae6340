"""Registers the evaluators ece and agreement. Every command imports this module, so it must not import numpy."""

from pydantic import Field

from srframework import Component, Options, StageReference, hookimpl


class EceOptions(Options):
    """Options of ece."""

    bins: int = Field(15, ge=1, description="Number of bins of equal width; at least 1.")


class AgreementOptions(Options):
    """Options of agreement."""

    reference: StageReference = Field(description="The stage to compare with, such as full.")


@hookimpl
def srframework_evaluators():
    """Register ece and agreement."""
    return [
        Component(
            name="ece",
            options=EceOptions,
            factory="reliability.evaluator:CalibrationError",
            summary="Expected calibration error: how far confidence and accuracy differ.",
            source="Guo et al. 2017 (arXiv 1706.04599), section 2",
        ),
        Component(
            name="agreement",
            options=AgreementOptions,
            factory="reliability.evaluator:Agreement",
            summary="Share of examples with the same prediction as another stage, on each split; and the gap ID - OOD.",
            source="Hooker et al. 2019 (arXiv 1911.05248)",
        ),
    ]
