"""The accuracies where the bias model is right and where it is wrong, against counts made by hand."""

from __future__ import annotations

from dataclasses import replace

import datasets
import numpy as np
import pytest

from srf_evaluators.bias_groups import BiasGroups
from srf_evaluators.classification import Accuracy
from srf_evaluators.options import NoOptions
from srframework import Predictions, Split
from srframework.run.evaluators import Evaluators, Listed

NLI = ("contradiction", "entailment", "neutral")
GROUPS = BiasGroups(NoOptions())
GOLD, PREDICTED = [0, 0, 1, 1, 2, 2], [0, 1, 1, 0, 2, 0]  # right, wrong, right, wrong, right, wrong
BIAS = [
    [0.6, 0.3, 0.1],  # aligned
    [0.1, 0.5, 0.4],  # conflicting
    [0.4, 0.4, 0.2],  # aligned: one of two equal labels
    [0.2, 0.3, 0.5],  # conflicting
    [0.2, 0.6, 0.2],  # conflicting
    [0.1, 0.1, 0.8],  # aligned
]


def predictions(gold=GOLD, predicted=PREDICTED, bias=BIAS) -> Predictions:
    split = Split("dev", datasets.Dataset.from_dict({"label": gold}), NLI)
    logits = np.eye(3, dtype=np.float32)[predicted]
    return Predictions.of_split(split, logits, bias_probs=None if bias is None else np.array(bias, dtype=np.float32))


def test_accuracies_and_sizes_of_both_groups_and_of_their_labels():
    assert GROUPS.evaluate(predictions()) == {
        "bias-groups/aligned": pytest.approx(2 / 3),
        "bias-groups/aligned/contradiction": 1.0,
        "bias-groups/aligned/entailment": 1.0,
        "bias-groups/aligned/neutral": 0.0,
        "bias-groups/conflicting": pytest.approx(1 / 3),
        "bias-groups/conflicting/contradiction": 0.0,
        "bias-groups/conflicting/entailment": 0.0,
        "bias-groups/conflicting/neutral": 1.0,
        "bias-group-size/aligned": 3.0,
        "bias-group-size/aligned/contradiction": 1.0,
        "bias-group-size/aligned/entailment": 1.0,
        "bias-group-size/aligned/neutral": 1.0,
        "bias-group-size/conflicting": 3.0,
        "bias-group-size/conflicting/contradiction": 1.0,
        "bias-group-size/conflicting/entailment": 1.0,
        "bias-group-size/conflicting/neutral": 1.0,
    }


def test_a_group_without_examples_has_no_figure():
    found = GROUPS.evaluate(predictions([0, 1], [0, 0], [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]))
    assert found == {
        "bias-groups/aligned": 0.5,
        "bias-groups/aligned/contradiction": 1.0,
        "bias-groups/aligned/entailment": 0.0,
        "bias-group-size/aligned": 2.0,
        "bias-group-size/aligned/contradiction": 1.0,
        "bias-group-size/aligned/entailment": 1.0,
    }


def test_of_resamples():
    counts = np.array([[1, 0, 0, 0, 0, 2], [0, 1, 0, 0, 3, 0]], dtype=np.float64)
    found = GROUPS.resampled(predictions(), counts)
    np.testing.assert_allclose(found["bias-groups/aligned"], [1 / 3, np.nan])
    np.testing.assert_allclose(found["bias-groups/conflicting"], [np.nan, 3 / 4])


def test_a_split_without_p_b_has_no_such_figures():
    every = Evaluators([Listed(Accuracy(NoOptions())), Listed(GROUPS, needs_bias=True)])
    assert every.need_bias
    assert every.figures(predictions(bias=None)) == {"accuracy": 0.5}
    assert every.figures(predictions())["bias-groups/aligned"] == pytest.approx(2 / 3)


def test_only_evaluators_that_require_p_b_get_it():
    got = []

    class Curious(Accuracy):
        def evaluate(self, predictions):
            got.append(predictions.bias_probs)
            return super().evaluate(predictions)

        def measure(self, evaluated):
            got.extend(each.bias_probs for each in (evaluated.id, evaluated.dev, *evaluated.ood, *evaluated.also))
            return {}

    from srframework.contracts import Evaluated

    given = predictions()
    other = replace(given, split="hans")
    model = Evaluated(given, given, (other,), (other,), {}, network=None, mask=None, pretrained=None)
    for needs_bias in (False, True):
        evaluators = Evaluators([Listed(Curious(NoOptions()), needs_bias=needs_bias)])
        evaluators.figures(given)
        evaluators.measures(model)
        assert [each is not None for each in got] == [needs_bias] * 5
        got.clear()
