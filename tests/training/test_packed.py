"""The forward pass without padding gives the logits and the gradients of the padded batch."""

from __future__ import annotations

import pytest
import torch
from small_backbones import SMALL
from transformers import BertConfig, BertForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

from srframework.training.dropout import dropout, fast_dropout
from srframework.training.packed import Packed, logits_of
from srframework.training.packed_attention import attention

LENGTHS = (3, 7, 1, 3, 6)


def bert(**options):
    return BertForSequenceClassification(BertConfig(vocab_size=30, num_labels=3, **(SMALL | options)))


def roberta(**options):
    config = RobertaConfig(vocab_size=30, num_labels=3, pad_token_id=1, max_position_embeddings=20, **(SMALL | options))
    return RobertaForSequenceClassification(config)


MODELS = {"bert": (bert, 0), "roberta": (roberta, 1)}
every_family = pytest.mark.parametrize("family", MODELS)


def model_of(family, **options):
    torch.manual_seed(3)
    return MODELS[family][0](**options)


def batch_of(family, lengths=LENGTHS):
    draw = torch.Generator().manual_seed(5)
    present = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    ids = torch.randint(4, 30, present.shape, generator=draw).where(present, MODELS[family][1])
    return {"input_ids": ids, "attention_mask": present.long()}


def gradients(model):
    return {name: each.grad for name, each in model.named_parameters()}


@every_family
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("lengths", [LENGTHS, (4, 4, 4), (1,), (2, 9)])
def test_logits_and_gradients_are_those_of_the_padded_batch(family, implementation, lengths):
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    one, other = (model_of(family, attn_implementation=implementation, **rates) for _ in range(2))
    batch = batch_of(family, lengths)
    assert Packed.of(one, batch) is not None
    weights = torch.randn(len(lengths), 3, generator=torch.Generator().manual_seed(1))
    found, expected = logits_of(one, one, batch), other(**batch).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for name, gradient in gradients(other).items():
        torch.testing.assert_close(gradients(one)[name], gradient, rtol=0, atol=2e-6, msg=name)


@every_family
def test_token_types_and_evaluation_mode(family):
    model = model_of(family).eval()
    batch = batch_of(family)
    if family == "bert":
        batch["token_type_ids"] = (torch.arange(7) > 2).long().expand(5, 7) * batch["attention_mask"]
    with torch.inference_mode():
        torch.testing.assert_close(logits_of(model, model, batch), model(**batch).logits, rtol=0, atol=1e-6)


def test_second_derivatives_are_those_of_the_padded_batch():
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "attn_implementation": "eager"}
    one, other = (model_of("bert", **rates) for _ in range(2))
    for model, logits in ((one, logits_of(one, one, batch_of("bert"))), (other, other(**batch_of("bert")).logits)):
        used = [model.bert.encoder.layer[0].attention.self.key.weight, model.bert.encoder.layer[0].output.dense.weight]
        first = torch.autograd.grad(logits.exp().sum(), used, create_graph=True)
        (first[0].square().sum() + first[1].square().sum()).backward()
    for name, gradient in gradients(other).items():
        expected = torch.zeros(()) if gradient is None else gradient
        found = gradients(one)[name]
        if found is not None or gradient is not None:
            torch.testing.assert_close(found, expected.expand_as(found), rtol=1e-3, atol=1e-5, msg=name)


def test_bf16_is_near():
    model = model_of("bert").eval()
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = logits_of(model, model, batch_of("bert")), model(**batch_of("bert")).logits
        found.sum().backward()
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)


def test_attention_by_hand():
    query, key = torch.tensor([[0.0], [0.0], [0.0]]), torch.tensor([[1.0], [5.0], [2.0]])
    value = torch.tensor([[1.0], [3.0], [7.0]])
    assert attention(query, key, value, [(1, 2), (1, 1)], 1, 0.0).tolist() == [[2.0], [2.0], [7.0]]
    assert attention(query[:2], key, value, [(1, 2), (1, 1)], 1, 0.0).tolist() == [[2.0], [7.0]]


def test_attention_drops_probabilities_in_both_passes():
    torch.manual_seed(2)
    query = torch.zeros(400, 1)
    key, value = torch.zeros(400, 1), torch.ones(400, 1, requires_grad=True)
    found = attention(query, key, value, [(200, 2)], 1, 0.5)
    assert set(found.flatten().tolist()) == {0.0, 1.0, 2.0}  # 2, 1 or none of two probabilities of 1/2 are kept
    found.sum().backward()
    assert set(value.grad.flatten().tolist()) == {0.0, 1.0, 2.0}
    assert value.grad.sum() == found.sum()


def test_the_tokens_of_the_examples_follow_each_other_longest_first():
    packed = Packed.of(model_of("bert"), batch_of("bert", (2, 3, 2)))
    ids = batch_of("bert", (2, 3, 2))["input_ids"]
    assert packed.inputs["input_ids"].tolist() == [[*ids[1].tolist(), *ids[0, :2].tolist(), *ids[2, :2].tolist()]]
    assert packed.inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1, 0, 1]]
    assert packed.groups == [(1, 3), (2, 2)]
    assert packed.firsts.tolist() == [0, 3, 5]
    assert packed.places.tolist() == [1, 0, 2]


def test_roberta_counts_positions_from_the_one_after_the_padding_token():
    packed = Packed.of(model_of("roberta"), batch_of("roberta", (2, 3)))
    assert packed.inputs["position_ids"].tolist() == [[2, 3, 4, 2, 3]]


@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward"])
def test_a_model_with_hooks_inside_runs_padded(kind):
    model = model_of("bert")
    query = model.bert.encoder.layer[0].attention.self.query
    shapes = []
    handle = getattr(query, f"register_{kind}_hook")(lambda _module, inputs, *_: shapes.append(inputs[0].shape))
    logits_of(model, model, batch_of("bert")).sum().backward()
    assert [shape[:2] for shape in shapes] == [(5, 7)]
    handle.remove()
    assert Packed.of(model, batch_of("bert")) is not None


class Derived(BertForSequenceClassification):
    """May have another forward pass."""


def padded_on_the_left():
    return {name: value.flip(1) for name, value in batch_of("bert").items()}


@pytest.mark.parametrize(
    ("model", "batch"),
    [
        (lambda: Derived(bert().config), lambda: batch_of("bert")),
        (lambda: bert(output_hidden_states=True), lambda: batch_of("bert")),
        (lambda: bert(is_decoder=True), lambda: batch_of("bert")),
        (lambda: bert(chunk_size_feed_forward=7), lambda: batch_of("bert")),
        (bert, padded_on_the_left),
        (bert, lambda: {"input_ids": batch_of("bert")["input_ids"]}),
        (bert, lambda: batch_of("bert") | {"position_ids": torch.arange(7).expand(5, 7)}),
    ],
    ids=["derived", "hidden states", "decoder", "chunks", "left", "no attention mask", "further inputs"],
)
def test_what_runs_padded(model, batch):
    torch.manual_seed(3)
    made, given = model().eval(), batch()
    assert Packed.of(made, given) is None
    with torch.inference_mode():
        assert torch.equal(logits_of(made, made, given), made(**given).logits)


@every_family
def test_nothing_of_it_stays_in_the_model(family):
    model = model_of(family).train()
    before = [dict(vars(module)) for module in model.modules()]
    logits_of(model, model, batch_of(family))
    assert [vars(module).keys() for module in model.modules()] == [each.keys() for each in before]


@every_family
def test_equal_states_of_the_generator_give_equal_bits(family):
    model = model_of(family).train()
    torch.manual_seed(1)
    one, other = (logits_of(model, model, batch_of(family)) for _ in range(2))
    torch.manual_seed(1)
    assert torch.equal(logits_of(model, model, batch_of(family)), one)
    assert not torch.equal(one, other)


class TestDropout:
    def test_it_drops_a_share_and_scales_the_others(self):
        torch.manual_seed(1)
        found = dropout(torch.full((100_000,), 3.0), 0.25)
        assert set(found.tolist()) == {0.0, 4.0}
        assert (found == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)

    @pytest.mark.parametrize(("rate", "expected"), [(0.0, 2.0), (1.0, 0.0)])
    def test_rates_at_the_ends(self, rate, expected):
        assert dropout(torch.full((50,), 2.0), rate).tolist() == [expected] * 50

    def test_the_gradient_is_that_of_the_kept_values(self):
        values = torch.ones(1000, requires_grad=True)
        found = dropout(values, 0.5)
        found.sum().backward()
        assert torch.equal(values.grad, found.detach())

    def test_bf16(self):
        found = dropout(torch.ones(1000, dtype=torch.bfloat16), 0.5)
        assert found.dtype == torch.bfloat16
        assert set(found.tolist()) == {0.0, 2.0}

    def test_only_modules_in_training_use_it(self):
        module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5), torch.nn.Dropout(0.5).eval())
        with fast_dropout(module):
            assert ["forward" in vars(each) for each in module] == [False, True, False]
        assert not any("forward" in vars(each) for each in module)
