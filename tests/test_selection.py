"""The lowest entries of several tensors, against a sorted list of all of them."""

from __future__ import annotations

import math

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from srframework import selection
from srframework.scores import keep_highest
from srframework.selection import border_of_lowest, mark_lowest, mark_lowest_of

SMALLEST = 2.0**-149
"""The smallest denormal number of float32."""

FEW = st.sampled_from([-math.inf, -1.0, -SMALLEST, -0.0, 0.0, SMALLEST, 1.0, math.inf])
PARTS = st.lists(
    arrays.arrays(
        "float32",
        arrays.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=6),
        elements=st.one_of(FEW, st.floats(width=32, allow_nan=False)),
    ).map(torch.from_numpy),
    min_size=1,
    max_size=3,
)


@st.composite
def large(draw: st.DrawFn) -> list[Tensor]:
    """One to three parts, large enough for a sample: random, rounded to few values, or in order."""
    random = np.random.default_rng(draw(st.integers(0, 99)))
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        values = random.standard_normal((draw(st.integers(1, 60)), 97)).astype("float32")
        digits = draw(st.sampled_from([0, 1, 8]))
        if draw(st.booleans()):
            values = np.sort(values.reshape(-1)).reshape(values.shape)
        parts.append(torch.from_numpy(values.round(digits)))
    return parts


def as_list(parts: list[Tensor]) -> list[float]:
    return [value for part in parts for value in part.flatten().tolist()]


def expected(parts: list[Tensor], count: int, keys: list[Tensor] | None = None) -> set[int]:
    """The positions of the lowest; among equals those with the lower key, then the later."""
    values, tie_breaks = as_list(parts), as_list(keys or parts)
    return set(sorted(range(len(values)), key=lambda index: (values[index], tie_breaks[index], -index))[:count])


def marked(parts: list[Tensor], count: int, keys: list[Tensor] | None = None) -> set[int]:
    found = mark_lowest_of(parts, count, keys)
    assert [each.shape for each in found] == [part.shape for part in parts]
    return {index for index, value in enumerate(as_list(found)) if value}


def count_of(share: float, parts: list[Tensor]) -> int:
    return round(share * sum(part.numel() for part in parts))


@given(parts=st.one_of(PARTS, large()), share=st.floats(0, 1))
def test_the_border_is_between_two_neighbours_in_the_sorted_list(parts, share):
    count = count_of(share, parts)
    ordered = [-math.inf, *sorted(as_list(parts)), math.inf]
    pruned, kept = border_of_lowest(parts, count)
    assert (pruned.item(), kept.item()) == (ordered[count], ordered[count + 1])
    assert all(math.copysign(1, value) == 1 for value in (pruned.item(), kept.item()) if value == 0)


@given(parts=st.one_of(PARTS, large()), share=st.floats(0, 1))
def test_the_first_of_the_sorted_list_are_marked(parts, share):
    count = count_of(share, parts)
    assert marked(parts, count) == expected(parts, count)


@given(parts=st.one_of(PARTS, large()), share=st.floats(0, 1), seed=st.integers(0, 9))
def test_among_equals_the_lower_tie_break_decides_across_parts(parts, share, seed):
    draw = torch.Generator().manual_seed(seed)
    keys = [torch.randint(0, 3, part.shape, generator=draw).float() for part in parts]
    count = count_of(share, parts)
    assert marked(parts, count, keys) == expected(parts, count, keys)


@given(parts=st.one_of(PARTS, large()), share=st.floats(0, 1), with_keys=st.booleans())
def test_sorting_on_other_devices_marks_the_same(parts, share, with_keys):
    count = count_of(share, parts)
    keys = [part.flatten().flip(0).reshape(part.shape).abs() for part in parts] if with_keys else None
    sorting = selection._marked_by_sorting(parts, count, keys)
    assert all(torch.equal(*pair) for pair in zip(sorting, mark_lowest_of(parts, count, keys), strict=True))


@given(parts=st.one_of(PARTS, large()), sparsity=st.floats(0, 1, exclude_max=True), seed=st.integers(0, 9))
def test_entries_that_do_not_remain_are_pruned_first(parts, sparsity, seed):
    draw = torch.Generator().manual_seed(seed)
    scores = {str(index): part for index, part in enumerate(parts)}
    remaining = {name: torch.rand(part.shape, generator=draw) < 0.5 for name, part in scores.items()}
    kept = as_list(list(keep_highest(scores, sparsity, "global", remaining).values()))
    values, left = as_list(parts), as_list(list(remaining.values()))
    order = sorted(range(len(values)), key=lambda index: (left[index], values[index] if left[index] else 0, -index))
    assert {index for index, value in enumerate(kept) if not value} == set(order[: round(sparsity * len(values))])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8])
def test_every_type_has_its_own_order(dtype):
    values = torch.randint(0, 100, (30, 97), generator=torch.Generator().manual_seed(0)).to(dtype)
    assert marked([values], 1000) == expected([values], 1000)
    if dtype.is_floating_point:
        pruned, kept = border_of_lowest([values], 1000)
        assert pruned.dtype == kept.dtype == dtype
        assert [pruned.item(), kept.item()] == sorted(as_list([values]))[999:1001]


def test_neighbours_in_float64_are_told_apart():
    values = torch.tensor([1.0 + 2**-52, 1.0], dtype=torch.float64)
    assert mark_lowest(values, 1).tolist() == [False, True]
    assert [each.item() for each in border_of_lowest([values], 1)] == [1.0, 1.0 + 2**-52]


def test_tensors_that_are_not_contiguous_or_need_a_gradient():
    values = torch.tensor([[1.0, 4.0], [3.0, 2.0]]).T.requires_grad_()
    assert mark_lowest(values, 2).tolist() == [[True, False], [False, True]]


def test_nan_ranks_highest():
    values = torch.tensor([math.nan, 1.0, math.inf])
    assert mark_lowest(values, 2).tolist() == [False, True, True]
    assert [each.item() for each in border_of_lowest([values], 1)] == [1.0, math.inf]


@pytest.mark.parametrize("count", [1, 58_981, 58_982, 58_983, 200_000, 589_823])
def test_a_matrix_of_usual_size_with_two_values(count):
    values = torch.ones(768, 768)
    values.view(-1)[torch.randperm(768 * 768, generator=torch.Generator().manual_seed(1))[:58_982]] = 0.0
    found = mark_lowest(values, count)
    assert int(found.sum()) == count
    assert int((found & (values == 0)).sum()) == min(count, 58_982)
    ordered = [each.item() for each in border_of_lowest([values], count)]
    assert ordered == [float(count > 58_982), float(count >= 58_982)]
