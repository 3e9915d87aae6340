"""The pre-trained weights of `tiny`, and the pre-training that made them."""

from __future__ import annotations

import hashlib
import random
from importlib.resources import files

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load, load_file
from transformers import BatchEncoding

from srf_backbones.options import TinyOptions
from srf_backbones.pretrain_tiny import ATTRIBUTE, masked, pretrain, text
from srf_backbones.tiny import SHA256, WEIGHTS, TinyBert, save_encoder, tokenizer_of_tiny
from srf_datasets.world import ATTRIBUTES, OPPOSITE

LABELS = ("a", "b", "c")


def tensors(seed=1, **options):
    return TinyBert(TinyOptions(**options)).load(LABELS, seed).model.state_dict()


def test_the_weights_are_those_of_the_hash():
    assert hashlib.sha256((files("srf_backbones") / WEIGHTS).read_bytes()).hexdigest() == SHA256


def test_pretrained_weights_are_loaded_and_only_pooler_and_classifier_are_new():
    one, other = tensors(1, weights="pretrained"), tensors(2, weights="pretrained")
    stored = load((files("srf_backbones") / WEIGHTS).read_bytes())
    new = {name for name in one if not torch.equal(one[name], other[name])}
    assert new == {"bert.pooler.dense.weight", "classifier.weight"}
    assert {f"bert.{name}" for name in stored} == {name for name in one if "pooler" not in name and "class" not in name}
    assert all(torch.equal(one[f"bert.{name}"], value.float()) for name, value in stored.items())
    assert {value.dtype for value in one.values()} <= {torch.float32, torch.int64}


def test_random_weights_differ_from_the_pretrained_ones_and_by_seed():
    one, other, known = tensors(1), tensors(2), tensors(1, weights="pretrained")
    matrix = "bert.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(one[matrix], other[matrix])
    assert not torch.equal(one[matrix], known[matrix])


@pytest.mark.parametrize(("option", "stored", "value"), [("layers", 3, 2), ("width", 64, 32), ("intermediate", 128, 8)])
def test_other_sizes_than_the_stored_ones_are_refused(option, stored, value):
    with pytest.raises(ValidationError, match=f'{option} = {stored} with weights = "pretrained", got {value}'):
        TinyOptions.model_validate({"weights": "pretrained", option: value})
    assert TinyOptions.model_validate({option: value}).weights == "random"


def test_the_texts_say_a_fact_again_or_deny_its_opposite():
    draw = random.Random(3)
    for _ in range(300):
        first, second = text(draw)
        facts = dict(reversed(fact.split()) for fact in first.split(" and "))
        lead, attribute, animal, last = second.split()
        assert (facts[animal] == attribute) == (lead != "never")
        assert lead != "never" or facts[animal] == OPPOSITE[attribute]
        assert last != "never"


def test_one_word_of_each_text_is_masked_often_the_attribute():
    tokenizer, generator = tokenizer_of_tiny(), torch.Generator().manual_seed(0)
    encoded: BatchEncoding = tokenizer(
        ["tall owl and short fox"] * 2000, ["now tall owl surely"] * 2000, return_tensors="pt"
    )
    words = encoded["input_ids"]
    inputs, labels = masked(encoded, tokenizer, generator)
    chosen = labels != -100
    assert (chosen.sum(dim=1) == 1).all()
    assert torch.equal(labels[chosen], words[chosen])
    assert torch.equal(inputs[~chosen], words[~chosen])
    assert not chosen[words < 5].any()  # [CLS] and [SEP]
    assert tokenizer.convert_ids_to_tokens(words[0, ATTRIBUTE].item()) == "tall"
    # One half, and a ninth of the other half: 0.5556; the standard error is 0.011.
    assert chosen[:, ATTRIBUTE].float().mean().item() == pytest.approx(0.5556, abs=0.045)
    assert (inputs[chosen] == tokenizer.mask_token_id).float().mean().item() == pytest.approx(0.8, abs=0.04)
    assert "tall" in ATTRIBUTES


def test_pre_training_repeats_to_the_bit_and_is_saved_without_the_pooler(tmp_path):
    one, other = pretrain(steps=3), pretrain(steps=3)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
    save_encoder(one.bert, tmp_path / "file")
    stored = load_file(tmp_path / "file")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert not any("pooler" in name for name in stored)
