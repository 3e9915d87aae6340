"""The losses against literals worked out by hand, and against their formulas in numpy and scikit-learn; float64."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from any_batches import COMPONENTS, HIDDEN, LOSS_COMPONENTS, LOSSES, for_batches, gradient, inputs, make, with_logs
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import log_loss

from srframework import LossInputs
from srframework.training.optimization import own_parameters


def rows(batch: LossInputs) -> tuple[np.ndarray, ...]:
    """p_m, p_b, p_t, ``(B, C)``, and one-hot y, of which the formulas are made."""
    known = (batch.logits, batch.bias_log_probs, batch.teacher_log_probs)
    return (*(np.exp(each.numpy()) for each in known), np.eye(batch.logits.shape[1])[batch.labels.numpy()])


def formula_std(main, bias, teacher, y):
    return -(y * np.log(main)).sum(1)


def formula_poe(main, bias, teacher, y):
    return -(y * np.log(main * bias / (main * bias).sum(1, keepdims=True))).sum(1)


def formula_reweight(main, bias, teacher, y):
    return -(1 - (y * bias).sum(1)) * (y * np.log(main)).sum(1)


def formula_confreg(main, bias, teacher, y):
    powered = teacher ** (1 - (y * bias).sum(1, keepdims=True))
    return -(powered / powered.sum(1, keepdims=True) * np.log(main)).sum(1)


def formula_focal(main, bias, teacher, y):
    p = (y * main).sum(1)
    return -((1 - p) ** 2) * np.log(p)


FORMULAS = {
    "std": formula_std,
    "poe": formula_poe,
    "reweight": formula_reweight,
    "confreg": formula_confreg,
    "focal": formula_focal,
}


class TestEvery:
    @pytest.mark.parametrize("name", FORMULAS)
    @for_batches()
    def test_it_is_the_mean_of_its_formula(self, name, batch):
        expected = FORMULAS[name](*rows(batch)).mean()
        assert make(name).loss(batch).item() == pytest.approx(expected, rel=1e-6, abs=1e-6)

    @pytest.mark.parametrize("name", LOSSES)
    @for_batches(shift=st.floats(-5, 5))
    def test_a_constant_added_to_the_logits_changes_nothing(self, name, batch, shift):
        debiaser, shifted = make(name), replace(batch, logits=batch.logits + shift)
        assert debiaser.loss(shifted).item() == pytest.approx(debiaser.loss(batch).item(), rel=1e-6, abs=1e-6)

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            *((name, {}) for name in LOSSES),
            ("reweight", {"normalise": True}),
            ("focal", {"gamma": 0.5}),
            ("learned-mixin", {"entropy": 0.3}),
            ("poe", {"theta_max": 0.7, "theta_min": 0.2}),
        ],
    )
    def test_its_gradient_is_that_of_finite_differences(self, name, options):
        main, bias, teacher = np.random.default_rng(0).dirichlet(np.ones(3), size=(3, 4))
        batch, debiaser = inputs(main, [0, 2, 1, 2], bias, teacher, progress=0.5), make(name, **options)
        logits = batch.logits.requires_grad_()
        assert torch.autograd.gradcheck(lambda each: debiaser.loss(replace(batch, logits=each)), logits)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("log_beta", [0.0, -1e-7, -30.0])
    @pytest.mark.parametrize("logit", [0.0, 100.0, -100.0, 1e4, -1e4])
    @pytest.mark.parametrize(
        ("name", "options"),
        [
            *((name, {}) for name in LOSSES),
            ("reweight", {"normalise": True}),
            ("focal", {"gamma": 0.5}),
            ("learned-mixin", {"entropy": 1.0}),
            ("confreg", {"theta_min": 0.0}),
        ],
    )
    def test_value_and_gradient_are_finite_at_the_extremes(self, name, options, logit, log_beta, dtype):
        beta = torch.tensor([[log_beta, -30.0, -30.0], [-30.0, log_beta, -30.0]], dtype=dtype)
        teacher = torch.tensor([[-30.0, 0.0, -30.0], [-torch.inf, -torch.inf, 0.0]], dtype=dtype)
        logits = torch.tensor([[logit, 0.0, 0.0], [0.0, logit, 0.0]], dtype=dtype)
        hidden = torch.full((2, HIDDEN), 50.0, dtype=dtype)
        batch, debiaser = with_logs(logits, torch.tensor([0, 1]), beta, teacher, hidden), make(name, **options)
        assert torch.isfinite(debiaser.loss(batch))
        assert torch.isfinite(gradient(debiaser, batch)).all()
        assert all(torch.isfinite(each.grad).all() for each in own_parameters(debiaser))

    @pytest.mark.parametrize("name", LOSSES)
    def test_a_batch_of_one_is_a_batch(self, name):
        batch = inputs([[0.5, 0.5]], [1], [[0.5, 0.5]], [[0.5, 0.5]])
        both = inputs([[0.5, 0.5]] * 2, [1, 1], [[0.5, 0.5]] * 2, [[0.5, 0.5]] * 2)
        debiaser = make(name)
        assert debiaser.loss(batch).shape == ()
        assert debiaser.loss(batch).item() == pytest.approx(debiaser.loss(both).item(), abs=1e-12)

    @pytest.mark.parametrize("name", ["std", "focal"])
    def test_a_bias_changes_nothing_where_none_is_wanted(self, name):
        batch, debiaser = inputs([[0.3, 0.7]], [0], [[0.9, 0.1]]), make(name)
        assert torch.equal(debiaser.loss(batch), debiaser.loss(replace(batch, bias_log_probs=None)))

    @pytest.mark.parametrize("name", [name for name in LOSSES if name != "learned-mixin"])
    def test_only_the_learned_mixin_has_parameters(self, name):
        assert own_parameters(make(name)) == []


class TestStandard:
    @pytest.mark.parametrize(
        ("main", "labels", "expected"),
        [
            ([[1 / 3, 1 / 3, 1 / 3]], [1], math.log(3)),
            ([[2 / 3, 1 / 3]], [0], math.log(3 / 2)),
            ([[2 / 3, 1 / 3], [1 / 2, 1 / 2]], [1, 1], (math.log(3) + math.log(2)) / 2),
        ],
    )
    def test_by_hand(self, main, labels, expected):
        assert make("std").loss(inputs(main, labels)).item() == pytest.approx(expected, abs=1e-6)


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
        loss = make("poe").loss(inputs([main], [label], [bias]))
        assert loss.item() == pytest.approx(-math.log(product), abs=1e-6)

    @for_batches()
    def test_a_uniform_bias_gives_the_standard_loss_and_its_gradient(self, batch):
        uniform = replace(batch, bias_log_probs=torch.full_like(batch.logits, -math.log(batch.logits.shape[1])))
        assert make("poe").loss(uniform).item() == pytest.approx(make("std").loss(batch).item(), rel=1e-9, abs=1e-9)
        torch.testing.assert_close(gradient(make("poe"), uniform), gradient(make("std"), batch), rtol=1e-9, atol=1e-9)

    def test_its_gradient_is_the_product_less_the_truth(self):
        batch = inputs([[2 / 3, 1 / 3], [1 / 2, 1 / 2]], [0, 0], [[1 / 4, 3 / 4], [9 / 10, 1 / 10]])
        expected = torch.tensor([[0.4 - 1, 0.6], [0.9 - 1, 0.1]], dtype=torch.float64) / 2
        torch.testing.assert_close(gradient(make("poe"), batch), expected, rtol=0, atol=1e-6)


class TestReweight:
    @pytest.mark.parametrize(
        ("main", "labels", "bias", "plain", "normalised"),
        [
            ([[1 / 2, 1 / 2]], [0], [[3 / 4, 1 / 4]], math.log(2) / 4, math.log(2)),
            (
                [[1 / 2, 1 / 2], [1 / 8, 7 / 8]],
                [0, 0],
                [[3 / 4, 1 / 4], [1 / 4, 3 / 4]],
                (1 / 4 * math.log(2) + 3 / 4 * math.log(8)) / 2,
                1 / 4 * math.log(2) + 3 / 4 * math.log(8),
            ),
            ([[1 / 4, 1 / 2, 1 / 4]], [2], [[0.2, 0.3, 0.5]], math.log(4) / 2, math.log(4)),
        ],
    )
    def test_by_hand(self, main, labels, bias, plain, normalised):
        batch = inputs(main, labels, bias)
        assert make("reweight").loss(batch).item() == pytest.approx(plain, abs=1e-6)
        assert make("reweight", normalise=True).loss(batch).item() == pytest.approx(normalised, abs=1e-6)

    @for_batches()
    def test_normalised_it_is_scikit_learns_weighted_log_loss(self, batch):
        main, bias, _, y = rows(batch)
        labels = batch.labels.numpy()
        weights = 1 - (y * bias).sum(1)
        expected = log_loss(labels, main, sample_weight=weights, labels=range(main.shape[1]))
        assert make("reweight", normalise=True).loss(batch).item() == pytest.approx(expected, rel=1e-6, abs=1e-6)

    def test_its_gradient_is_the_weighted_standard_one(self):
        batch = inputs([[2 / 3, 1 / 3], [1 / 4, 3 / 4]], [0, 0], [[0.9, 0.1], [0.2, 0.8]])
        plain = torch.tensor([[-0.1 / 3, 0.1 / 3], [-0.6, 0.6]], dtype=torch.float64) / 2
        torch.testing.assert_close(gradient(make("reweight"), batch), plain, rtol=0, atol=1e-6)
        normalised = plain * 2 / 0.9
        torch.testing.assert_close(gradient(make("reweight", normalise=True), batch), normalised, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("normalise", [False, True])
    def test_a_batch_that_the_bias_knows_altogether_teaches_nothing(self, normalise):
        batch = inputs([[0.5, 0.5], [0.1, 0.9]], [0, 1], [[1.0, 0.0], [0.0, 1.0]])
        debiaser = make("reweight", normalise=normalise)
        assert debiaser.loss(batch).item() == 0
        assert torch.equal(gradient(debiaser, batch), torch.zeros(2, 2, dtype=torch.float64))

    def test_a_log_probability_that_rounding_left_above_0_is_no_negative_weight(self):
        batch = replace(inputs([[0.5, 0.5]], [0]), bias_log_probs=torch.tensor([[1e-8, -20.0]], dtype=torch.float64))
        assert make("reweight").loss(batch).item() == 0

    def test_a_weight_near_0_keeps_its_digits_in_single_precision(self):
        bias = torch.tensor([[-1e-8, -18.4]])
        batch = with_logs(torch.zeros(1, 2), torch.tensor([0]), bias, None, None)
        assert make("reweight").loss(batch).item() == pytest.approx(1e-8 * math.log(2), rel=1e-6)


class TestConfidenceRegularisation:
    @pytest.mark.parametrize(
        ("teacher", "bias", "label", "target"),
        [
            ([0.2, 0.8], [0.5, 0.5], 0, [1 / 3, 2 / 3]),
            ([0.2, 0.8], [1.0, 0.0], 0, [1 / 2, 1 / 2]),
            ([0.2, 0.8], [0.0, 1.0], 0, [0.2, 0.8]),
            ([16 / 26, 9 / 26, 1 / 26], [0.2, 0.5, 0.3], 1, [4 / 8, 3 / 8, 1 / 8]),
            ([0.0, 1.0], [0.5, 0.5], 0, [0.0, 1.0]),
            ([0.0, 1.0], [1.0, 0.0], 0, [1 / 2, 1 / 2]),  # 0⁰ = 1
        ],
        ids=["a half", "β = 1", "β = 0", "three labels", "sure", "sure, β = 1"],
    )
    def test_by_hand(self, teacher, bias, label, target):
        main = [1 / 4, 3 / 4] if len(teacher) == 2 else [1 / 2, 1 / 4, 1 / 4]
        bias = [max(p, 1e-13) for p in bias]
        expected = -sum(share * math.log(p) for share, p in zip(target, main, strict=True))
        loss = make("confreg").loss(inputs([main], [label], [bias], [teacher]))
        assert loss.item() == pytest.approx(expected, abs=1e-6)

    @for_batches()
    def test_without_bias_it_distils_the_teacher(self, batch):
        wrong = torch.zeros_like(batch.logits).scatter(1, batch.labels[:, None], -30.0)
        main, _, teacher, _ = rows(batch)
        expected = (scipy.stats.entropy(teacher, main, axis=1) + scipy.stats.entropy(teacher, axis=1)).mean()
        loss = make("confreg").loss(replace(batch, bias_log_probs=wrong))
        assert loss.item() == pytest.approx(expected, rel=1e-6, abs=1e-6)

    def test_its_gradient_is_the_prediction_less_the_softened_teacher(self):
        batch = inputs([[1 / 4, 3 / 4]], [0], [[1 / 2, 1 / 2]], [[0.2, 0.8]])
        expected = torch.tensor([[1 / 4 - 1 / 3, 3 / 4 - 2 / 3]], dtype=torch.float64)
        torch.testing.assert_close(gradient(make("confreg"), batch), expected, rtol=0, atol=1e-6)

    def test_it_cannot_do_without_a_teacher(self):
        with pytest.raises(ValidationError, match="teacher"):
            COMPONENTS["confreg"].options()


class TestFocal:
    @pytest.mark.parametrize(
        ("gamma", "p", "expected"),
        [
            (2.0, 1 / 2, math.log(2) / 4),
            (2.0, 0.9, -0.01 * math.log(0.9)),
            (1.0, 1 / 4, 3 / 4 * math.log(4)),
            (0.5, 3 / 4, 0.5 * math.log(4 / 3)),
            (0.0, 1 / 4, math.log(4)),
        ],
    )
    def test_by_hand(self, gamma, p, expected):
        loss = make("focal", gamma=gamma).loss(inputs([[p, 1 - p], [p, 1 - p]], [0, 0]))
        assert loss.item() == pytest.approx(expected, abs=1e-6)

    @for_batches()
    def test_with_gamma_0_it_is_the_standard_loss_with_its_gradient(self, batch):
        assert make("focal", gamma=0.0).loss(batch).item() == pytest.approx(make("std").loss(batch).item(), abs=1e-9)
        torch.testing.assert_close(
            gradient(make("focal", gamma=0.0), batch), gradient(make("std"), batch), rtol=1e-9, atol=1e-9
        )

    @pytest.mark.parametrize("gamma", [-0.1, float("inf"), float("nan")])
    def test_a_gamma_out_of_range_is_refused(self, gamma):
        with pytest.raises(ValidationError, match="gamma"):
            COMPONENTS["focal"].options(gamma=gamma)


OF_GROUPS = ("group-dro", "jtt")
"""These are tested in test_group_losses.py."""


class TestRegistration:
    @pytest.mark.parametrize(
        ("name", "kind", "requires"),
        [
            ("std", "Standard", ()),
            ("poe", "ProductOfExperts", ("bias",)),
            ("reweight", "Reweight", ("bias",)),
            ("confreg", "ConfidenceRegularisation", ("bias", "predictions")),
            ("learned-mixin", "LearnedMixin", ("bias",)),
            ("focal", "Focal", ()),
            ("bias-logistic", "LogisticBias", ("spurious-features",)),
            ("bias-file", "FileBias", ()),
        ],
    )
    def test_each_says_what_it_needs_and_can_be_built(self, tmp_path, name, kind, requires):
        (tmp_path / "bias.json").write_text("[]")
        needed = {"confreg": {"teacher": "full"}, "bias-file": {"path": str(tmp_path / "bias.json")}}
        component = COMPONENTS[name]
        options = component.options(**needed.get(name, {}))
        assert (component.required(options), component.provided(options)) == (requires, ())
        assert type(component.build(options)).__name__ == kind

    def test_there_are_no_others(self):
        assert sorted(LOSS_COMPONENTS) == sorted([*LOSSES, *OF_GROUPS])
        assert sorted(set(COMPONENTS) - {*LOSSES, *OF_GROUPS}) == ["bias-file", "bias-logistic"]

    def test_no_option_is_taken_silently(self):
        with pytest.raises(ValueError, match="temperature"):
            COMPONENTS["poe"].options(temperature=2.0)
