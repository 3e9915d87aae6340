"""Thresholds of scores, and the gradient that passes them."""

from __future__ import annotations

import pytest
import torch
from any_matrices import SPARSITIES, by_name, pairs
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from srf_pruners.arithmetic import (
    StraightThrough,
    threshold_to,
    thresholds_to,
)


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

    def test_each_row_block_has_its_own_threshold_with_local_scope(self):
        scores = {"qkv": torch.tensor([[1.0, 2.0], [3.0, 5.0]]), "o": torch.tensor([[1.0, 3.0]])}
        found = thresholds_to(scores, scores, 0.5, "local", {"qkv": (1, 1)})
        assert found["qkv"][0].tolist() == [[1.5], [4.0]]
        assert found["o"][0].item() == 2.0
        together = thresholds_to(scores, scores, 0.5, "global", {"qkv": (1, 1)})
        assert {threshold.item() for threshold, _ in together.values()} == {2.5}

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
        assert StraightThrough.apply(scores, weight, scores >= 0.5).tolist() == [[0.0, 2.0, 3.0]]

    def test_the_gradient_of_the_scores_is_autograds_of_an_explicit_mask(self):
        scores, weight, threshold = self.example()
        scores.requires_grad_()
        self.loss(StraightThrough.apply(scores, weight, scores >= threshold)).backward()
        mask = (scores.detach() >= threshold).float().requires_grad_()
        self.loss(mask * weight).backward()
        torch.testing.assert_close(scores.grad, mask.grad, rtol=0, atol=0)
        pruned = mask.detach() == 0
        assert scores.grad[pruned].count_nonzero() == pruned.sum()

    def test_the_gradient_of_the_scores_is_the_difference_that_a_little_of_the_mask_makes(self):
        scores, weight, threshold = (each.double() for each in self.example())
        scores.requires_grad_()
        self.loss(StraightThrough.apply(scores, weight, scores >= threshold)).backward()
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
        self.loss(StraightThrough.apply(scores, weight, scores >= threshold)).backward()
        self.loss((scores >= threshold) * explicit).backward()
        torch.testing.assert_close(weight.grad, explicit.grad, rtol=0, atol=0)
        assert (weight.grad[scores < threshold] == 0).all()

    def test_by_hand(self):
        scores = torch.tensor([[1.0, 0.0]], requires_grad=True)
        weight = torch.tensor([[3.0, -2.0]])
        masked = StraightThrough.apply(scores, weight, scores >= 0.5)
        (masked * torch.tensor([[10.0, 100.0]])).sum().backward()
        assert scores.grad.tolist() == [[30.0, -200.0]]

    def test_a_frozen_weight_gets_no_gradient(self):
        scores, weight, threshold = self.example()
        self.loss(StraightThrough.apply(scores.requires_grad_(), weight, scores >= threshold)).backward()
        assert weight.grad is None
