"""Where the metric of a comparison comes from, with evaluators of a distribution of its own."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import Field

from srframework.component import Component, Options
from srframework.contracts import Evaluator, Figure
from srframework.errors import DataError, PluginError
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

    def of_confusion(self, confusion):
        of_label = confusion[:, self.options.label, :]
        return {"recall": of_label[:, self.options.label] / np.maximum(of_label.sum(axis=1), 1)}


class Broken(Silent):
    def of_confusion(self, confusion):
        return {"recall": np.full(len(confusion) - 1, 0.5)}


class Raising(Silent):
    def of_confusion(self, confusion):
        raise LookupError("no luck")


FACTORIES = {"recall": Recall, "silent": Silent, "broken": Broken, "raising": Raising, "nowhere": "no_such:Thing"}


@pytest.fixture
def registry() -> Registry:
    components = tuple(
        ("evaluator", Component(name=name, options=Which, factory=factory, summary="x", source="x"))
        for name, factory in FACTORIES.items()
    )
    return Registry([Plugin("other", "1", "e", "m", "loaded", components=components)])


LABELS = np.array([0, 1, 1, 1])
PREDICTED = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(("options", "expected"), [({}, 2 / 3), ({"label": 0}, 1.0)])
def test_a_plugins_metric_is_computed_with_the_options_of_the_recipe(registry, options, expected):
    metric = metric_of([{"use": "silent"}, {"use": "other/recall", **options}], "recall", registry)
    assert point_estimate(metric, LABELS, PREDICTED) == pytest.approx(expected)


def test_a_plugins_metric_has_an_interval(registry):
    metric = metric_of([{"use": "recall"}], "recall", registry)
    labels, wrong = np.ones(400, dtype=np.int64), np.ones((1, 400), dtype=np.int64)
    wrong[0, :40] = 0
    # The difference of the recalls is Binomial(400, 0.1) / 400.
    low, high = over_examples(metric, [Sample(labels, wrong, np.ones_like(wrong))], 10_000)
    assert (low, high) == pytest.approx((0.0725, 0.13), abs=0.005)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"use": "silent"}, "(silent) computes recall of a confusion matrix"),
        ({"use": "gone"}, "no evaluator is named 'gone'"),
        ({}, "no evaluator is named 'None'"),
        ({"use": "recall", "label": -1}, "evaluator 'recall' refuses its options: Input should be greater than"),
        ({"use": "nowhere"}, "evaluator 'nowhere' of other 1: no_such:Thing cannot be imported"),
        ({"use": "raising"}, "evaluator 'raising' of other 1: its of_confusion() fails: LookupError: no luck"),
        (
            {"use": "broken"},
            "evaluator 'broken' of other 1: its of_confusion() must return finite numbers of shape (1,) as 'recall'",
        ),
    ],
)
def test_why_there_is_no_metric_is_a_sentence(registry, table, why):
    with pytest.raises(DataError) as refused:
        metric_of([table], "recall", registry)
    assert str(refused.value).startswith("no evaluator of the recipe (")
    assert why in str(refused.value)


def test_a_metric_that_fails_later_is_the_plugins_fault(registry, monkeypatch):
    metric = metric_of([{"use": "recall"}], "recall", registry)
    monkeypatch.setattr(Recall, "of_confusion", lambda *_: {"recall": np.array([np.nan])})
    with pytest.raises(PluginError, match="evaluator 'recall' of other 1"):
        point_estimate(metric, LABELS, PREDICTED)
