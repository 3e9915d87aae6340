"""The options that pruners share, and the gradual schedule."""

from __future__ import annotations

import pytest

from srframework import PruneOptions, cubic_sparsity


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.1), (1, 0.9 - 0.8 * 27 / 64), (2, 0.8), (3, 0.8875), (4, 0.9), (100, 0.9)]
)
def test_the_schedule_follows_its_formula(step, expected):
    assert cubic_sparsity(0.1, 0.9, step, 4) == pytest.approx(expected, abs=1e-12)


def test_the_ends_of_the_schedule_are_exact():
    assert cubic_sparsity(0.1, 0.3, 0, 7) == 0.1
    assert cubic_sparsity(0.1, 0.3, 7, 7) == cubic_sparsity(0.1, 0.3, 0, 0) == 0.3


def test_the_schedule_never_decreases():
    course = [cubic_sparsity(0.7, 0.9, step, 997) for step in range(1000)]
    assert course == sorted(course)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.5, 0.4, 1, 2), "expected 0 <= initial <= final < 1, got initial 0.5 and final 0.4"),
        ((0.0, 1.0, 1, 2), "got initial 0.0 and final 1.0"),
        ((-0.1, 0.4, 1, 2), "got initial -0.1"),
        ((0.0, 0.4, -1, 2), "expected a step of at least 0, got -1"),
    ],
)
def test_impossible_schedules_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        cubic_sparsity(*values)


def test_the_options_name_the_parts():
    assert PruneOptions().parts() == {"encoder", "classifier"}
    assert PruneOptions(classifier=False, pooler=True).parts() == {"encoder", "pooler"}
