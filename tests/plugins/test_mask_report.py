"""What mask training reports: the share of the mask that changed, and learning rates at which it cannot work."""

from __future__ import annotations

import pytest
import torch
from small_context import context
from small_mask_training import set_scores, small_network

from srf_pruners.mask import MaskTraining
from srf_pruners.mask_options import MaskOptions
from srframework.training.optimization import summed_learning_rate
from srframework.training.options import TrainingOptions


def attached(facts, **options):
    pruner = MaskTraining(MaskOptions(sparsity=0.5, pooler=False, classifier=False, **options))
    pruner.attach(small_network(), context(**facts))
    return pruner


def test_it_logs_the_share_of_the_mask_that_changed_since_the_start():
    logged = []
    pruner = attached({"log": lambda name, value: logged.append((name, value))})
    kept = pruner.masks()["0"]
    moved = torch.where(kept, 0.02, 0.0)
    highest, lowest = kept.nonzero()[0], (~kept).nonzero()[0]
    moved[tuple(highest)], moved[tuple(lowest)] = 0.0, 0.02  # one pair of 12 entries changes places
    set_scores(pruner, [moved])
    pruner.after_step(1)
    assert logged == []  # the mask is updated at evaluations only
    pruner.update_mask(1)
    assert logged == [("mask_changed", pytest.approx(2 / 12))]
    pruner.update_mask(9)  # a mask of a later step, which is undone
    assert len(logged) == 1


def test_a_refresh_logs_too():
    logged = []
    pruner = attached({"log": lambda _name, value: logged.append(value)}, refresh_every=2)
    for step in (1, 2, 3, 4):
        pruner.after_step(step)
    assert logged == [0.0, 0.0]


@pytest.mark.parametrize(
    ("reach", "steps", "options", "expected"),
    [
        (0.005, 100, {}, "in 100 steps the learning rate moves a score by at most about 0.005, less than its distance"),
        (0.0101, 100, {}, ""),
        (0.3, 1000, {}, ""),  # the highest rate of a linear decay is 0.0006: 17 steps to 0.01
        (0.5, 1000, {}, "a score crosses φ in 10 steps, so a few batches decide the mask; it needs 15 steps with a "),
        (0.3, 1000, {"phi": 0.005}, "a score crosses φ in 8.3 steps"),
        (0.3, 1000, {"alpha": 1.5}, "a score crosses φ in 8.3 steps"),  # kept scores start at 0.015
        (0.5, 1000, {"init": "soft"}, ""),
    ],
)
def test_a_learning_rate_that_moves_nothing_or_everything_is_a_warning(reach, steps, options, expected):
    warned = []
    attached({"learning_rates": reach, "steps": steps, "warn": warned.append}, **options)
    assert [text[: len(expected)] for text in warned] == ([expected] if expected else [])


@pytest.mark.parametrize(("warmup", "steps", "expected"), [(0, 4, 0.25), (2, 4, 0.2), (8, 4, 0.075), (0, 0, 0.0)])
def test_the_sum_of_the_learning_rates(warmup, steps, expected):
    # of 0.1: 1, 3/4, 1/2, 1/4; then 0, 1/2, 1, 1/2; then 0, 1/8, 2/8, 3/8
    options = TrainingOptions(learning_rate=0.1, warmup_steps=warmup)
    assert summed_learning_rate(options, steps) == pytest.approx(expected)
