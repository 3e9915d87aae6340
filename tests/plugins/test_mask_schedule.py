"""The options of mask training, and the sparsity that it has at each step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_mask_training import attached, by_magnitude, small_network
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

    @pytest.mark.parametrize(("scope", "first"), [("local", 7), ("global", 6)])
    def test_it_is_complete_when_as_much_is_pruned_as_ever_will_be(self, scope, first):
        # Locally 11 of 12, 3 of 3, 2 of 2: from a sparsity of 10.5 / 12 on, which is 0.9 - 0.7 * 0.329³.
        # Globally 15 of 17: from 14.5 / 17 on, which is 0.9 - 0.7 * 0.407³.
        pruner = attached(small_network(), sparsity=0.9, schedule="cubic", initial_sparsity=0.2, scope=scope)
        assert [pruner.complete(step) for step in range(11)] == [step >= first for step in range(11)]

    def test_on_a_large_matrix_it_is_complete_at_the_end_alone(self):
        network = Network(nn.Sequential(nn.Linear(100, 100)), None, {"0": "encoder"})
        pruner = attached(network, sparsity=0.9, schedule="cubic", initial_sparsity=0.2)
        assert [pruner.complete(step) for step in range(11)] == [False] * 10 + [True]

    @pytest.mark.parametrize("options", [{}, {"schedule": "cubic", "initial_sparsity": 0.7}])
    def test_a_sparsity_that_does_not_change_is_complete_from_the_start(self, options):
        assert attached(small_network(), **options).complete(0)
