"""Options of the backbones."""

from __future__ import annotations

import os
import re

from pydantic import Field, field_validator, model_validator

from srframework import Location, Options

_HUB_NAME = re.compile(r"(?:[A-Za-z0-9_][\w.-]*/)?[A-Za-z0-9_][\w.-]*", re.ASCII)


def model_place(path: str) -> str:
    """The directory of a model, or its name on the hub, as it was given.

    Raises:
        ValueError: It is a path, and no directory is there: whatever cannot be a name on the hub, or lies in a
            directory that exists. Nothing of that kind is looked up on the hub.
    """
    if os.path.isdir(path):
        return path
    expected = f"a directory with a model, relative to {os.getcwd()}, or a name on the Hugging Face hub"
    if os.path.lexists(path):
        raise ValueError(f"{expected} (a file)")
    parent = os.path.dirname(path)
    can_be_a_name = _HUB_NAME.fullmatch(path) and not re.search(r"\.\.|--|\.git$|[.-]$|[.-]/", path) and len(path) <= 96
    if not can_be_a_name or (parent and os.path.isdir(parent)):
        raise ValueError(f"{expected} (no such directory)")
    return path


class EncoderOptions(Options):
    """Of ``encoder``."""

    path: Location = Field(description="A directory with a model and its tokenizer, or a name on the Hugging Face hub.")
    revision: Location | None = Field(None, description="Branch, tag or commit on the hub; unset, its default branch.")
    dropout: float | None = Field(
        None, ge=0, lt=1, description="Dropout of hidden states and attention, in [0, 1); unset, the model's own."
    )

    @field_validator("path", check_fields=False)
    @classmethod
    def _is_a_place(cls, path: str) -> str:
        return model_place(path)


class BertBaseOptions(EncoderOptions):
    """Of ``bert-base``."""

    path: Location = Field("bert-base-uncased", description="A local copy, or the name on the Hugging Face hub.")


class BertLargeOptions(EncoderOptions):
    """Of ``bert-large``."""

    path: Location = Field("bert-large-uncased", description="A local copy, or the name on the Hugging Face hub.")


class RobertaBaseOptions(EncoderOptions):
    """Of ``roberta-base``."""

    path: Location = Field("roberta-base", description="A local copy, or the name on the Hugging Face hub.")


class TinyOptions(Options):
    """Of ``tiny``."""

    layers: int = Field(2, ge=1, description="Transformer layers; at least 1.")
    width: int = Field(128, ge=8, description="Width of the hidden states; a multiple of heads.")
    heads: int = Field(4, ge=1, description="Attention heads; at least 1.")
    intermediate: int = Field(256, ge=8, description="Width of the feed-forward layers; at least 8.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout of hidden states and attention, in [0, 1).")
    init_std: float = Field(0.02, gt=0, description="Standard deviation of the random weights; above 0.")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> TinyOptions:
        if self.width % self.heads:
            raise ValueError(f"a width that is a multiple of heads ({self.heads})")
        return self
