"""The options of mask training, and the sparsity that it has at each step."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_mask_training import attached, by_magnitude, set_scores, small_network
from torch import nn

from srf_pruners.mask_options import MaskOptions
from srframework import Mask, Network


class TestOptions:
    def test_the_defaults_are_the_papers(self):
        options = MaskOptions()
        assert (options.phi, options.alpha, options.classifier, options.pooler) == (0.01, 2.0, True, False)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("sparsity", 1.0),
            ("sparsity", -0.1),
            ("sparsity", 70.0),
            ("sparsity", float("nan")),
            ("sparsity", "0.7"),
            ("phi", 0.0),
            ("alpha", 1.0),
            ("init", "medium"),
            ("schedule", "linear"),
            ("scope", "layer"),
            ("initial_sparsity", -0.1),
            ("initial_sparsity", 1.0),
            ("refresh_every", 0),
            ("refresh_every", 1.5),
            ("sparsty", 0.5),
        ],
    )
    def test_values_out_of_range_and_unknown_keys_are_refused(self, key, value):
        with pytest.raises(ValidationError) as refused:
            MaskOptions(**{key: value})
        assert [error["loc"] for error in refused.value.errors()] == [(key,)]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"initial_sparsity": 0.0}, r'no initial_sparsity with schedule = "fixed" \(only "cubic" has one\), got 0'),
            (
                {"schedule": "cubic", "sparsity": 0.9},
                r'with schedule = "cubic" an initial_sparsity in \[0, 0.9\], got none',
            ),
            (
                {"schedule": "cubic", "initial_sparsity": 0.8},
                r"an initial_sparsity of at most sparsity \(0.7\), got 0.8",
            ),
        ],
    )
    def test_a_schedule_and_its_beginning_must_fit(self, options, message):
        with pytest.raises(ValidationError, match=message):
            MaskOptions(**options)


class TestSchedule:
    @pytest.mark.parametrize(
        ("step", "expected"),
        [(0, 0.2), (1, 0.9 - 0.7 * 0.729), (5, 0.9 - 0.7 / 8), (9, 0.9 - 0.7 / 1000), (10, 0.9), (11, 0.9)],
    )
    def test_the_sparsity_rises_by_the_cube_of_what_is_left(self, step, expected):
        options = MaskOptions(sparsity=0.9, schedule="cubic", initial_sparsity=0.2)
        assert options.sparsity_at(step, 10) == pytest.approx(expected, abs=1e-12)

    @given(sparsities=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)).map(sorted), total=st.integers(1, 60))
    def test_it_never_falls_and_begins_and_ends_exactly(self, sparsities, total):
        begin, end = sparsities
        options = MaskOptions(sparsity=end, schedule="cubic", initial_sparsity=begin)
        course = [options.sparsity_at(step, total) for step in range(total + 1)]
        assert course == sorted(course)
        assert (course[0], course[-1]) == (begin, end)

    @pytest.mark.parametrize("step", [0, 3, 10])
    def test_a_fixed_one_is_the_same_all_along(self, step):
        assert MaskOptions(sparsity=0.3).sparsity_at(step, 10) == 0.3

    def test_a_stage_without_steps_is_at_its_end(self):
        assert MaskOptions(sparsity=0.9, schedule="cubic", initial_sparsity=0.2).sparsity_at(0, 0) == 0.9

    @pytest.mark.parametrize("init", ["hard", "soft"])
    @pytest.mark.parametrize("scope", ["local", "global"])
    def test_the_mask_follows_it(self, init, scope):
        network = small_network()
        magnitudes = {name: weight.detach().clone() for name, weight in network.matrices().items()}
        pruner = attached(
            network, sparsity=0.9, schedule="cubic", initial_sparsity=0.2, init=init, scope=scope, pooler=True
        )
        for step in range(11):
            if step:
                pruner.update_mask(step)
            sparsity = 0.9 - 0.7 * (1 - step / 10) ** 3
            assert pruner.masks() == Mask(by_magnitude(magnitudes, sparsity, scope))

    def test_the_mask_of_the_last_step_is_there_at_any_step_and_can_be_undone(self):
        network = Network(nn.Sequential(nn.Linear(4, 2)), None, {"0": "encoder"})
        pruner = attached(network, sparsity=0.75, schedule="cubic", initial_sparsity=0.25, init="soft")
        set_scores(pruner, [torch.tensor([[5.0, 1.0, 4.0, 2.0], [3.0, 8.0, 7.0, 6.0]])])
        pruner.update_mask(5)  # 0.75 - 0.5 / 8 = 0.6875 of 8 entries: 5.5, to the even number 6
        assert pruner.masks()["0"].int().tolist() == [[0, 0, 0, 0], [0, 1, 1, 0]]
        pruner.update_mask(1)  # 0.75 - 0.5 * 0.729 = 0.3855 of 8: 3
        before, state = pruner.masks(), pruner.state()
        assert before["0"].int().tolist() == [[1, 0, 1, 0], [0, 1, 1, 1]]
        pruner.update_mask(10)  # 0.75 of 8: 6
        assert pruner.masks()["0"].int().tolist() == [[0, 0, 0, 0], [0, 1, 1, 0]]
        pruner.restore(state)
        assert pruner.masks() == before
