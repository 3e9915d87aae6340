"""Declarations of figures, with evaluators as other distributions could have them."""

from __future__ import annotations

import datasets
import numpy as np
import pytest

from srf_evaluators import NoOptions
from srf_evaluators.classification import F1, Accuracy
from srf_evaluators.sparsity import Sparsity
from srframework import Evaluator, Figure, PluginError, Predictions, Split
from srframework.run.evaluators import Evaluators, Listed


class Loss(Evaluator):
    """Mean cross-entropy in nats; ``better`` is its declared direction."""

    def __init__(self, better: str = "lower", name: str = "loss") -> None:
        super().__init__(NoOptions())
        self.better, self.name = better, name

    def figures(self) -> list[Figure]:
        return [Figure(self.name, "nats", self.better, "Mean cross-entropy.")]

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        scores = predictions.logits.astype(np.float64)
        log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return {"loss": -log_probs[np.arange(len(scores)), predictions.gold].mean()}


def of(*kinds: type[Evaluator] | Evaluator) -> Evaluators:
    return Evaluators([Listed(kind(NoOptions()) if isinstance(kind, type) else kind) for kind in kinds])


def two() -> Predictions:
    split = Split("dev", datasets.Dataset.from_dict({"label": [0, 1]}), ("no", "yes"))
    return Predictions.of_split(split, np.array([[0, 0], [0, np.log(3)]], dtype=np.float32))


@pytest.mark.parametrize(
    ("declared", "name", "covered"),
    [
        ("accuracy", "accuracy", True),
        ("accuracy", "accuracy/yes", False),
        ("hans/*", "hans/subsequence", True),
        ("hans/*", "hans/subsequence/entailment", True),
        ("hans/*", "hans", False),
        ("hans/*", "hansel/x", False),
    ],
)
def test_a_declaration_covers_its_name_or_the_names_below_it(declared, name, covered):
    assert Figure(declared, "fraction", "higher", "x").covers(name) is covered


def test_a_loss_in_nats_can_be_the_metric_of_a_task():
    evaluators = of(Accuracy, Loss())
    figure = evaluators.task_metric("loss", "dataset 'mine'")
    assert (figure.unit, figure.better) == ("nats", "lower")
    found = evaluators.figures(two())
    assert found == pytest.approx({"accuracy": 1.0, "loss": (np.log(2) + np.log(4 / 3)) / 2})


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (
            "acuracy",
            "its metric is 'acuracy', but the evaluators of the recipe declare only: accuracy, f1, f1/*, accuracy/*, ",
        ),
        ("sparsity", "its metric is 'sparsity', which cannot choose a checkpoint, because its evaluator declares "),
    ],
)
def test_a_metric_without_a_declared_direction_is_refused(metric, message):
    with pytest.raises(PluginError) as refused:
        of(Accuracy, F1, Sparsity).task_metric(metric, "dataset 'mine'")
    assert str(refused.value).startswith(f"dataset 'mine': {message}")


def test_a_metric_that_nearly_is_a_figure_suggests_it():
    with pytest.raises(PluginError, match="did you mean 'accuracy'"):
        of(Accuracy).task_metric("acuracy", "dataset 'mine'")


def test_two_declarations_of_a_figure_must_agree():
    with pytest.raises(PluginError, match="'loss' differently: nats, better: lower and nats, better: higher"):
        of(Loss(), Loss("higher")).declaration("loss")


def test_a_figure_that_is_not_declared_is_refused():
    with pytest.raises(PluginError, match=r"evaluate\(\) must return only figures that figures\(\) declares: other"):
        of(Loss(name="other")).figures(two())
