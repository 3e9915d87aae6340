from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import accuracy_score, f1_score

from srf_evaluators import NoOptions
from srf_evaluators.classification import F1, Accuracy
from srf_evaluators.options import WorstGroupOptions
from srf_evaluators.worst_group import WorstGroup
from srframework.contracts import Predictions
from srframework.report.bootstrap import Sample, over_examples, over_seeds, point_estimate
from srframework.report.metrics import Metric

SCORES = {
    "accuracy": accuracy_score,
    "f1": lambda gold, said: f1_score(gold, said, average="weighted", zero_division=0.0),
}
METRICS = {
    "accuracy": Metric("accuracy", Accuracy(NoOptions()), needs_logits=False),
    "f1": Metric("f1", F1(NoOptions()), needs_logits=False),
}


def predictions(gold, predicted, **columns) -> Predictions:
    gold, predicted = np.asarray(gold), np.asarray(predicted)
    return Predictions("dev", ("a", "b", "c"), np.eye(3, dtype=np.float32)[predicted], predicted, gold, columns)


def drawn(count: int, runs: int, classes: int = 3, seed: int = 0) -> Sample:
    """Labels, and predictions of which about 60 % (A) and 75 % (B) are right."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=count)
    sides = [
        np.where(generator.random((runs, count)) < right, labels, generator.integers(classes, size=(runs, count)))
        for right in (0.4, 0.65)
    ]
    return Sample(*([predictions(labels, run) for run in side] for side in sides))


@pytest.mark.parametrize("metric", ["accuracy", "f1"])
@pytest.mark.parametrize(
    ("labels", "predicted"),
    [
        ([0, 1, 2, 2], [0, 1, 2, 1]),
        ([0, 0, 0], [0, 0, 0]),
        ([0, 1, 1, 1], [0, 0, 0, 0]),
        ([2, 2, 0], [1, 1, 1]),
    ],
    ids=["mixed", "all right", "one never predicted", "all wrong"],
)
def test_the_metric_is_the_evaluators(metric, labels, predicted):
    assert point_estimate(METRICS[metric], predictions(labels, predicted)) == pytest.approx(
        SCORES[metric](labels, predicted)
    )


def test_weighted_f1_by_hand():
    # Class 0: 1 hit of 1 true and 2 said, F1 2/3; class 1: 2 hits of 3 true and 2 said, F1 4/5.
    assert point_estimate(METRICS["f1"], predictions([0, 1, 1, 1], [0, 0, 1, 1])) == pytest.approx(
        (2 / 3 + 3 * 4 / 5) / 4
    )


@pytest.mark.parametrize("metric", ["accuracy", "f1"])
@pytest.mark.parametrize("runs", [1, 3])
def test_the_interval_is_scipys_paired_bootstrap_within_monte_carlo_error(metric, runs):
    sample = drawn(300, runs)

    def difference(index):
        scores = [
            np.mean(
                [point_estimate(METRICS[metric], predictions(run.gold[index], run.predicted[index])) for run in side]
            )
            for side in (sample.a, sample.b)
        ]
        return scores[1] - scores[0]

    expected = bootstrap(
        (np.arange(300),), difference, n_resamples=2000, vectorized=False, method="percentile", rng=1
    ).confidence_interval
    # The sd of the difference is about 0.04 here, so that of a 2.5 % percentile of 2000 about 0.04 · 2.7 / √2000.
    assert over_examples(METRICS[metric], [sample], 20_000) == pytest.approx(
        tuple(expected), abs=4 * 0.04 * 2.7 / 2000**0.5
    )


def test_one_more_right_of_many_is_the_binomials_interval():
    # B is right wherever A is, and in 40 of 400 examples besides: the difference is Binomial(400, 0.1) / 400.
    labels, a = np.zeros(400, dtype=np.int64), np.zeros(400, dtype=np.int64)
    a[:40] = 1
    sample = Sample([predictions(labels, a)], [predictions(labels, labels)])
    low, high = over_examples(METRICS["accuracy"], [sample], 100_000)
    from scipy.stats import binom

    assert (low, high) == pytest.approx(tuple(binom.ppf([0.025, 0.975], 400, 0.1) / 400), abs=1 / 400)


def test_the_same_predictions_differ_by_nothing_and_seeds_of_equal_difference_too():
    sample = drawn(50, 2)
    assert over_examples(METRICS["f1"], [Sample(sample.a, sample.a)], 200) == (0.0, 0.0)
    assert over_seeds([0.25, 0.25, 0.25], 200) == (0.25, 0.25)


def test_two_seeds_by_hand():
    # The mean of two draws from {0, 1} is 0, ½, 1 with probability ¼, ½, ¼.
    assert over_seeds([0.0, 1.0], 10_000) == (0.0, 1.0)


def test_examples_that_differ_by_run_are_drawn_apart_and_weigh_by_runs():
    # The variances of independent parts add, weighted by (2/3)² and (1/3)².
    parts = [drawn(400, 2, seed=1), drawn(400, 1, seed=2)]
    (low, high), *each = [
        over_examples(METRICS["accuracy"], chosen, 20_000) for chosen in (parts, parts[:1], parts[1:])
    ]
    widths = [h - l_ for l_, h in each]
    assert high - low == pytest.approx(((2 / 3 * widths[0]) ** 2 + (1 / 3 * widths[1]) ** 2) ** 0.5, rel=0.04)
    middles = [(h + l_) / 2 for l_, h in each]
    assert (low + high) / 2 == pytest.approx(2 / 3 * middles[0] + 1 / 3 * middles[1], abs=0.004)


def test_it_is_the_same_every_time_also_in_pieces(monkeypatch):
    sample = drawn(200, 1)
    first = over_examples(METRICS["accuracy"], [sample], 1000)
    assert over_examples(METRICS["accuracy"], [sample], 1000) == first
    monkeypatch.setattr("srframework.report.bootstrap.MOST_NUMBERS", 100)
    assert over_examples(METRICS["accuracy"], [sample], 1000) == first


def test_a_figure_that_needs_the_logits_resamples_every_example():
    sample = drawn(120, 2)
    of_labels = over_examples(METRICS["accuracy"], [sample], 20_000)
    of_logits = over_examples(replace(METRICS["accuracy"], needs_logits=True), [sample], 20_000)
    assert of_logits == pytest.approx(of_labels, abs=0.01)


def test_examples_of_other_columns_are_not_counted_together():
    # The worst of two groups: A is wrong in all of group 1, B in none; a resample without group 1 differs by nothing.
    metric = Metric("worst-group", WorstGroup(WorstGroupOptions(group_by=("group",))), needs_logits=False)
    groups = np.array([0, 0, 0, 1])
    a, b = predictions([0] * 4, [0, 0, 0, 1], group=groups), predictions([0] * 4, [0] * 4, group=groups)
    assert over_examples(metric, [Sample([a], [b])], 10_000) == (0.0, 1.0)
