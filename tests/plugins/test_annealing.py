"""Annealing of the bias in the losses that have one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from any_batches import BIASED, for_batches, inputs, make
from pydantic import ValidationError


class TestAnnealing:
    @pytest.mark.parametrize("name", BIASED)
    @pytest.mark.parametrize(("progress", "theta"), [(0.0, 0.8), (0.25, 0.7), (0.5, 0.6), (1.0, 0.4)])
    def test_the_bias_is_raised_to_theta_and_normalised(self, name, progress, theta):
        main, bias, teacher = np.random.default_rng(1).dirichlet(np.ones(3), size=(3, 5))
        labels = [0, 1, 2, 2, 1]
        powered = bias**theta / (bias**theta).sum(1, keepdims=True)
        expected = make(name).loss(inputs(main, labels, powered, teacher))
        got = make(name, theta_max=0.8, theta_min=0.4).loss(inputs(main, labels, bias, teacher, progress))
        assert got.item() == pytest.approx(expected.item(), abs=1e-9)

    @pytest.mark.parametrize(
        ("progress", "weight"),
        # p_b = (0.8, 0.2): θ = 1 leaves it, θ = 1/2 gives (2/3, 1/3), θ = 0 gives (1/2, 1/2)
        [(0.0, 1 / 5), (0.5, 1 / 3), (1.0, 1 / 2)],
    )
    def test_by_hand(self, progress, weight):
        batch = inputs([[1 / 2, 1 / 2]], [0], [[0.8, 0.2]], progress=progress)
        loss = make("reweight", theta_max=1.0, theta_min=0.0).loss(batch)
        assert loss.item() == pytest.approx(weight * math.log(2), abs=1e-6)

    @pytest.mark.parametrize("name", BIASED)
    def test_at_theta_1_the_bits_are_those_of_no_annealing(self, name):
        main, bias, teacher = np.random.default_rng(2).dirichlet(np.ones(3), size=(3, 64))
        late = inputs(main, np.arange(64) % 3, bias * 1.0001, teacher, progress=0.377)  # not quite normalised
        begun = replace(late, progress=0.0)
        plain = make(name).loss(begun)
        assert torch.equal(make(name).loss(late), plain)
        assert torch.equal(make(name, theta_max=1.0, theta_min=0.1).loss(begun), plain)

    @for_batches()
    def test_at_theta_0_the_product_is_the_main_model(self, batch):
        loss = make("poe", theta_max=0.0, theta_min=0.0).loss(batch)
        assert loss.item() == pytest.approx(make("std").loss(batch).item(), rel=1e-9, abs=1e-9)

    @pytest.mark.parametrize("name", BIASED)
    def test_theta_does_not_rise(self, name):
        expected = r"a theta_min of at most theta_max \(0.5\), got 0.75"
        with pytest.raises(ValidationError, match=expected):
            make(name, theta_max=0.5, theta_min=0.75)

    @pytest.mark.parametrize("name", BIASED)
    @pytest.mark.parametrize("options", [{"theta_max": 1.01}, {"theta_min": -0.01}, {"theta_max": "1"}])
    def test_theta_is_a_number_from_0_to_1(self, name, options):
        with pytest.raises(ValidationError) as refused:
            make(name, **options)
        assert [each["loc"] for each in refused.value.errors()] == [tuple(options)]
