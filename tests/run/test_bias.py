from __future__ import annotations

import math
from dataclasses import replace

import datasets
import numpy as np
import pytest

from srframework import testing
from srframework.component import Component, Options
from srframework.contracts import BiasModel, Network, Split, TaskData
from srframework.errors import DataError, PluginError
from srframework.recipe.model import Use
from srframework.registry.discovery import Plugin
from srframework.registry.registry import Registered
from srframework.run.bias import FittedBias

LABELS = ("no", "yes", "maybe")


def split(name: str, labels: list[int], names: tuple[str, ...] = LABELS, collapse: tuple[int, ...] | None = None):
    columns = {"text_a": ["a"] * len(labels), "label": labels}
    return Split(name, datasets.Dataset.from_dict(columns), names, collapse)


TRAIN = split("train", [0, 1, 2, 0])
DEV = split("dev", [1])
HANS = split("hans", [1, 0, 0, 1, 0], ("entailed", "not"), collapse=(1, 0, 1))
MORE = split("more", [2])
TASK = TaskData(LABELS, "accuracy", TRAIN, DEV, ood=(HANS,), also=(MORE,))


class Known(BiasModel):
    """Says what it was told, and notes what it is asked."""

    def __init__(self, **probabilities: object) -> None:
        super().__init__(None)
        self.said, self.asked, self.fitted = probabilities, [], []

    def fit(self, task, features):
        self.fitted.append((task, features))

    def log_probs(self, split):
        self.asked.append(split.name)
        said = self.said.get(split.name)
        return None if said is None else np.log(np.asarray(said, dtype=np.float64))


@pytest.fixture(scope="module")
def network() -> Network:
    return testing.network()


@pytest.fixture
def fit(network):
    """Fit a bias model that is given, as the component ``known`` of another distribution."""

    def fit(model: BiasModel, task: TaskData = TASK) -> FittedBias:
        component = Component(name="known", options=Options, factory=lambda _: model, summary="x", source="x")
        plugin = Plugin("other", "1", "e", "m", "loaded", components=(("bias", component),))
        return FittedBias(Use(Registered("bias", component, plugin), Options()), task, network)

    return fit


def test_the_report_is_of_every_split_of_which_something_is_known(fit):
    train = [[0.8, 0.1, 0.1], [0.9, 0.05, 0.05], [0.1, 0.1, 0.8], [0.79, 0.2, 0.01]]
    report = fit(Known(train=train, more=[[0.1, 0.2, 0.7]])).report()
    assert report["use"] == "known"
    assert report["confident_from"] == 0.8
    assert list(report["splits"]) == ["train", "more"]
    # right: 1, 3, 4; confident: 1, 2 and 3, since 0.8 is enough and 0.79 is not
    assert report["splits"]["train"] == {"accuracy": 0.75, "confidently_right": 0.5, "confidently_wrong": 0.25}
    assert report["splits"]["more"] == {"accuracy": 1.0, "confidently_right": 0.0, "confidently_wrong": 0.0}


def test_collapsed_labels_add_their_probabilities(fit):
    hans = [
        [0.3, 0.4, 0.3],  # entailed 0.4, not 0.6: right, though entailment is the likeliest label of the three
        [0.4, 0.2, 0.4],  # not 0.8, gold entailed: confidently wrong, though no label has 0.8 by itself
        [0.05, 0.9, 0.05],  # entailed 0.9: confidently right
        [0.5, 0.1, 0.4],  # not 0.9: confidently right
        [0.1, 0.7, 0.2],  # entailed 0.7: right
    ]
    report = fit(Known(hans=hans)).report()
    assert report["splits"]["hans"] == {"accuracy": 0.8, "confidently_right": 0.4, "confidently_wrong": 0.2}


def share(accuracy: float, right: float = 0.0, wrong: float = 0.0) -> dict[str, object]:
    expected = {"accuracy": accuracy, "confidently_right": right, "confidently_wrong": wrong}
    return {name: pytest.approx(value, abs=1e-12) for name, value in expected.items()}


def test_of_an_example_that_labels_tie_for_each_has_its_share(fit):
    train = [
        [0.4, 0.4, 0.2],  # a half
        [1 / 3, 1 / 3, 1 / 3],  # a third
        [0.4, 0.4, 0.2],  # gold is the third label: nothing
        [0.45, 0.1, 0.45],  # a half
    ]
    hans = [
        [0.25, 0.5, 0.25],  # not 0.5, entailed 0.5: a half, though no two of the three are alike
        [0.4, 0.4, 0.2],  # not 0.6 against 0.4: gold entailed, nothing
        *[[0.1, 0.8, 0.1]] * 3,  # gold entailed, not, entailed: confidently right, wrong, right
    ]
    task = replace(TASK, ood=(split("hans", [1, 0, 0, 1, 0], ("entailed", "not"), collapse=(1, 0, 1)),))
    report = fit(Known(train=train, hans=hans), task).report()["splits"]
    assert report["train"] == share((1 / 2 + 1 / 3 + 0 + 1 / 2) / 4)
    assert report["hans"] == share((1 / 2 + 0 + 1 + 0 + 1) / 5, right=2 / 5, wrong=1 / 5)


@pytest.mark.parametrize(("more", "accuracy"), [(0.0, 0.5), (1e-7, 0.5), (1e-4, 1.0), (-1e-7, 0.5), (-1e-4, 0.0)])
def test_labels_tie_to_the_precision_of_what_is_kept(fit, more, accuracy):
    report = fit(Known(dev=[[0.4, 0.4 + more, 0.2 - more]])).report()["splits"]
    assert report["dev"] == share(accuracy)


@pytest.mark.parametrize("merged", [("no", "maybe"), ("maybe", "no")])
def test_labels_that_the_features_cannot_tell_apart_are_reported_as_one_too(fit, merged):
    train = [
        [0.45, 0.1, 0.45],  # gold no: by themselves they tie; together 0.9, confidently right
        [0.05, 0.9, 0.05],  # gold yes: confidently right both ways
        [0.3, 0.4, 0.3],  # gold maybe: wrong by itself; together 0.6, right
        [0.1, 0.8, 0.1],  # gold no: confidently wrong both ways
    ]
    known = Known(train=train, dev=[[0.4, 0.2, 0.4]], hans=np.full((5, 3), 1 / 3))
    report = fit(known, replace(TASK, merged_labels=merged)).report()["splits"]
    merged_figures = {name: figures.pop("merged", None) for name, figures in report.items()}
    assert report["train"] == share((1 / 2 + 1) / 4, right=1 / 4, wrong=1 / 4)
    assert merged_figures["train"] == share(3 / 4, right=2 / 4, wrong=1 / 4)
    assert report["dev"] == share(0.0)
    assert merged_figures["dev"] == share(0.0, wrong=1.0)  # gold yes: 0.2 against 0.8
    assert merged_figures["hans"] is None  # has labels of its own, into which those of the model are collapsed


def test_merged_labels_may_be_all_of_them(fit):
    report = fit(Known(dev=[[0.6, 0.3, 0.1]]), replace(TASK, merged_labels=LABELS)).report()["splits"]
    assert report["dev"].pop("merged") == share(1.0, right=1.0)
    assert report["dev"] == share(0.0)


def test_a_task_without_merged_labels_has_no_such_figures(fit):
    assert "merged" not in fit(Known(dev=[[0.6, 0.3, 0.1]])).report()["splits"]["dev"]


@pytest.mark.parametrize(("probability", "confident"), [(0.7999, 0.0), (0.8, 1.0), (0.8001, 1.0)])
def test_confidence_begins_at_the_boundary_itself(fit, probability, confident):
    rest = (1 - probability) / 2
    report = fit(Known(dev=[[rest, probability, rest]])).report()
    assert report["splits"]["dev"] == {"accuracy": 1.0, "confidently_right": confident, "confidently_wrong": 0.0}


def test_the_log_probabilities_are_single_and_asked_for_once(fit):
    model = Known(train=np.full((4, 3), 1 / 3))
    bias = fit(model)
    bias.report()
    first, again = bias.log_probs(TRAIN), bias.log_probs(TRAIN)
    assert first.dtype == np.float32
    assert first.tolist() == [[pytest.approx(-math.log(3), abs=1e-7)] * 3] * 4
    assert again is first
    assert model.asked == ["train", "dev", "more", "hans"]


def test_it_is_fitted_once_on_features_that_have_the_networks_word_vectors(fit, network):
    def features(split: Split, vectors) -> np.ndarray:
        return vectors(split.examples["text_a"])

    model = Known()
    task = TaskData(LABELS, "accuracy", TRAIN, DEV, spurious_features=features)
    fit(model, task)
    ((fitted_on, asked),) = model.fitted
    assert fitted_on is task
    row = network.model.get_input_embeddings().weight[network.tokenizer.convert_tokens_to_ids("a")]
    assert np.array_equal(asked(TRAIN), np.tile(row.detach().numpy(), (4, 1)))


def test_the_report_says_whether_the_features_are_of_the_backbone(fit):
    class Asks(Known):
        def fit(self, task, features):
            features(TRAIN)

    def of_backbone(split: Split, vectors) -> np.ndarray:
        return vectors(split.examples["text_a"])

    def of_a_file(split: Split, vectors) -> np.ndarray:
        return np.zeros((len(split.examples), 1))

    for features, expected in ((of_backbone, "backbone"), (of_a_file, None)):
        task = TaskData(LABELS, "accuracy", TRAIN, DEV, spurious_features=features)
        bias = fit(Asks(), task)
        assert bias.report()["word_vectors"] == expected
        assert bias.uses_embeddings == (expected is not None)
    assert fit(Known()).report()["word_vectors"] is None  # never asked for features


def test_a_task_without_features_gives_none_to_the_fit(fit):
    model = Known()
    fit(model)
    assert model.fitted == [(TASK, None)]


def test_to_train_on_a_split_of_which_nothing_is_known_is_refused(fit):
    bias = fit(Known(train=np.full((4, 3), 1 / 3)))
    assert bias.log_probs(TRAIN).shape == (4, 3)
    with pytest.raises(DataError) as refused:
        bias.log_probs(split("ood_train", [0]))
    assert str(refused.value) == (
        "bias: 'known' has no predictions for the split 'ood_train', but a stage trains on it"
    )


@pytest.mark.parametrize(
    ("said", "got"),
    [
        (np.full((4, 2), 0.5), "(4, 2)"),
        (np.full((3, 3), 1 / 3), "(3, 3)"),
        (np.full(4, 0.5), "(4,)"),
        ([[1 / 3] * 3] * 3 + [[0.5, 0.5, math.nan]], "some that are not finite"),
        ([[1 / 3] * 3] * 3 + [[math.inf, 0.5, 0.5]], "some that are not finite"),
    ],
    ids=["labels", "examples", "flat", "nan", "infinite"],
)
def test_what_is_no_log_probabilities_is_the_plugins_fault(fit, said, got):
    bias = fit(Known(train=said))
    with pytest.raises(PluginError) as broken:
        bias.report()
    assert str(broken.value) == (
        f"bias model 'known' of other 1: expected finite log-probabilities of shape (4, 3), got {got}"
    )


def test_p_b_of_the_labels_of_a_split(fit):
    hans = [[0.3, 0.4, 0.3], [0.1, 0.1, 0.8], [0.2, 0.5, 0.3], [0.25, 0.5, 0.25], [0.0001, 0.9998, 0.0001]]
    bias = fit(Known(train=[[1 / 3] * 3] * 4, dev=[[0.2, 0.3, 0.5]], hans=hans))
    expected = [[0.4, 0.6], [0.1, 0.9], [0.5, 0.5], [0.5, 0.5], [0.9998, 0.0002]]
    np.testing.assert_allclose(bias.probabilities(HANS), expected, atol=1e-6)
    np.testing.assert_allclose(bias.probabilities(DEV), [[0.2, 0.3, 0.5]], atol=1e-6)
    assert bias.probabilities(MORE) is None
