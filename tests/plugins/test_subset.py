"""A random subset of the training examples."""

from __future__ import annotations

from collections import Counter

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srf_datasets.subset import subset
from srframework import Split


def split_of(size: int) -> Split:
    columns = {"text_a": [f"t{i}" for i in range(size)], "label": [0] * size, "id": list(range(size))}
    return Split("train", datasets.Dataset.from_dict(columns), ("no", "yes"), (1, 0))


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32))
def test_it_has_as_many_examples_as_asked_for_each_once_in_their_order(total, size, seed):
    notes: list[str] = []
    drawn = subset(split_of(total), size, seed, notes)
    ids = drawn.examples["id"][:]
    assert len(ids) == min(size, total)
    assert ids == sorted(set(ids))
    assert drawn.examples["text_a"][:] == [f"t{i}" for i in ids]
    assert (drawn.name, drawn.labels, drawn.collapse) == ("train", ("no", "yes"), (1, 0))
    expected = f"train: {size} of {total} examples, drawn at random (max_train)"
    assert notes == ([expected] if size < total else [])


@pytest.mark.parametrize("size", [None, 5, 6])
def test_a_split_that_is_small_enough_is_left_as_it_is(size):
    split = split_of(5)
    assert subset(split, size, 1, []) is split


def test_the_seed_decides_which_are_drawn():
    draws = [tuple(subset(split_of(100), 10, seed, []).examples["id"][:]) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_every_example_is_as_likely_as_any_other():
    counts = Counter(i for seed in range(400) for i in subset(split_of(8), 4, seed, []).examples["id"][:])
    assert set(counts) == set(range(8))
    assert all(150 < count < 250 for count in counts.values())  # of 400, expected 200, deviation 10
