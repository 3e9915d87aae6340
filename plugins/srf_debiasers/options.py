"""Options of the debiasers and of the bias models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator, model_validator

from srf_debiasers.npy_header import check_header
from srframework import FileProblem, InputFile, Options, StageReference


class NoOptions(Options):
    """No options."""


# -- losses --------------------------------------------------------------------------------------


class AnnealingOptions(Options):
    """Options of all losses that use p_b: p_b^θ, normalised, replaces p_b; θ falls linearly over the stage.

    θ = 1 leaves p_b unchanged; θ = 0 makes it uniform.
    """

    theta_max: float = Field(
        1.0,
        ge=0,
        le=1,
        json_schema_extra={"source": "released code"},
        description="θ, the exponent of the bias model's probabilities, at the start of the stage; in [0, 1].",
    )
    theta_min: float = Field(
        1.0,
        ge=0,
        le=1,
        json_schema_extra={"source": "released code"},
        description="θ at the end of the stage; in [0, 1], at most theta_max.",
    )

    @model_validator(mode="after")
    def _falls(self) -> AnnealingOptions:
        if self.theta_min > self.theta_max:
            raise ValueError(f"a theta_min of at most theta_max ({self.theta_max:g}), got {self.theta_min:g}")
        return self

    def theta(self, progress: float) -> float:
        """Give θ after a fraction ``progress``, in [0, 1], of the stage."""
        return self.theta_max - (self.theta_max - self.theta_min) * progress


class ReweightOptions(AnnealingOptions):
    """Options of ``reweight``."""

    normalise: bool = Field(
        False,
        json_schema_extra={"source": "released code"},
        description="Divide the loss by the sum of the batch's weights, instead of the batch size.",
    )


class ConfregOptions(AnnealingOptions):
    """Options of ``confreg``."""

    teacher: StageReference = Field(
        description="The teacher: a stage that is trained with std, or a point of it, such as full@1000."
    )


class LearnedMixinOptions(AnnealingOptions):
    """Options of ``learned-mixin``; the default has no entropy term."""

    entropy: float = Field(
        0.0,
        ge=0,
        json_schema_extra={"source": "Clark et al. 2019, §3.2"},
        description="Weight of an additional loss term, 0 or more: the entropy, in nats, of the scaled bias prediction "
        "('+H' in the source). The term keeps the model from ignoring the bias model.",
    )


class FocalOptions(Options):
    """Options of ``focal``; the default is that of Lin et al. 2017."""

    gamma: float = Field(
        2.0,
        ge=0,
        json_schema_extra={"source": "Lin et al. 2017, §3.2"},
        description="γ, at least 0. A larger γ gives less weight to examples that the model predicts well; "
        "0 is the same as std.",
    )


class GroupDroOptions(Options):
    """Options of ``group-dro``."""

    column: str = Field("group", description="The column of the training set that has the examples' groups.")
    step_size: float = Field(
        0.01,
        gt=0,
        json_schema_extra={"source": "Sagawa et al. 2020"},
        description="η, the step size of the groups' weights; above 0.",
    )
    adjustment: float = Field(
        0.0,
        ge=0,
        json_schema_extra={"source": "Sagawa et al. 2020, §3.3"},
        description="C: C/√n is added to the loss of a group of n examples when the weights are updated; 0 or more.",
    )

    def required(self) -> list[str]:
        """List the column of the groups."""
        return [f"column:{self.column}"]


class JttOptions(Options):
    """Options of ``jtt``."""

    identified_by: StageReference = Field(
        description="A stage that is trained with std for few steps, or a point of it, such as first@500; the training "
        "examples that it predicts wrongly get a higher weight."
    )
    upweight: float = Field(5.0, ge=1, description="λ, the weight of these examples; at least 1.")


# -- bias models ---------------------------------------------------------------------------------


class LogisticBiasOptions(Options):
    """Options of ``bias-logistic``; the defaults are those of Clark et al. 2019."""

    c: float = Field(
        100.0, gt=0, description="Inverse of the strength of the L2 penalty, as C in scikit-learn; above 0."
    )
    balanced: bool = Field(True, description="Give rare classes a higher weight: the inverse of their frequency.")
    merge: tuple[str, ...] | None = Field(
        None,
        strict=False,
        json_schema_extra={"source": "App. B.3.1; Clark et al. 2019"},
        description="Labels to fit as one class, which then share its probability equally: at least 2, but not all. "
        "[]: none; unset: as the data set defines (for NLI: contradiction and neutral).",
    )

    @field_validator("merge")
    @classmethod
    def _each_once(cls, merge: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if merge is not None and (len(set(merge)) < len(merge) or len(merge) == 1):
            raise ValueError("two or more labels, each once, or none")
        return merge


class FileBiasOptions(Options):
    """Options of ``bias-file``."""

    path: InputFile = Field(
        description="A .npy file of shape (training examples, labels), or a .json file: a list of rows, one for each "
        "training example, or a table from example id to row. The columns are in the order of the data set's labels."
    )
    missing: Literal["error", "drop"] = Field(
        "error",
        json_schema_extra={"source": "released code"},
        description="What to do if a table has no row for a training example: stop with an error, or drop the example "
        "from the training set of all stages, and report how many were dropped.",
    )
    log: bool = Field(False, description="The rows are log-probabilities (true), or probabilities (false).")

    def check_files(self) -> Iterator[FileProblem]:
        """Check the extension, and the header of a .npy file."""
        if not self.path.endswith((".npy", ".json")):
            yield FileProblem(("path",), f"{self.path}: expected a .npy or a .json file")
        elif self.path.endswith(".npy") and (message := check_header(self.path)):
            yield FileProblem(("path",), message)
