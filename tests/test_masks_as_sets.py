"""Union, intersection, difference and overlap of masks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays

from srframework.masks import Mask


def mask(**matrices: list[list[int]]) -> Mask:
    return Mask({name: torch.tensor(rows, dtype=torch.bool) for name, rows in matrices.items()})


A = mask(m=[[1, 1, 0, 0]], n=[[1], [0]])
B = mask(m=[[1, 0, 1, 0]], n=[[1], [1]])


def test_the_operations_are_those_of_sets_of_kept_entries():
    either, both, only_a, only_b = A | B, A & B, A - B, B - A
    assert either == mask(m=[[1, 1, 1, 0]], n=[[1], [1]])
    assert both == mask(m=[[1, 0, 0, 0]], n=[[1], [0]])
    assert only_a == mask(m=[[0, 1, 0, 0]], n=[[0], [0]])
    assert only_b == mask(m=[[0, 0, 1, 0]], n=[[0], [1]])


def test_the_overlap_is_the_share_that_the_other_keeps_too():
    assert A.overlap(B) == pytest.approx(2 / 3)
    assert B.overlap(A) == pytest.approx(2 / 4)
    assert A.agreement(B) == pytest.approx(2 / 5)
    assert (A - A).overlap(B) == 1.0


def test_each_matrix_by_itself():
    others = B.by_matrix()
    assert {name: each.overlap(others[name]) for name, each in A.by_matrix().items()} == {"m": 0.5, "n": 1.0}
    assert {name: each.sparsity for name, each in A.by_matrix().items()} == {"m": 0.5, "n": 0.5}


@given(arrays(bool, (3, 4)), arrays(bool, (3, 4)))
def test_the_laws_of_sets(first, second):
    a, b = Mask({"m": torch.from_numpy(first)}), Mask({"m": torch.from_numpy(second)})
    assert (a | b) - b == a - b
    assert (a - b) | (a & b) == a
    assert not len({*a, *b} - {"m"})
    kept = a.entries - a.pruned
    assert a.overlap(b) * kept == pytest.approx((a & b).entries - (a & b).pruned) if kept else a.overlap(b) == 1.0


@pytest.mark.parametrize("operation", ["__or__", "__and__", "__sub__", "overlap"])
def test_masks_of_different_matrices_are_an_error(operation):
    with pytest.raises(ValueError, match="only one of them has 'n'"):
        getattr(A, operation)(mask(m=[[1, 0, 1, 0]]))
    with pytest.raises(ValueError, match=r"masks of 'm': expected \(1, 4\), got \(1, 2\)"):
        getattr(A, operation)(mask(m=[[1, 0]], n=[[1], [1]]))
