"""A model that does not fit its tokenizer, its data or the recipe is refused, whatever backbone it is of."""

from __future__ import annotations

import dataclasses

import datasets
import pytest
import torch
import transformers as hf

from srframework import BackboneError, PluginError, testing
from srframework.contracts import Network, Split
from srframework.run.model_checks import check_examples, check_network, usable_positions

SIZE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 30}


def refused(network: Network) -> str:
    with pytest.raises(BackboneError) as caught:
        check_network(network, "backbone 'x'")
    assert str(caught.value).startswith("backbone 'x': expected ")
    return str(caught.value)


def a_split(**columns: list[str]) -> Split:
    columns = columns or {"text_a": ["a b", "c"], "text_b": ["d e f", "a"]}
    examples = datasets.Dataset.from_dict({**columns, "label": [0] * len(columns["text_a"])})
    return Split("train", examples, testing.LABELS)


def tried(network: Network, split: Split | None = None, length: int = 16) -> str:
    with pytest.raises(BackboneError) as caught:
        check_examples(network, split or a_split(), length, 3, "backbone 'x'")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_good_network_passes_and_nothing_of_it_changes():
    network = testing.network()
    network.model.train()
    random, before = torch.get_rng_state(), network.tokenizer.backend_tokenizer.to_str()
    check_network(network, "x")
    check_examples(network, a_split(), 16, 3, "x")
    assert network.model.training
    assert torch.equal(torch.get_rng_state(), random)
    assert network.tokenizer.backend_tokenizer.to_str() == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["classifier.weight", "bert.embeddings.word_embeddings.weight"])
def test_weights_that_are_not_finite_are_refused_by_name(name, value):
    network = testing.network()
    network.model.get_parameter(name).data.view(-1)[2] = value
    entries = network.model.get_parameter(name).numel()
    kind = "NaN" if value != value else "infinity"
    assert refused(network) == (
        f"backbone 'x': expected finite weights, got {kind} in {name} (1 of its {entries} entries are not finite)"
    )


def test_a_buffer_that_is_not_finite_is_refused_too():
    network = testing.network()
    network.model.register_buffer("scale", torch.tensor([1.0, float("nan")]))
    assert "NaN in scale" in refused(network)


def test_large_weights_whose_sum_overflows_are_finite():
    network = testing.network()
    network.model.classifier.weight.data.fill_(3e38)
    check_network(network, "x")


def test_a_token_without_an_embedding_is_refused():
    network = testing.network()
    rows = network.model.get_input_embeddings().weight.shape[0]
    network.tokenizer.add_tokens([f"new{index}" for index in range(rows)])
    assert f"expected a tokenizer of at most {rows} tokens" in refused(network)


def test_a_tokenizer_without_padding_is_refused():
    network = testing.network()
    network.tokenizer.pad_token = None
    assert refused(network) == "backbone 'x': expected a tokenizer with a padding token in [0, 14], got none"


@pytest.mark.parametrize(("matrix", "part"), [("classifier", "head"), ("bert.none", "encoder"), ("dropout", "encoder")])
def test_a_matrix_that_is_not_there_is_the_plugins_fault(matrix, part):
    network = dataclasses.replace(testing.network(), prunable={matrix: part})
    with pytest.raises(PluginError, match=f"^x: prunable: expected linear modules, .* got '{matrix}' of '{part}'$"):
        check_network(network, "x")


def test_types_without_an_embedding_are_refused():
    network = testing.network()
    embeddings = network.model.bert.embeddings
    embeddings.token_type_embeddings = torch.nn.Embedding(1, 8)
    assert tried(network) == (
        "backbone 'x': expected token_type_ids below 1, the number of embeddings, got 1 from its tokenizer"
    )
    check_examples(network, a_split(text_a=["a", "b"]), 16, 3, "x")


def test_logits_that_are_not_finite_are_refused():
    network = testing.network()
    network.model.bert.encoder.layer[0].output.LayerNorm.weight.data.fill_(3e38)
    assert "expected finite logits, got " in tried(network)


def test_another_number_of_logits_is_refused():
    network = testing.network()
    network.model.classifier = torch.nn.Linear(8, 2)
    assert "expected 3 logits per example, got 3 × 2 for 3 examples" in tried(network)


@pytest.mark.parametrize("error", [IndexError("index out of range"), ZeroDivisionError("0"), ValueError("a\nb")])
def test_whatever_a_model_raises_is_told_in_a_sentence(monkeypatch, error):
    network = testing.network()

    def forward(**_: object) -> None:
        raise error

    monkeypatch.setattr(network.model, "forward", forward)
    assert f"got {type(error).__name__}: " in tried(network)
    assert network.model.training


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (hf.BertForSequenceClassification, 20),
        (hf.RobertaForSequenceClassification, 18),
        (hf.XLMRobertaForSequenceClassification, 18),
        (hf.ElectraForSequenceClassification, 20),
        (hf.AlbertForSequenceClassification, 20),
        (hf.MPNetForSequenceClassification, 18),
    ],
)
def test_positions_are_those_that_texts_can_use(model, expected):
    with torch.device("meta"):
        made = model(model.config_class(**SIZE, max_position_embeddings=20))
    assert usable_positions(made) == expected


def test_a_model_that_has_no_table_of_positions_has_no_limit():
    config = hf.DebertaV2Config(**SIZE, relative_attention=True, position_biased_input=False, pos_att_type=["p2c"])
    with torch.device("meta"):
        assert usable_positions(hf.DebertaV2ForSequenceClassification(config)) is None


@pytest.mark.parametrize("model", [hf.BertForSequenceClassification, hf.RobertaForSequenceClassification])
def test_the_longest_text_is_tried(model):
    words = testing.network().tokenizer
    made = model(model.config_class(**SIZE, max_position_embeddings=20, num_labels=3))
    network, most = Network(made, words, {}), usable_positions(made)
    check_examples(network, a_split(), most, 3, "x")
    assert "expected logits for an example of" in tried(network, length=most + 3)
