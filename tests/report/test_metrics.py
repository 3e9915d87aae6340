"""Where the metric of a comparison comes from, with evaluators of a distribution of its own."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import Field

from srframework.component import Component, Options
from srframework.contracts import Evaluator, Figure, Predictions
from srframework.errors import DataError, SRFrameworkError
from srframework.registry.discovery import Plugin
from srframework.registry.registry import Registry
from srframework.report.bootstrap import Sample, over_examples, point_estimate
from srframework.report.metrics import metric_of


class Which(Options):
    label: int = Field(1, ge=0, description="Which label.")


class Silent(Evaluator):
    def figures(self):
        return [Figure("recall", "fraction", "higher", "The share of one label's examples that are predicted.")]


class Recall(Silent):
    """The share of one label's examples that are predicted."""

    options: Which

    def resampled(self, predictions, counts):
        of_label = predictions.gold == self.options.label
        hits = counts @ (of_label & (predictions.predicted == predictions.gold))
        return {"recall": hits / np.maximum(counts @ of_label, 1)}


class Broken(Silent):
    def resampled(self, predictions, counts):
        return {"recall": np.full(len(counts) - 1, 0.5)}


class Raising(Silent):
    def resampled(self, predictions, counts):
        raise LookupError("no luck")


FACTORIES = {"recall": Recall, "silent": Silent, "broken": Broken, "raising": Raising, "nowhere": "no_such:Thing"}


@pytest.fixture
def registry() -> Registry:
    components = tuple(
        ("evaluator", Component(name=name, options=Which, factory=factory, summary="x", source="x"))
        for name, factory in FACTORIES.items()
    )
    return Registry([Plugin("other", "1", "e", "m", "loaded", components=components)])


def said(gold, predicted):
    gold, predicted = np.asarray(gold), np.asarray(predicted)
    return Predictions("dev", ("no", "yes"), np.eye(2, dtype=np.float32)[predicted], predicted, gold)


FEW = said([0, 1, 1, 1], [0, 1, 0, 1])


@pytest.mark.parametrize(("options", "expected"), [({}, 2 / 3), ({"label": 0}, 1.0)])
def test_a_plugins_metric_is_computed_with_the_options_of_the_recipe(registry, options, expected):
    metric = metric_of([{"use": "other/recall", **options}], "recall", registry)
    assert point_estimate(metric, FEW) == pytest.approx(expected)


def test_a_plugins_metric_has_an_interval(registry):
    metric = metric_of([{"use": "recall"}], "recall", registry)
    wrong = np.ones(400, dtype=np.int64)
    wrong[:40] = 0
    # The difference of the recalls is Binomial(400, 0.1) / 400.
    sample = Sample([said(np.ones(400, dtype=np.int64), wrong)], [said(*np.ones((2, 400), dtype=np.int64))])
    low, high = over_examples(metric, [sample], 10_000)
    assert (low, high) == pytest.approx((0.0725, 0.13), abs=0.005)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"use": "gone"}, "no evaluator is named 'gone'"),
        ({}, "no evaluator is named 'None'"),
        ({"use": "recall", "label": -1}, "evaluator 'recall' refuses its options: Input should be greater than"),
        ({"use": "nowhere"}, "evaluator 'nowhere' of other 1: no_such:Thing cannot be imported"),
    ],
)
def test_why_there_is_no_metric_is_a_sentence(registry, table, why):
    with pytest.raises(DataError) as refused:
        metric_of([table], "recall", registry)
    assert str(refused.value).startswith("no evaluator of the recipe (")
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("use", "why"),
    [
        ("silent", "the evaluator of recall does not compute it of resampled examples"),
        ("raising", "evaluator 'raising' of other 1: its resampled() fails: LookupError: no luck"),
        (
            "broken",
            "evaluator 'broken' of other 1: its resampled() must return numbers of shape (1,), none of them infinite, "
            "as 'recall'",
        ),
    ],
)
def test_why_a_metric_is_not_computed_is_a_sentence(registry, use, why):
    with pytest.raises(SRFrameworkError) as refused:
        point_estimate(metric_of([{"use": use}], "recall", registry), FEW)
    assert str(refused.value).startswith(why)


def test_a_metric_that_is_defined_for_no_resample_has_no_interval(registry, monkeypatch):
    monkeypatch.setattr(Recall, "resampled", lambda _, __, counts: {"recall": np.full(len(counts), np.nan)})
    with pytest.raises(DataError, match="recall is not defined for resampled examples"):
        over_examples(metric_of([{"use": "recall"}], "recall", registry), [Sample([FEW], [FEW])], 100)
