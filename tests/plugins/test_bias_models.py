"""The bias model ``bias-logistic``, against scikit-learn and by hand."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from srf_debiasers.bias import LogisticBias
from srf_debiasers.options import LogisticBiasOptions
from srframework import DataError, Split, TaskData

LABELS = ("contradiction", "entailment", "neutral")


def make_split(name: str, labels: list[int], features: Any = None) -> Split:
    """A split whose examples carry their features with them."""
    columns = {"text_a": ["a"] * len(labels), "label": labels}
    if features is not None:
        columns["features"] = np.asarray(features, dtype=np.float64).tolist()
    return Split(name, datasets.Dataset.from_dict(columns), LABELS)


def task(train: Split, **more: object) -> TaskData:
    return TaskData(LABELS, "accuracy", train, train, **more)


def carried(split: Split) -> np.ndarray:
    return np.array(split.examples["features"])


def fitted(labels: list[int], features: Any, merged_labels: tuple[str, ...] = (), **options: object) -> LogisticBias:
    """Fitted on a task; ``features`` may be of any shape."""
    bias = LogisticBias(LogisticBiasOptions(**options))
    bias.fit(task(make_split("train", labels), merged_labels=merged_labels), lambda _: np.asarray(features))
    return bias


def logistic(labels: list[int], features: Any, **options: object) -> np.ndarray:
    """Log p_b of the training examples."""
    train, bias = make_split("train", labels, features), LogisticBias(LogisticBiasOptions(**options))
    bias.fit(task(train), carried)
    return bias.log_probs(train)


def some_examples(examples: int = 90, seed: int = 0) -> tuple[list[int], np.ndarray]:
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(examples, 4))
    scores = features[:, :3] + 2 * draw.gumbel(size=(examples, 3))
    return scores.argmax(axis=1).tolist(), features


class TestLogistic:
    @pytest.mark.parametrize(
        ("options", "same"),
        [
            ({}, {"C": 100.0, "class_weight": "balanced"}),
            ({"balanced": False}, {"C": 100.0}),
            ({"c": 0.01}, {"C": 0.01, "class_weight": "balanced"}),
        ],
    )
    def test_it_is_scikit_learns_on_the_training_set_and_on_others(self, options, same):
        (labels, features), (unseen_labels, unseen) = some_examples(), some_examples(30, seed=1)
        theirs = LogisticRegression(max_iter=1000, **same).fit(features, labels)
        train, dev = make_split("train", labels, features), make_split("dev", unseen_labels, unseen)
        bias = LogisticBias(LogisticBiasOptions(**options))
        bias.fit(task(train), carried)
        np.testing.assert_allclose(bias.log_probs(train), theirs.predict_log_proba(features), rtol=0, atol=1e-6)
        np.testing.assert_allclose(bias.log_probs(dev), theirs.predict_log_proba(unseen), rtol=0, atol=1e-6)

    def test_features_that_say_nothing_give_the_share_of_each_label(self):
        log_probs = logistic([0] * 6 + [1] * 3 + [2], np.zeros((10, 2)), balanced=False)
        np.testing.assert_allclose(np.exp(log_probs), [[0.6, 0.3, 0.1]] * 10, atol=1e-4)

    def test_balanced_gives_each_label_the_same(self):
        log_probs = logistic([0] * 6 + [1] * 3 + [2], np.zeros((10, 2)))
        np.testing.assert_allclose(np.exp(log_probs), [[1 / 3] * 3] * 10, atol=1e-4)

    def test_columns_are_in_the_order_of_the_labels(self):
        labels = [2, 0, 1, 2, 0, 1]
        assert logistic(labels, np.eye(3)[labels]).argmax(axis=1).tolist() == labels

    def test_separable_features_give_finite_normalised_log_probabilities(self):
        labels = [0, 1, 2] * 4
        log_probs = logistic(labels, 1e6 * np.eye(3)[labels], c=1e12)
        assert np.isfinite(log_probs).all()
        np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-12)
        assert log_probs.min() >= np.log(1e-8) - 1e-6

    def test_two_fits_give_the_same_bits(self):
        assert np.array_equal(logistic(*some_examples()), logistic(*some_examples()))

    def test_the_training_set_is_predicted_as_any_other_split_is(self):
        labels, features = some_examples()
        train, again = make_split("train", labels, features), make_split("again", labels, features)
        bias = LogisticBias(LogisticBiasOptions())
        bias.fit(task(train), carried)
        assert np.array_equal(bias.log_probs(train), bias.log_probs(again))

    def test_the_features_of_the_training_set_are_made_once(self):
        train, bias, asked = make_split("train", *some_examples()), LogisticBias(LogisticBiasOptions()), []
        bias.fit(task(train), lambda split: asked.append(split.name) or carried(split))
        bias.log_probs(train)
        assert asked == ["train"]

    def test_what_a_caller_does_to_its_copy_changes_nothing(self):
        train, bias = make_split("train", *some_examples()), LogisticBias(LogisticBiasOptions())
        bias.fit(task(train), carried)
        before = bias.log_probs(train).copy()
        bias.log_probs(train)[:] = 0
        assert np.array_equal(bias.log_probs(train), before)

    def test_a_split_without_examples_has_no_rows(self):
        assert fitted([0, 1, 2], np.eye(3)).log_probs(make_split("none", [])).shape == (0, 3)

    @pytest.mark.parametrize(
        ("labels", "names"),
        [([0, 0, 2], "'entailment'"), ([1, 1, 1], "'contradiction', 'neutral'"), ([], ", ".join(map(repr, LABELS)))],
    )
    def test_labels_without_examples_are_named(self, labels, names):
        with pytest.raises(DataError) as refused:
            fitted(labels, np.zeros((len(labels), 1)))
        assert str(refused.value) == (f"bias-logistic: expected training examples of every label, got none of {names}")

    @pytest.mark.parametrize(
        ("features", "got"),
        [
            (np.zeros((2, 4)), "(2, 4)"),
            (np.zeros(3), "(3,)"),
            (np.array([[0.0], [np.nan], [0.0]]), "some that are not finite"),
            (np.array([[0.0], [np.inf], [0.0]]), "some that are not finite"),
        ],
        ids=["rows", "dimensions", "NaN", "infinite"],
    )
    def test_features_that_are_not_a_finite_row_for_each_example_are_refused(self, features, got):
        with pytest.raises(DataError) as refused:
            fitted([0, 1, 2], features)
        expected = "expected finite features of shape (3, F)"
        assert str(refused.value) == f"bias-logistic: split 'train': {expected}, got {got}"

    @pytest.mark.parametrize(
        ("features", "got"),
        [([[0.0]] * 2, "(2, 1)"), ([[0.0] * 3], "(1, 3)"), ([[np.nan] * 3] * 2, "some that are not finite")],
        ids=["width", "rows", "NaN"],
    )
    def test_features_of_another_split_are_as_long_as_those_of_the_training_set(self, features, got):
        answers = {"train": np.eye(3), "dev": np.array(features)}
        bias = LogisticBias(LogisticBiasOptions())
        bias.fit(task(make_split("train", [0, 1, 2])), lambda split: answers[split.name])
        with pytest.raises(DataError) as refused:
            bias.log_probs(make_split("dev", [0, 0]))
        expected = "expected finite features of shape (2, 3)"
        assert str(refused.value) == f"bias-logistic: split 'dev': {expected}, got {got}"

    def test_a_data_set_without_features_is_refused(self):
        with pytest.raises(
            DataError, match="bias-logistic: expected a data set with spurious features, got one without"
        ):
            LogisticBias(LogisticBiasOptions()).fit(task(make_split("train", [0, 1, 2])), None)

    @pytest.mark.parametrize("c", [0.0, -1.0, float("inf")])
    def test_a_penalty_out_of_range_is_refused(self, c):
        with pytest.raises(ValidationError) as refused:
            LogisticBiasOptions(c=c)
        assert [error["loc"] for error in refused.value.errors()] == [("c",)]


class TestMerged:
    """Entailment against the rest, whose two labels share its probability (Clark et al. 2019)."""

    @pytest.mark.parametrize(
        ("merged_labels", "options"),
        [
            ((), {"merge": ["contradiction", "neutral"]}),
            ((), {"merge": ("neutral", "contradiction")}),
            (("contradiction", "neutral"), {}),
            (("entailment", "neutral"), {"merge": ["contradiction", "neutral"]}),
        ],
        ids=["option", "another order", "the data set's", "the option comes first"],
    )
    @pytest.mark.parametrize("balanced", [True, False])
    def test_it_is_scikit_learns_two_way_fit_with_the_rest_halved(self, merged_labels, options, balanced):
        (labels, features), (_, unseen) = some_examples(), some_examples(30, seed=1)
        binary = [int(label == 1) for label in labels]
        weight = "balanced" if balanced else None
        theirs = LogisticRegression(C=100.0, class_weight=weight, max_iter=1000).fit(features, binary)
        bias = LogisticBias(LogisticBiasOptions(balanced=balanced, **options))
        bias.fit(task(make_split("train", labels, features), merged_labels=merged_labels), carried)
        rest, entailment = theirs.predict_proba(unseen).T
        expected = np.log(np.stack([rest / 2, entailment, rest / 2], axis=1))
        got = bias.log_probs(make_split("dev", [0] * 30, unseen))
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
        assert np.array_equal(got[:, 0], got[:, 2])

    def test_by_hand(self):
        # 4 of 5 examples are not entailed; features that say nothing leave the shares: 4/5 in halves, and 1/5.
        bias = fitted([0, 0, 0, 1, 2], np.zeros((5, 1)), ("contradiction", "neutral"), balanced=False)
        got = np.exp(bias.log_probs(make_split("dev", [0] * 5)))
        np.testing.assert_allclose(got, [[0.4, 0.2, 0.4]] * 5, atol=1e-4)

    def test_a_merged_label_may_be_without_examples_of_its_own(self):
        bias = fitted([0, 1, 0, 1], np.zeros((4, 1)), merge=["contradiction", "neutral"])
        got = np.exp(bias.log_probs(make_split("dev", [0] * 4)))
        np.testing.assert_allclose(got, [[0.25, 0.5, 0.25]] * 4, atol=1e-4)

    def test_merged_labels_of_which_none_has_examples_are_both_named(self):
        with pytest.raises(DataError, match="got none of 'contradiction', 'neutral'"):
            fitted([1, 1], np.zeros((2, 1)), merge=["contradiction", "neutral"])

    def test_one_merged_label_of_a_data_set_is_merged_with_nothing(self):
        labels, features = some_examples()
        alone = fitted(labels, features, ("neutral",)).log_probs(make_split("dev", labels))
        assert np.array_equal(alone, fitted(labels, features).log_probs(make_split("dev", labels)))

    @pytest.mark.parametrize(
        ("merge", "message"),
        [
            (
                ["neutrl", "contradiction"],
                "expected labels among: contradiction, entailment, neutral; got 'neutrl'; did you mean 'neutral'?",
            ),
            (["neutral", "0"], "expected labels among: contradiction, entailment, neutral; got '0'"),
            (
                ["neutral", "entailment", "contradiction"],
                "expected some of the labels, got all: neutral, entailment, contradiction",
            ),
        ],
    )
    @pytest.mark.parametrize("by_option", [True, False])
    def test_labels_that_cannot_be_merged_are_refused(self, merge, message, by_option):
        options, where = ({"merge": merge}, "merge") if by_option else ({}, "merged_labels of the data set")
        with pytest.raises(DataError) as refused:
            fitted([0, 1, 2], np.eye(3), () if by_option else tuple(merge), **options)
        assert str(refused.value) == f"bias-logistic: {where}: {message}"

    def test_an_empty_list_merges_nothing_whatever_the_data_set_says(self):
        features = np.eye(3)
        merged = ("contradiction", "neutral")
        by_option, plain = fitted([0, 1, 2], features, merged, merge=[]), fitted([0, 1, 2], features)
        split = make_split("train", [0, 1, 2])
        assert np.array_equal(by_option.log_probs(split), plain.log_probs(split))

    @pytest.mark.parametrize(
        ("merge", "message"),
        [
            (["neutral"], "two or more labels"),
            (["neutral", "neutral"], "each once"),
            ("neutral", "tuple"),
            (["neutral", 1], "string"),
        ],
    )
    def test_what_is_no_two_labels_is_refused_with_the_recipe(self, merge, message):
        with pytest.raises(ValidationError, match=message):
            LogisticBiasOptions(merge=merge)
