"""Options of the backbones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from srframework import FileProblem, Location, Options, directory_problem


class EncoderOptions(Options):
    """Options of ``encoder``."""

    path: Location = Field(description="A directory with a model and its tokenizer, or a name on the Hugging Face hub.")
    revision: Location | None = Field(None, description="Branch, tag or commit on the hub; unset: its default branch.")
    dropout: float | None = Field(
        None, ge=0, lt=1, description="Dropout of hidden states and attention, in [0, 1); unset: the model's own."
    )

    def input_paths(self) -> list[str] | None:
        """Return the directory of a local model."""
        return [self.path] if os.path.isdir(self.path) else None

    def check_files(self) -> Iterator[FileProblem]:
        """Report a local path that does not exist, before it is looked up on the hub."""
        if problem := directory_problem(self.path, "Model", ("path",)):
            yield problem


class BertBaseOptions(EncoderOptions):
    """Options of ``bert-base``."""

    path: Location = Field("bert-base-uncased", description="A local copy, or the name on the Hugging Face hub.")


class BertLargeOptions(EncoderOptions):
    """Options of ``bert-large``."""

    path: Location = Field("bert-large-uncased", description="A local copy, or the name on the Hugging Face hub.")


class RobertaBaseOptions(EncoderOptions):
    """Options of ``roberta-base``."""

    path: Location = Field("roberta-base", description="A local copy, or the name on the Hugging Face hub.")


class TinyOptions(Options):
    """Options of ``tiny``; the defaults are the sizes of the pre-trained weights."""

    weights: Literal["random", "pretrained"] = Field(
        "random",
        description="Weights of embeddings and layers: random, or pre-trained by masked language modelling on texts of "
        "the kind that the data set synthetic generates (pretrained).",
    )
    layers: int = Field(3, ge=1, description="Transformer layers; at least 1.")
    width: int = Field(64, ge=8, description="Width of the hidden states; at least 8 and a multiple of heads.")
    heads: int = Field(2, ge=1, description="Attention heads; at least 1.")
    intermediate: int = Field(128, ge=8, description="Width of the feed-forward layers; at least 8.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout of hidden states and attention, in [0, 1).")
    init_std: float = Field(0.02, gt=0, description="Standard deviation of the random weights; above 0.")

    def input_paths(self) -> list[str]:
        """Return nothing: the weights are in the package."""
        return []

    @model_validator(mode="after")
    def _sizes_fit(self) -> TinyOptions:
        if self.width % self.heads:
            raise ValueError(f"a width that is a multiple of heads (got width = {self.width}, heads = {self.heads})")
        if self.weights == "pretrained":
            for name in ("layers", "width", "heads", "intermediate"):
                stored, got = type(self).model_fields[name].default, getattr(self, name)
                if got != stored:
                    raise ValueError(f'{name} = {stored} with weights = "pretrained", got {got}')
        return self
