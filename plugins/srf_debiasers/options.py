"""Options of the debiasers and of the bias models."""

from __future__ import annotations

from pydantic import Field

from srframework import InputFile, Options


class NoOptions(Options):
    """None."""


class LogisticBiasOptions(Options):
    """Of ``bias-logistic``; the defaults are those of Clark et al. 2019."""

    c: float = Field(100.0, gt=0, description="Inverse strength of the L2 penalty; above 0.")
    balanced: bool = Field(True, description="Weight classes inversely to their frequency.")


class FileBiasOptions(Options):
    """Of ``bias-file``."""

    path: InputFile = Field(
        description="A .npy file of shape (examples, labels), or a .json file: a list of rows, "
        "or a table from example id to row. In the order of the data set's labels."
    )
    log: bool = Field(False, description="Whether the rows are log-probabilities; else probabilities in [0, 1].")
