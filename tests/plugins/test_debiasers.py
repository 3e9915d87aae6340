"""The losses against literals worked out by hand, and against their formulas in double precision."""

from __future__ import annotations

import math

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from srf_debiasers import srframework_debiasers
from srf_debiasers.losses import ProductOfExperts, Standard
from srf_debiasers.options import NoOptions
from srframework import LossInputs

STD, POE = Standard(NoOptions()), ProductOfExperts(NoOptions())


def inputs(logits: object, labels: object, bias: object = None) -> LossInputs:
    return LossInputs(
        torch.as_tensor(logits, dtype=torch.float32),
        torch.as_tensor(labels),
        None if bias is None else torch.as_tensor(bias, dtype=torch.float32),
    )


def softmax(values: np.ndarray) -> np.ndarray:
    exponentials = np.exp(values - values.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, labels and bias log-probabilities of up to 6 examples and 4 labels, float32."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(2, 4)))
    logits = draw(arrays.arrays("float32", shape, elements=st.floats(-8, 8, width=32)))
    scores = draw(arrays.arrays("float32", shape, elements=st.floats(-8, 8, width=32)))
    labels = draw(arrays.arrays("int64", shape[0], elements=st.integers(0, shape[1] - 1)))
    return logits, labels, np.log(softmax(scores.astype(np.float64))).astype(np.float32)


class TestStandard:
    @pytest.mark.parametrize(
        ("logits", "labels", "expected"),
        [
            ([[0.0, 0.0, 0.0]], [1], math.log(3)),
            ([[math.log(2), 0.0]], [0], math.log(3 / 2)),
            ([[math.log(2), 0.0]], [1], math.log(3)),
            ([[math.log(2), 0.0], [0.0, 0.0]], [0, 1], (math.log(3 / 2) + math.log(2)) / 2),
            ([[100.0, 0.0]], [0], 0.0),
            ([[100.0, 0.0]], [1], 100.0),
        ],
    )
    def test_by_hand(self, logits, labels, expected):
        assert STD.loss(inputs(logits, labels)).item() == pytest.approx(expected, abs=1e-6)

    @given(batch=batches())
    def test_it_is_the_mean_of_minus_log_p_of_the_true_label(self, batch):
        logits, labels, _ = batch
        probabilities = softmax(logits.astype(np.float64))
        expected = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
        assert STD.loss(inputs(logits, labels)).item() == pytest.approx(expected, rel=1e-6, abs=1e-6)

    def test_a_bias_changes_nothing(self):
        with_bias = inputs([[1.0, 2.0]], [0], [[-0.1, -2.0]])
        assert torch.equal(STD.loss(with_bias), STD.loss(inputs([[1.0, 2.0]], [0])))


class TestProductOfExperts:
    @pytest.mark.parametrize(
        ("main", "bias", "label", "product"),
        [
            ([2 / 3, 1 / 3], [1 / 4, 3 / 4], 0, 2 / 5),
            ([2 / 3, 1 / 3], [1 / 4, 3 / 4], 1, 3 / 5),
            ([1 / 2, 1 / 4, 1 / 4], [1 / 8, 1 / 8, 3 / 4], 0, 2 / 9),
            ([1 / 2, 1 / 4, 1 / 4], [1 / 8, 1 / 8, 3 / 4], 2, 6 / 9),
            ([1 / 3, 1 / 3, 1 / 3], [0.7, 0.2, 0.1], 1, 0.2),
        ],
    )
    def test_by_hand(self, main, bias, label, product):
        loss = POE.loss(inputs(np.log([main]), [label], np.log([bias])))
        assert loss.item() == pytest.approx(-math.log(product), abs=1e-6)

    @given(batch=batches())
    def test_it_is_minus_log_of_the_normalised_product_of_probabilities(self, batch):
        logits, labels, bias = batch
        product = softmax(logits.astype(np.float64)) * np.exp(bias.astype(np.float64))
        product /= product.sum(axis=1, keepdims=True)
        expected = -np.log(product[np.arange(len(labels)), labels]).mean()
        assert POE.loss(inputs(logits, labels, bias)).item() == pytest.approx(expected, rel=1e-6, abs=1e-6)

    @given(batch=batches())
    def test_a_uniform_bias_gives_the_standard_loss(self, batch):
        logits, labels, bias = batch
        uniform = np.full_like(bias, -math.log(bias.shape[1]))
        poe, std = POE.loss(inputs(logits, labels, uniform)), STD.loss(inputs(logits, labels))
        assert poe.item() == pytest.approx(std.item(), rel=1e-6, abs=1e-6)

    @given(batch=batches(), shift=st.floats(-5, 5))
    def test_a_constant_added_to_the_logits_changes_nothing(self, batch, shift):
        logits, labels, bias = batch
        one, other = POE.loss(inputs(logits, labels, bias)), POE.loss(inputs(logits + shift, labels, bias))
        assert one.item() == pytest.approx(other.item(), rel=1e-5, abs=1e-5)

    def test_its_gradient_is_the_product_less_the_truth(self):
        logits = torch.log(torch.tensor([[2 / 3, 1 / 3], [1 / 2, 1 / 2]])).requires_grad_()
        bias = torch.log(torch.tensor([[1 / 4, 3 / 4], [9 / 10, 1 / 10]]))
        POE.loss(LossInputs(logits, torch.tensor([0, 0]), bias)).backward()
        expected = torch.tensor([[0.4 - 1, 0.6], [0.9 - 1, 0.1]]) / 2
        torch.testing.assert_close(logits.grad, expected, rtol=1e-5, atol=1e-6)

    def test_what_the_bias_already_knows_teaches_less_than_what_it_gets_wrong(self):
        logits = torch.zeros(2, 2, requires_grad=True)
        bias = torch.log(torch.tensor([[0.99, 0.01], [0.01, 0.99]]))
        POE.loss(LossInputs(logits, torch.tensor([0, 0]), bias)).backward()
        known, wrong = logits.grad.abs().amax(dim=1).tolist()
        assert known == pytest.approx(0.01 / 2, abs=1e-6)
        assert wrong == pytest.approx(0.99 / 2, abs=1e-6)

    def test_the_bias_gets_no_gradient(self):
        logits, bias = torch.zeros(1, 2, requires_grad=True), torch.log(torch.tensor([[0.3, 0.7]]))
        POE.loss(LossInputs(logits, torch.tensor([0]), bias)).backward()
        assert bias.grad is None


COMPONENTS = {each.name: each for each in srframework_debiasers()}


class TestRegistration:
    @pytest.mark.parametrize(
        ("name", "kind", "requires", "provides"),
        [
            ("std", "Standard", (), ()),
            ("poe", "ProductOfExperts", ("bias",), ()),
            ("bias-logistic", "LogisticBias", ("spurious-features",), ("bias",)),
        ],
    )
    def test_each_says_what_it_needs_and_can_be_built(self, name, kind, requires, provides):
        component = COMPONENTS[name]
        options = component.options()
        assert (component.required(options), component.provided(options)) == (requires, provides)
        assert type(component.build(options)).__name__ == kind

    def test_a_bias_from_a_file_needs_nothing_of_the_data_set(self, tmp_path):
        (tmp_path / "bias.json").write_text("[]")
        component = COMPONENTS["bias-file"]
        options = component.options(path=str(tmp_path / "bias.json"))
        assert (component.required(options), component.provided(options)) == ((), ("bias",))
        assert type(component.build(options)).__name__ == "FileBias"

    def test_no_option_is_taken_silently(self):
        with pytest.raises(ValueError, match="temperature"):
            COMPONENTS["poe"].options(temperature=2.0)
