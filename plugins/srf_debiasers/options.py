"""Options of the debiasers and of the bias models."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field, field_validator, model_validator

from srf_debiasers.npy_header import check_header
from srframework import FileProblem, InputFile, Options, StageReference


class NoOptions(Options):
    """None."""


# -- losses --------------------------------------------------------------------------------------


class AnnealingOptions(Options):
    """Of every loss that uses p_b: p_b^θ, normalised, stands for p_b, while θ falls linearly over the stage.

    With θ = 1 p_b stays as it is; with θ = 0 it is uniform.
    """

    theta_max: float = Field(
        1.0,
        ge=0,
        le=1,
        json_schema_extra={"source": "released code"},
        description="θ, the power to which the bias model's probabilities are raised, as the stage begins; in [0, 1].",
    )
    theta_min: float = Field(
        1.0,
        ge=0,
        le=1,
        json_schema_extra={"source": "released code"},
        description="θ as the stage ends; in [0, 1], at most theta_max.",
    )

    @model_validator(mode="after")
    def _falls(self) -> AnnealingOptions:
        if self.theta_min > self.theta_max:
            raise ValueError(f"a theta_min of at most theta_max ({self.theta_max:g}), got {self.theta_min:g}")
        return self

    def theta(self, progress: float) -> float:
        """θ when a share ``progress``, in [0, 1], of the stage is done."""
        return self.theta_max - (self.theta_max - self.theta_min) * progress


class ReweightOptions(AnnealingOptions):
    """Of ``reweight``."""

    normalise: bool = Field(
        False,
        json_schema_extra={"source": "released code"},
        description="Divide by the sum of the batch's weights, not by its size.",
    )


class ConfregOptions(AnnealingOptions):
    """Of ``confreg``."""

    teacher: StageReference = Field(
        description="The stage whose model is the teacher, a model trained by std; or a point of it, full@1000."
    )


class LearnedMixinOptions(AnnealingOptions):
    """Of ``learned-mixin``; the default is without the entropy term."""

    entropy: float = Field(
        0.0,
        ge=0,
        json_schema_extra={"source": "Clark et al. 2019, §3.2"},
        description="Weight of the entropy, in nats, of the scaled bias ('+H'); 0 or more.",
    )


class FocalOptions(Options):
    """Of ``focal``; the default is Lin et al.'s."""

    gamma: float = Field(
        2.0,
        ge=0,
        json_schema_extra={"source": "Lin et al. 2017, §3.2"},
        description="γ, how fast examples that are known lose weight; 0 or more, where 0 is std.",
    )


# -- bias models ---------------------------------------------------------------------------------


class LogisticBiasOptions(Options):
    """Of ``bias-logistic``; the defaults are those of Clark et al. 2019."""

    c: float = Field(100.0, gt=0, description="Inverse strength of the L2 penalty; above 0.")
    balanced: bool = Field(True, description="Weight classes inversely to their frequency.")
    merge: tuple[str, ...] | None = Field(
        None,
        strict=False,
        json_schema_extra={"source": "App. B.3.1; Clark et al. 2019"},
        description="Labels, 2 or more but not all, that are fitted as one class, whose probability is divided evenly "
        "among them; none for []; unset, the data set's own: contradiction and neutral for NLI.",
    )

    @field_validator("merge")
    @classmethod
    def _each_once(cls, merge: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if merge is not None and (len(set(merge)) < len(merge) or len(merge) == 1):
            raise ValueError("two labels or more, each once; or none")
        return merge


class FileBiasOptions(Options):
    """Of ``bias-file``."""

    path: InputFile = Field(
        description="A .npy file of shape (training examples, labels), or a .json file: a list of rows, one for each "
        "training example, or a table from example id to row. In the order of the data set's labels."
    )
    log: bool = Field(False, description="Whether the rows are log-probabilities; else probabilities in [0, 1].")

    def check_files(self) -> Iterator[FileProblem]:
        """Read the header of a .npy file; of JSON there is none."""
        if not self.path.endswith((".npy", ".json")):
            yield FileProblem(("path",), f"{self.path}: expected a .npy or a .json file")
        elif self.path.endswith(".npy") and (message := check_header(self.path)):
            yield FileProblem(("path",), message)
