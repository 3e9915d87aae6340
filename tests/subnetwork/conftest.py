"""A small classifier, a mask of it, and artifacts of both kinds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_subnetwork import random_mask, weights_of
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from srframework.masks import Mask
from srframework.subnetwork.base import BaseModel
from srframework.subnetwork.writing import Content, write_artifact


@pytest.fixture
def make_model() -> Callable[..., PreTrainedModel]:
    """A classifier with three labels; models of one seed are equal."""

    def make(seed: int = 0, **more: int) -> PreTrainedModel:
        torch.manual_seed(seed)
        sizes = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = BertConfig(**sizes, intermediate_size=24, max_position_embeddings=16, num_labels=3, **more)
        return BertForSequenceClassification(config).eval()

    return make


@pytest.fixture
def model(make_model) -> PreTrainedModel:
    return make_model()


@pytest.fixture
def mask(model) -> Mask:
    return random_mask(model, 0.5)


@pytest.fixture
def base(make_model, tmp_path) -> Path:
    """The directory of the model that the artifact ``masked`` refers to."""
    make_model().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def masked(model, mask, base, tmp_path) -> Path:
    """The artifact of a mask on frozen weights, with a new head."""
    of_base = BaseModel("the small model", str(base), weights_of(model))
    torch.nn.init.ones_(model.classifier.weight)
    mask.apply_(model)
    write_artifact(Content(weights_of(model), [mask], model.config.to_dict(), of_base), tmp_path / "masked")
    return tmp_path / "masked"


@pytest.fixture
def trained(make_model, mask, tmp_path) -> Path:
    """The artifact of a subnetwork with weights of its own."""
    model = make_model(seed=7)
    mask.apply_(model)
    write_artifact(Content(weights_of(model), [mask], model.config.to_dict()), tmp_path / "trained")
    return tmp_path / "trained"
