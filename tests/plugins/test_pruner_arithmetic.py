"""Mask arithmetic against results worked out by hand, and against its own definition."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from srf_pruners.arithmetic import (
    StraightThrough,
    hard_scores,
    pruned_counts,
    soft_scores,
    threshold_to,
    thresholds_to,
)
from srframework.masks import keep_highest, mark_lowest, pruned_count

SPARSITIES = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 0.7, 0.9, 0.999]), st.floats(0, 1, exclude_max=True))


def matrices(elements: st.SearchStrategy[float] | None = None) -> st.SearchStrategy[Tensor]:
    """Matrices of up to 8 x 8, mostly with ties."""
    few = st.sampled_from([-2.0, -1.0, -0.0, 0.0, 1.0, 2.0, 0.01, 0.02])
    elements = elements or st.one_of(few, st.floats(-(2.0**100), 2.0**100, width=32))
    shapes = arrays.array_shapes(min_dims=2, max_dims=2, max_side=8)
    return arrays.arrays("float32", shapes, elements=elements).map(torch.from_numpy)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Two matrices of one shape."""
    one = draw(matrices())
    few = st.sampled_from([-1.0, 0.0, 0.5, 1.0])
    return one, torch.from_numpy(draw(arrays.arrays("float32", tuple(one.shape), elements=few)))


def by_name(*tensors: Tensor) -> dict[str, Tensor]:
    """In an order that is not the alphabet's."""
    return dict(zip("zyx", tensors, strict=False))


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
        assert pruned_counts({}, 0.5, scope) == []

    @pytest.mark.parametrize("scope", ["local", "global"])
    def test_a_sparsity_outside_its_range_is_refused_with_its_value(self, scope):
        with pytest.raises(ValueError, match=r"expected a sparsity in \[0, 1\), got 1.0"):
            magnitude_masks(self.WEIGHTS, 1.0, scope)

    @given(weights=st.lists(matrices(), min_size=1, max_size=3), sparsity=SPARSITIES)
    def test_locally_each_is_pruned_as_if_it_were_alone(self, weights, sparsity):
        masks = magnitude_masks(by_name(*weights), sparsity, "local")
        for weight, mask in zip(weights, masks.values(), strict=True):
            assert torch.equal(mask, magnitude_mask(weight, sparsity))
        assert pruned_counts(by_name(*weights), sparsity, "local") == [int((~mask).sum()) for mask in masks.values()]

    @given(weights=st.lists(matrices(), min_size=1, max_size=3), sparsity=SPARSITIES)
    def test_globally_the_first_in_the_order_of_magnitude_and_falling_position_are_pruned(self, weights, sparsity):
        magnitudes = [abs(value) for weight in weights for value in weight.flatten().tolist()]
        count = round(sparsity * len(magnitudes))
        order = sorted(range(len(magnitudes)), key=lambda position: (magnitudes[position], -position))
        masks = magnitude_masks(by_name(*weights), sparsity, "global")
        kept = [value for mask in masks.values() for value in mask.flatten().tolist()]
        assert {position for position, value in enumerate(kept) if not value} == set(order[:count])
        assert pruned_counts(by_name(*weights), sparsity, "global") == [count]


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


class TestThreshold:
    @pytest.mark.parametrize(("sparsity", "expected"), [(0.0, 0.1), (0.25, 0.15), (0.5, 0.3), (0.75, 0.5)])
    def test_without_ties_it_is_half_way_between_pruned_and_kept_and_no_score_changes(self, sparsity, expected):
        scores = torch.tensor([[0.6, 0.1], [0.4, 0.2]])
        threshold, after = threshold_to(scores, torch.ones(2, 2), sparsity)
        assert threshold.item() == pytest.approx(expected)
        assert torch.equal(after, scores)

    def test_between_two_neighbouring_numbers_it_is_the_higher(self):
        neighbour = torch.nextafter(torch.tensor(1.0), torch.tensor(2.0)).item()
        threshold, after = threshold_to(torch.tensor([[1.0, neighbour]]), torch.ones(1, 2), 0.5)
        assert threshold.item() == neighbour
        assert after.tolist() == [[1.0, neighbour]]

    def test_hard_scores_have_their_own_phi(self):
        scores = torch.tensor([[0.02, 0.0], [0.0, 0.02]])
        assert threshold_to(scores, torch.ones(2, 2), 0.5)[0].item() == pytest.approx(0.01)

    def test_among_tied_scores_the_smaller_weight_goes_then_the_higher_index(self):
        scores = torch.tensor([[0.02, 0.02, 0.02], [0.02, 0.5, 0.0]])
        weight = torch.tensor([[-3.0, 1.0, 1.0], [-1.0, 0.1, 9.0]])
        found = [threshold_to(scores, weight, count / 6) for count in range(6)]
        assert [(after >= threshold).int().flatten().tolist() for threshold, after in found] == [
            [1, 1, 1, 1, 1, 1],
            [1, 1, 1, 1, 1, 0],
            [1, 1, 1, 0, 1, 0],
            [1, 1, 0, 0, 1, 0],
            [1, 0, 0, 0, 1, 0],
            [0, 0, 0, 0, 1, 0],
        ]

    def test_a_tied_score_that_must_go_falls_to_the_next_number_below(self):
        scores = torch.tensor([[1.0, 1.0]])
        threshold, after = threshold_to(scores, torch.tensor([[2.0, 1.0]]), 0.5)
        assert threshold.item() == 1.0
        assert after.tolist() == [[1.0, 1.0 - 2**-24]]
        assert scores.tolist() == [[1.0, 1.0]]

    def test_zeros_can_be_told_apart_too(self):
        threshold, after = threshold_to(torch.zeros(2, 2), torch.zeros(2, 2), 0.5)
        assert (after >= threshold).int().tolist() == [[1, 1], [0, 0]]

    def test_where_nothing_is_kept_it_is_the_next_number_above_the_highest(self):
        scores = torch.tensor([[1.0, 0.5, 1.0, -2.0]])
        threshold, after = threshold_to(scores, torch.ones(1, 4), 0.999)
        assert threshold.item() == 1 + 2**-23
        assert torch.equal(after, scores)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 7), (7, 1), (3, 5)])
    @pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.9, 0.99])
    @pytest.mark.parametrize("value", [-1.0, 0.0, 0.01, 0.02, 1e30])
    def test_equal_scores_give_the_exact_count(self, shape, sparsity, value):
        threshold, after = threshold_to(torch.full(shape, value), torch.ones(shape), sparsity)
        assert int((after < threshold).sum()) == round(sparsity * after.numel())

    @given(pair=pairs(), sparsity=SPARSITIES)
    def test_whatever_the_scores_the_count_is_exact(self, pair, sparsity):
        scores, weight = pair
        threshold, after = threshold_to(scores, weight, sparsity)
        assert int((~(after >= threshold)).sum()) == round(sparsity * scores.numel())

    @given(pair=pairs(), sparsity=SPARSITIES)
    def test_scores_change_only_where_they_tie_and_by_the_least_there_is(self, pair, sparsity):
        scores, weight = pair
        threshold, after = threshold_to(scores, weight, sparsity)
        changed = after != scores
        assert (scores[changed] == threshold).all()
        below = torch.nextafter(threshold, torch.tensor(-torch.inf))
        assert (after[changed] == below).all()

    @given(pair=pairs(), sparsity=SPARSITIES)
    def test_nothing_kept_has_a_lower_score_than_something_pruned(self, pair, sparsity):
        scores, weight = pair
        threshold, after = threshold_to(scores, weight, sparsity)
        kept = after >= threshold
        if kept.any() and not kept.all():
            assert scores[kept].min() >= scores[~kept].max()

    @given(pair=pairs(), sparsity=SPARSITIES)
    def test_a_second_refresh_changes_nothing(self, pair, sparsity):
        scores, weight = pair
        threshold, after = threshold_to(scores, weight, sparsity)
        again, unchanged = threshold_to(after, weight, sparsity)
        assert torch.equal(again, threshold)
        assert torch.equal(unchanged, after)

    @given(pair=pairs(), sparsities=st.lists(SPARSITIES, min_size=2, max_size=4))
    def test_refreshes_to_changing_sparsities_are_each_exact(self, pair, sparsities):
        scores, weight = pair
        for sparsity in sparsities:
            threshold, scores = threshold_to(scores, weight, sparsity)
            assert int((~(scores >= threshold)).sum()) == round(sparsity * scores.numel())


class TestThresholds:
    SCORES = by_name(torch.tensor([[0.1, 0.6]]), torch.tensor([[0.2], [0.3], [0.9]]))
    WEIGHTS = by_name(torch.ones(1, 2), torch.ones(3, 1))

    def test_locally_each_matrix_has_its_own(self):
        found = thresholds_to(self.SCORES, self.WEIGHTS, 0.5, "local")
        assert {name: round(threshold.item(), 6) for name, (threshold, _) in found.items()} == {"z": 0.35, "y": 0.6}
        assert all(torch.equal(scores, self.SCORES[name]) for name, (_, scores) in found.items())

    @pytest.mark.parametrize(("sparsity", "expected"), [(0.0, 0.1), (0.2, 0.15), (0.4, 0.25), (0.6, 0.45), (0.8, 0.75)])
    def test_globally_all_have_the_same(self, sparsity, expected):
        found = thresholds_to(self.SCORES, self.WEIGHTS, sparsity, "global")
        assert [threshold.item() for threshold, _ in found.values()] == [pytest.approx(expected)] * 2
        assert all(torch.equal(scores, self.SCORES[name]) for name, (_, scores) in found.items())

    def test_global_ties_prune_the_smaller_weight_of_whatever_matrix_then_the_later(self):
        scores = by_name(torch.full((1, 2), 0.02), torch.full((1, 3), 0.02))
        weights = by_name(torch.tensor([[1.0, -5.0]]), torch.tensor([[0.5, 1.0, -2.0]]))
        kept = []
        for count in range(1, 6):
            found = thresholds_to(scores, weights, min(count / 5, 0.99), "global").values()
            kept.append([(after >= threshold).int().flatten().tolist() for threshold, after in found])
        assert kept == [
            [[1, 1], [0, 1, 1]],
            [[1, 1], [0, 0, 1]],
            [[0, 1], [0, 0, 1]],
            [[0, 1], [0, 0, 0]],
            [[0, 0], [0, 0, 0]],
        ]

    @given(each=st.lists(pairs(), min_size=1, max_size=3), sparsity=SPARSITIES)
    def test_globally_the_count_is_exact_and_a_second_time_changes_nothing(self, each, sparsity):
        scores, weights = by_name(*(one for one, _ in each)), by_name(*(other for _, other in each))
        found = thresholds_to(scores, weights, sparsity, "global")
        entries = sum(one.numel() for one in scores.values())
        assert sum(int((after < threshold).sum()) for threshold, after in found.values()) == round(sparsity * entries)
        again = thresholds_to({name: after for name, (_, after) in found.items()}, weights, sparsity, "global")
        for name, (threshold, after) in found.items():
            assert torch.equal(again[name][0], threshold)
            assert torch.equal(again[name][1], after)

    def test_no_matrices_have_no_thresholds(self):
        assert thresholds_to({}, {}, 0.5, "global") == {}


class TestStraightThrough:
    def loss(self, masked: Tensor) -> Tensor:
        inputs = torch.linspace(-1, 1, 3 * masked.shape[1], dtype=masked.dtype).reshape(3, -1)
        return (inputs @ masked.T).exp().sum()

    def example(self) -> tuple[Tensor, Tensor, Tensor]:
        draw = torch.Generator().manual_seed(3)
        return torch.rand(4, 5, generator=draw), torch.randn(4, 5, generator=draw), torch.tensor(0.5)

    def test_the_forward_pass_keeps_scores_at_or_above_the_threshold(self):
        scores, weight = torch.tensor([[0.4, 0.5, 0.6]]), torch.tensor([[1.0, 2.0, 3.0]])
        assert StraightThrough.apply(scores, weight, torch.tensor(0.5)).tolist() == [[0.0, 2.0, 3.0]]

    def test_the_gradient_of_the_scores_is_autograds_of_an_explicit_mask(self):
        scores, weight, threshold = self.example()
        scores.requires_grad_()
        self.loss(StraightThrough.apply(scores, weight, threshold)).backward()
        mask = (scores.detach() >= threshold).float().requires_grad_()
        self.loss(mask * weight).backward()
        torch.testing.assert_close(scores.grad, mask.grad, rtol=0, atol=0)
        pruned = mask.detach() == 0
        assert scores.grad[pruned].count_nonzero() == pruned.sum()

    def test_the_gradient_of_the_scores_is_the_difference_that_a_little_of_the_mask_makes(self):
        scores, weight, threshold = (each.double() for each in self.example())
        scores.requires_grad_()
        self.loss(StraightThrough.apply(scores, weight, threshold)).backward()
        mask = (scores.detach() >= threshold).double()
        little = 1e-5
        for entry in range(mask.numel()):
            moved = torch.zeros(mask.numel(), dtype=torch.float64)
            moved[entry] = little
            moved = moved.reshape(mask.shape)
            difference = self.loss((mask + moved) * weight) - self.loss((mask - moved) * weight)
            assert scores.grad.flatten()[entry].item() == pytest.approx(difference.item() / (2 * little), rel=1e-6)
        assert torch.autograd.gradcheck(lambda m: self.loss(m * weight), mask.requires_grad_())

    def test_the_gradient_of_the_weight_is_autograds_of_an_explicit_mask(self):
        scores, weight, threshold = self.example()
        explicit = weight.clone().requires_grad_()
        weight.requires_grad_()
        self.loss(StraightThrough.apply(scores, weight, threshold)).backward()
        self.loss((scores >= threshold) * explicit).backward()
        torch.testing.assert_close(weight.grad, explicit.grad, rtol=0, atol=0)
        assert (weight.grad[scores < threshold] == 0).all()

    def test_by_hand(self):
        scores = torch.tensor([[1.0, 0.0]], requires_grad=True)
        weight = torch.tensor([[3.0, -2.0]])
        masked = StraightThrough.apply(scores, weight, torch.tensor(0.5))
        (masked * torch.tensor([[10.0, 100.0]])).sum().backward()
        assert scores.grad.tolist() == [[30.0, -200.0]]

    def test_a_frozen_weight_gets_no_gradient(self):
        scores, weight, threshold = self.example()
        self.loss(StraightThrough.apply(scores.requires_grad_(), weight, threshold)).backward()
        assert weight.grad is None
