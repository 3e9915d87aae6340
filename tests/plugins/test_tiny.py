"""The backbone `tiny`: its shape, its weights, its tokenizer, its options."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from pydantic import ValidationError
from small_backbones import changed, tiny, weights

from srf_backbones.options import TinyOptions


def test_tiny_is_the_same_for_the_same_seed():
    assert changed(weights(tiny(3)), weights(tiny(3))) == set()


def test_tiny_has_other_matrices_for_another_seed():
    one, other = tiny(3), tiny(4)
    matrices = {f"{name}.weight" for name in one.prunable}
    assert changed(weights(one), weights(other)) >= matrices | {"bert.embeddings.word_embeddings.weight"}


@pytest.mark.parametrize("count", [1, 3])
def test_tiny_has_six_encoder_matrices_a_layer_a_pooler_and_a_classifier(count):
    network = tiny(layers=count)
    assert Counter(network.prunable.values()) == {"encoder": 6 * count, "pooler": 1, "classifier": 1}


def test_tiny_has_the_shape_that_its_options_say():
    network = tiny(layers=1, width=12, heads=3, intermediate=20, dropout=0.25)
    shapes = {name: tuple(matrix.shape) for name, matrix in network.matrices().items()}
    layer = "bert.encoder.layer.0."
    assert shapes == {
        f"{layer}attention.self.query": (12, 12),
        f"{layer}attention.self.key": (12, 12),
        f"{layer}attention.self.value": (12, 12),
        f"{layer}attention.output.dense": (12, 12),
        f"{layer}intermediate.dense": (20, 12),
        f"{layer}output.dense": (12, 20),
        "bert.pooler.dense": (12, 12),
        "classifier": (3, 12),
    }
    assert network.model.config.num_attention_heads == 3
    assert {each.p for each in network.model.modules() if isinstance(each, torch.nn.Dropout)} == {0.25}


def test_tiny_predicts_from_two_texts_as_long_as_they_may_be():
    network = tiny()
    long = "owl " * 200
    batch = network.tokenizer([long, "the owl"], [long, "is red"], truncation=True, padding=True, return_tensors="pt")
    assert batch["input_ids"].shape == (2, 128)
    assert network.model(**batch).logits.shape == (2, 3)


def test_tiny_spells_a_word_that_it_does_not_know():
    tokenizer = tiny().tokenizer
    pieces = tokenizer.tokenize("Qzxjvkw 7")
    assert "".join(pieces).replace("##", "") == "qzxjvkw7"
    assert tokenizer.unk_token not in pieces


def test_tiny_refuses_a_width_that_its_heads_do_not_divide():
    with pytest.raises(ValidationError) as caught:
        TinyOptions(width=10, heads=4)
    assert (
        caught.value.errors()[0]["msg"]
        == "Value error, a width that is a multiple of heads (got width = 10, heads = 4)"
    )


@pytest.mark.parametrize(
    ("option", "value"), [("layers", 0), ("width", 4), ("heads", 0), ("intermediate", 7), ("dropout", 1.0)]
)
def test_tiny_refuses_options_out_of_range_by_name(option, value):
    with pytest.raises(ValidationError) as caught:
        TinyOptions.model_validate({option: value})
    assert caught.value.errors()[0]["loc"] == (option,)
