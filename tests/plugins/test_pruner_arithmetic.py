"""Mask arithmetic against results worked out by hand, and against its own definition."""

from __future__ import annotations

import pytest
import torch
from any_matrices import SPARSITIES, by_name, matrices, pairs
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from srf_pruners.arithmetic import (
    hard_scores,
    soft_scores,
)
from srframework.scores import keep_highest, pruned_count
from srframework.selection import mark_lowest


def magnitude_masks(weights, sparsity, scope, remaining=None) -> dict[str, Tensor]:
    return keep_highest(soft_scores(weights), sparsity, scope, remaining)


def magnitude_mask(weight: Tensor, sparsity: float, remaining: Tensor | None = None) -> Tensor:
    left = None if remaining is None else {"w": remaining}
    return magnitude_masks({"w": weight}, sparsity, "local", left)["w"]


class TestPrunedCount:
    @pytest.mark.parametrize(
        ("sparsity", "entries", "expected"),
        [
            (0.0, 7, 0),
            (0.7, 10, 7),
            (0.7, 768 * 768, 412_877),
            (0.9, 3 * 768, 2074),
            (0.5, 3, 2),
            (0.5, 5, 2),
            (0.5, 1, 0),
            (0.51, 1, 1),
            (0.999, 10, 10),
            (0.001, 10, 0),
        ],
    )
    def test_it_is_the_nearest_whole_number_half_to_even(self, sparsity, entries, expected):
        assert pruned_count(sparsity, entries) == expected

    @pytest.mark.parametrize("sparsity", [-0.1, 1.0, 70, float("nan"), float("inf")])
    def test_a_sparsity_outside_its_range_is_refused_with_its_value(self, sparsity):
        with pytest.raises(ValueError, match=rf"expected a sparsity in \[0, 1\), got {sparsity}"):
            pruned_count(sparsity, 10)
        with pytest.raises(ValueError, match=f"got {sparsity}"):
            magnitude_mask(torch.ones(2, 2), sparsity)


class TestLowest:
    def test_the_lowest_are_marked_with_their_sign(self):
        values = torch.tensor([[3.0, -5.0, 1.0], [0.0, 2.0, -1.0]])
        assert mark_lowest(values, 3).tolist() == [[False, True, False], [True, False, True]]

    @pytest.mark.parametrize(
        ("count", "expected"),
        [(0, [0, 0, 0, 0]), (1, [0, 0, 0, 1]), (2, [0, 0, 1, 1]), (3, [0, 1, 1, 1]), (4, [1, 1, 1, 1])],
    )
    def test_among_equals_the_higher_flat_index_is_marked(self, count, expected):
        assert mark_lowest(torch.full((2, 2), 0.02), count).flatten().int().tolist() == expected

    def test_among_equals_the_lower_tie_break_is_marked_and_then_the_higher_index(self):
        values, tie_break = torch.tensor([[1.0, 1.0, 1.0, 1.0, 0.0]]), torch.tensor([[0.5, 0.1, 0.5, 0.9, 0.9]])
        marked = [mark_lowest(values, count, tie_break).flatten().int().tolist() for count in range(6)]
        assert marked == [
            [0, 0, 0, 0, 0],
            [0, 0, 0, 0, 1],
            [0, 1, 0, 0, 1],
            [0, 1, 1, 0, 1],
            [1, 1, 1, 0, 1],
            [1, 1, 1, 1, 1],
        ]

    def test_zero_and_minus_zero_are_equal(self):
        assert mark_lowest(torch.tensor([[-0.0, 0.0, 1.0]]), 1).tolist() == [[False, True, False]]

    @given(values=matrices(), share=st.floats(0, 1))
    def test_they_are_the_first_in_the_order_of_value_and_falling_index(self, values, share):
        count = round(share * values.numel())
        before = values.clone()
        order = sorted(range(values.numel()), key=lambda index: (values.flatten()[index].item(), -index))
        marked = mark_lowest(values, count)
        assert set(marked.flatten().nonzero().flatten().tolist()) == set(order[:count])
        assert marked.shape == values.shape
        assert torch.equal(values, before)

    @given(pair=pairs(), share=st.floats(0, 1))
    def test_with_a_tie_break_they_are_the_first_in_the_order_of_value_tie_break_and_falling_index(self, pair, share):
        values, tie_break = pair
        count = round(share * values.numel())
        flat, ties = values.flatten().tolist(), tie_break.flatten().tolist()
        order = sorted(range(values.numel()), key=lambda index: (flat[index], ties[index], -index))
        assert set(mark_lowest(values, count, tie_break).flatten().nonzero().flatten().tolist()) == set(order[:count])


class TestMagnitudeMask:
    @pytest.mark.parametrize(
        ("weight", "sparsity", "kept"),
        [
            ([[3.0, -1.0], [0.5, -4.0]], 0.5, [[1, 0], [0, 1]]),
            ([[3.0, -1.0], [0.5, -4.0]], 0.0, [[1, 1], [1, 1]]),
            ([[3.0, -1.0], [0.5, -4.0]], 0.75, [[0, 0], [0, 1]]),
            ([[3.0, -1.0], [0.5, -4.0]], 0.99, [[0, 0], [0, 0]]),
            ([[1.0, -1.0], [1.0, 1.0]], 0.5, [[1, 1], [0, 0]]),
            ([[2.0, -1.0, 1.0, 1.0]], 0.5, [[1, 1, 0, 0]]),
            ([[0.0], [-0.0], [0.0], [5.0]], 0.25, [[1], [1], [0], [1]]),
            ([[0.1, 0.2, 0.3, 0.4, 0.5]], 0.5, [[0, 0, 1, 1, 1]]),
            ([[0.1, 0.2, 0.3]], 0.5, [[0, 0, 1]]),
        ],
    )
    def test_the_largest_magnitudes_are_kept(self, weight, sparsity, kept):
        assert magnitude_mask(torch.tensor(weight), sparsity).int().tolist() == kept

    @given(weight=matrices(), sparsity=SPARSITIES)
    def test_exactly_the_rounded_share_is_pruned_and_nothing_kept_is_smaller(self, weight, sparsity):
        mask = magnitude_mask(weight, sparsity)
        assert mask.dtype == torch.bool
        assert int((~mask).sum()) == round(sparsity * weight.numel())
        if mask.any() and not mask.all():
            assert weight[mask].abs().min() >= weight[~mask].abs().max()

    def test_what_is_pruned_already_goes_first_whatever_its_value(self):
        weight = torch.tensor([[9.0, 1.0, 2.0, 3.0]])
        remaining = torch.tensor([[False, True, True, True]])
        assert magnitude_mask(weight, 0.25, remaining).int().tolist() == [[0, 1, 1, 1]]
        assert magnitude_mask(weight, 0.5, remaining).int().tolist() == [[0, 0, 1, 1]]

    def test_a_zero_that_remains_outlives_what_is_pruned_already(self):
        weight = torch.zeros(1, 4)
        remaining = torch.tensor([[False, True, False, True]])
        assert magnitude_mask(weight, 0.5, remaining).int().tolist() == [[0, 1, 0, 1]]
        assert magnitude_mask(weight, 0.75, remaining).int().tolist() == [[0, 1, 0, 0]]

    @given(pair=pairs(), sparsities=st.tuples(SPARSITIES, SPARSITIES).map(sorted))
    def test_a_later_prune_is_inside_the_earlier_one_whatever_happened_between(self, pair, sparsities):
        before, after = pair
        first = magnitude_mask(before, sparsities[0])
        second = magnitude_mask(after, sparsities[1], remaining=first)
        assert not (second & ~first).any()
        assert int((~second).sum()) == round(sparsities[1] * before.numel())

    def test_the_weight_is_only_read(self):
        weight = torch.nn.Parameter(torch.tensor([[3.0, -1.0]]))
        mask = magnitude_mask(weight, 0.5)
        assert weight.tolist() == [[3.0, -1.0]]
        assert not mask.requires_grad


class TestMagnitudeMasks:
    WEIGHTS = by_name(torch.tensor([[5.0, -0.1], [0.3, 6.0]]), torch.tensor([[0.2, -7.0, 8.0]]))

    @pytest.mark.parametrize(
        ("sparsity", "scope", "kept"),
        [
            (0.0, "local", [[1, 1, 1, 1], [1, 1, 1]]),
            (0.5, "local", [[1, 0, 0, 1], [0, 0, 1]]),
            (0.9, "local", [[0, 0, 0, 0], [0, 0, 0]]),
            (0.0, "global", [[1, 1, 1, 1], [1, 1, 1]]),
            (0.2, "global", [[1, 0, 1, 1], [1, 1, 1]]),
            (0.3, "global", [[1, 0, 1, 1], [0, 1, 1]]),
            (0.4, "global", [[1, 0, 0, 1], [0, 1, 1]]),
            (0.5, "global", [[0, 0, 0, 1], [0, 1, 1]]),
            (0.75, "global", [[0, 0, 0, 0], [0, 1, 1]]),
            (0.9, "global", [[0, 0, 0, 0], [0, 0, 1]]),
            (0.99, "global", [[0, 0, 0, 0], [0, 0, 0]]),
        ],
    )
    def test_by_hand(self, sparsity, scope, kept):
        masks = magnitude_masks(self.WEIGHTS, sparsity, scope)
        assert list(masks) == ["z", "y"]
        assert [mask.shape for mask in masks.values()] == [(2, 2), (1, 3)]
        assert [mask.flatten().int().tolist() for mask in masks.values()] == kept

    def test_global_ties_keep_the_earlier_matrix_and_in_it_the_lower_index(self):
        weights = by_name(torch.ones(1, 2), -torch.ones(2, 2))
        kept = [magnitude_masks(weights, count / 6, "global") for count in range(1, 6)]
        assert [[mask.flatten().int().tolist() for mask in masks.values()] for masks in kept] == [
            [[1, 1], [1, 1, 1, 0]],
            [[1, 1], [1, 1, 0, 0]],
            [[1, 1], [1, 0, 0, 0]],
            [[1, 1], [0, 0, 0, 0]],
            [[1, 0], [0, 0, 0, 0]],
        ]

    def test_what_is_pruned_already_goes_first_in_whatever_matrix(self):
        remaining = by_name(torch.tensor([[True, True], [True, False]]), torch.tensor([[True, False, True]]))
        masks = magnitude_masks(self.WEIGHTS, 0.5, "global", remaining)
        assert [mask.flatten().int().tolist() for mask in masks.values()] == [[1, 0, 1, 0], [0, 0, 1]]

    @pytest.mark.parametrize("scope", ["local", "global"])
    def test_no_matrices_give_no_masks(self, scope):
        assert magnitude_masks({}, 0.5, scope) == {}

    @pytest.mark.parametrize("scope", ["local", "global"])
    def test_a_sparsity_outside_its_range_is_refused_with_its_value(self, scope):
        with pytest.raises(ValueError, match=r"expected a sparsity in \[0, 1\), got 1.0"):
            magnitude_masks(self.WEIGHTS, 1.0, scope)

    @given(weights=st.lists(matrices(), min_size=1, max_size=3), sparsity=SPARSITIES)
    def test_locally_each_is_pruned_as_if_it_were_alone(self, weights, sparsity):
        masks = magnitude_masks(by_name(*weights), sparsity, "local")
        for weight, mask in zip(weights, masks.values(), strict=True):
            assert torch.equal(mask, magnitude_mask(weight, sparsity))

    @given(weights=st.lists(matrices(), min_size=1, max_size=3), sparsity=SPARSITIES)
    def test_globally_the_first_in_the_order_of_magnitude_and_falling_position_are_pruned(self, weights, sparsity):
        magnitudes = [abs(value) for weight in weights for value in weight.flatten().tolist()]
        count = round(sparsity * len(magnitudes))
        order = sorted(range(len(magnitudes)), key=lambda position: (magnitudes[position], -position))
        masks = magnitude_masks(by_name(*weights), sparsity, "global")
        kept = [value for mask in masks.values() for value in mask.flatten().tolist()]
        assert {position for position, value in enumerate(kept) if not value} == set(order[:count])


class TestInitialScores:
    def test_the_smallest_weights_have_zero_and_the_others_alpha_phi(self):
        weights = by_name(torch.tensor([[3.0, -1.0, 2.0], [0.5, -4.0, 0.0]]), torch.tensor([[9.0, 8.0]]))
        local = hard_scores(weights, sparsity=0.5, phi=0.05, alpha=3, scope="local")
        torch.testing.assert_close(local["z"], torch.tensor([[0.15, 0.0, 0.15], [0.0, 0.15, 0.0]]))
        torch.testing.assert_close(local["y"], torch.tensor([[0.15, 0.0]]))
        together = hard_scores(weights, sparsity=0.5, phi=0.05, alpha=3, scope="global")
        torch.testing.assert_close(together["z"], torch.tensor([[0.15, 0.0, 0.0], [0.0, 0.15, 0.0]]))
        torch.testing.assert_close(together["y"], torch.tensor([[0.15, 0.15]]))

    @given(weight=matrices(), sparsity=SPARSITIES)
    def test_its_own_threshold_gives_the_sparsity(self, weight, sparsity):
        kept = hard_scores(by_name(weight), sparsity, phi=0.01, alpha=2, scope="local")["z"] >= 0.01
        assert torch.equal(kept, magnitude_mask(weight, sparsity))

    def test_soft_scores_are_magnitudes_of_their_own(self):
        weight = torch.tensor([[3.0, -1.0], [0.0, 2.0]])
        scores = soft_scores(by_name(weight))["z"]
        assert scores.tolist() == [[3.0, 1.0], [0.0, 2.0]]
        scores.zero_()
        assert weight.tolist() == [[3.0, -1.0], [0.0, 2.0]]
