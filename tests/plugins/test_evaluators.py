"""The evaluators, against counts made by hand and against scikit-learn."""

from __future__ import annotations

from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import accuracy_score, f1_score

from srf_evaluators import srframework_evaluators
from srf_evaluators.bias_groups import BiasGroups
from srf_evaluators.classification import F1, Accuracy
from srf_evaluators.hans import Hans
from srf_evaluators.options import NoOptions, WorstGroupOptions
from srf_evaluators.sparsity import Sparsity
from srf_evaluators.worst_group import WorstGroup
from srframework import Predictions, Split

NLI = ("contradiction", "entailment", "neutral")
ACCURACY, WEIGHTED_F1, HANS, SPARSITY = (kind(NoOptions()) for kind in (Accuracy, F1, Hans, Sparsity))


def predictions(
    gold: list[int],
    predicted: list[int],
    labels: tuple[str, ...] = NLI,
    collapse: tuple[int, ...] | None = None,
    heuristics: list[str] | None = None,
) -> Predictions:
    columns = {"label": gold} | ({"heuristic": heuristics} if heuristics is not None else {})
    split = Split("dev", datasets.Dataset.from_dict(columns), labels, collapse)
    outputs = len(collapse) if collapse is not None else len(labels)
    return Predictions.of_split(split, np.eye(outputs, dtype=np.float32)[predicted] * 3 - 1, columns)


def of(matrices: dict[str, torch.Tensor]) -> SimpleNamespace:
    """A model of these matrices, after its evaluation."""
    return SimpleNamespace(network=SimpleNamespace(counted=lambda: matrices))


class TestPredictions:
    def test_the_label_with_the_highest_logit_is_predicted_and_the_first_of_a_tie(self):
        split = Split("dev", datasets.Dataset.from_dict({"label": [0, 0, 0]}), NLI)
        logits = np.array([[-1, -3, -2], [0, 2, 2], [1, 1, 1]], dtype=np.float32)
        assert Predictions.of_split(split, logits).predicted.tolist() == [0, 1, 0]

    def test_three_labels_collapse_into_two(self):
        given = predictions([0, 0, 1], [0, 2, 1], ("non-entailment", "entailment"), collapse=(0, 1, 0))
        assert given.predicted.tolist() == [0, 0, 1]
        assert given.gold.tolist() == [0, 0, 1]


class TestAccuracy:
    @pytest.mark.parametrize(
        ("gold", "predicted", "expected"),
        [
            ([0, 1, 2, 0], [0, 1, 2, 0], 1.0),
            ([0, 1, 2, 0], [1, 2, 0, 1], 0.0),
            ([0, 1, 2, 0], [0, 1, 0, 1], 0.5),
            ([1], [1], 1.0),
        ],
    )
    def test_it_is_the_share_of_right_predictions(self, gold, predicted, expected):
        assert ACCURACY.evaluate(predictions(gold, predicted)) == {"accuracy": expected}

    def test_it_counts_in_the_labels_of_the_split(self):
        given = predictions([0, 0, 1, 1], [0, 2, 1, 2], ("non-entailment", "entailment"), collapse=(0, 1, 0))
        assert ACCURACY.evaluate(given) == {"accuracy": 0.75}


class TestF1:
    def test_each_class_is_weighted_by_its_true_examples(self):
        gold, predicted = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0]
        figures = WEIGHTED_F1.evaluate(predictions(gold, predicted))
        zero, one, two = 2 * 2 / (3 + 3), 2 * 2 / (2 + 3), 0.0
        assert figures["f1"] == pytest.approx((3 * zero + 2 * one + 1 * two) / 6)
        assert figures == pytest.approx(
            {
                "f1": figures["f1"],
                "f1/contradiction": zero,
                "f1/entailment": one,
                "f1/neutral": two,
                "accuracy/contradiction": 2 / 3,
                "accuracy/entailment": 1.0,
                "accuracy/neutral": 0.0,
            }
        )

    def test_a_class_that_is_never_predicted_has_an_f1_of_zero(self):
        figures = WEIGHTED_F1.evaluate(predictions([0, 0, 0, 1], [0, 0, 0, 0], ("no", "yes")))
        assert figures == pytest.approx(
            {"f1": 3 / 4 * 6 / 7, "f1/no": 6 / 7, "f1/yes": 0.0, "accuracy/no": 1.0, "accuracy/yes": 0.0}
        )

    def test_a_class_that_does_not_occur_has_no_accuracy(self):
        figures = WEIGHTED_F1.evaluate(predictions([0, 0], [0, 1], ("no", "yes")))
        assert figures == pytest.approx({"f1": 2 / 3, "f1/no": 2 / 3, "accuracy/no": 0.5})

    def test_nothing_right_is_zero(self):
        figures = WEIGHTED_F1.evaluate(predictions([0, 1], [1, 0], ("no", "yes")))
        assert figures == {"f1": 0.0, "f1/no": 0.0, "f1/yes": 0.0, "accuracy/no": 0.0, "accuracy/yes": 0.0}

    def test_it_counts_in_the_labels_of_the_split(self):
        given = predictions([0, 0, 1], [2, 0, 1], ("non-entailment", "entailment"), collapse=(0, 1, 0))
        assert WEIGHTED_F1.evaluate(given) == {
            "f1": 1.0,
            "f1/non-entailment": 1.0,
            "f1/entailment": 1.0,
            "accuracy/non-entailment": 1.0,
            "accuracy/entailment": 1.0,
        }

    @given(pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
    def test_accuracy_and_f1_are_scikit_learns(self, pairs):
        gold, predicted = (list(column) for column in zip(*pairs, strict=True))
        given = predictions(gold, predicted)
        assert ACCURACY.evaluate(given)["accuracy"] == accuracy_score(gold, predicted)
        expected = f1_score(gold, predicted, average="weighted", zero_division=0)
        figures = WEIGHTED_F1.evaluate(given)
        assert figures["f1"] == expected
        for index, label in enumerate(NLI):
            of_class = [guess == index for truth, guess in pairs if truth == index]
            assert figures.get(f"accuracy/{label}") == (sum(of_class) / len(of_class) if of_class else None)

    def test_the_f1_of_a_label_is_the_binary_one(self):
        # Class 1: 2 hits of 3 true and 4 predicted, 2·2 / (3 + 4). Class 0: 1 hit of 3 true and 2 predicted, 2 / 5.
        gold, predicted = [1, 1, 1, 0, 0, 0], [1, 1, 0, 1, 1, 0]
        figures = WEIGHTED_F1.evaluate(predictions(gold, predicted, ("0", "1")))
        assert figures["f1/1"] == pytest.approx(4 / 7)
        assert figures["f1/1"] == f1_score(gold, predicted)
        assert figures["f1"] == pytest.approx((3 * 2 / 5 + 3 * 4 / 7) / 6)

    def test_a_resample_without_a_label_has_no_f1_of_it(self):
        given = predictions([0, 1, 1], [0, 1, 0], ("0", "1"))
        found = WEIGHTED_F1.resampled(given, np.array([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0]]))
        assert found["f1/1"] == pytest.approx([2 / 3, np.nan], nan_ok=True)
        assert found["f1/0"] == pytest.approx([2 / 3, 1.0])


class TestHans:
    def hans(self) -> Predictions:
        rows = [
            ("lexical_overlap", 1, 1),
            ("lexical_overlap", 1, 0),
            ("lexical_overlap", 0, 1),
            ("lexical_overlap", 0, 2),
            ("subsequence", 1, 1),
            ("subsequence", 0, 1),
            ("subsequence", 0, 0),
            ("constituent", 0, 2),
        ]
        heuristics, gold, predicted = (list(column) for column in zip(*rows, strict=True))
        return predictions(gold, predicted, ("non-entailment", "entailment"), (0, 1, 0), heuristics)

    def test_every_heuristic_has_its_accuracy_and_that_of_each_of_its_labels(self):
        assert HANS.evaluate(self.hans()) == pytest.approx(
            {
                "hans/constituent": 1.0,
                "hans/constituent/non-entailment": 1.0,
                "hans/lexical_overlap": 0.5,
                "hans/lexical_overlap/non-entailment": 0.5,
                "hans/lexical_overlap/entailment": 0.5,
                "hans/subsequence": 2 / 3,
                "hans/subsequence/non-entailment": 0.5,
                "hans/subsequence/entailment": 1.0,
            }
        )

    def test_contradiction_and_neutral_both_count_as_non_entailment(self):
        for predicted, right in ((0, 1.0), (1, 0.0), (2, 1.0)):
            given = predictions([0], [predicted], ("non-entailment", "entailment"), (0, 1, 0), ["subsequence"])
            assert HANS.evaluate(given)["hans/subsequence/non-entailment"] == right

    def test_the_heuristics_together_give_the_accuracy(self):
        given = self.hans()
        figures = HANS.evaluate(given)
        shares = {"lexical_overlap": 4, "subsequence": 3, "constituent": 1}
        mean = sum(figures[f"hans/{name}"] * count for name, count in shares.items()) / 8
        assert mean == pytest.approx(ACCURACY.evaluate(given)["accuracy"])

    def test_it_asks_for_the_heuristic(self):
        assert HANS.columns() == ["heuristic"]

    def test_a_resample_without_a_heuristic_has_no_accuracy_of_it(self):
        given = predictions([0, 1], [0, 0], ("no", "yes"), heuristics=["a", "b"])
        found = HANS.resampled(given, np.array([[1.0, 1.0], [2.0, 0.0]]))
        assert found["hans/a"].tolist() == [1.0, 1.0]
        np.testing.assert_array_equal(found["hans/b"], [0.0, np.nan])


class TestSparsity:
    def test_zeros_are_counted_in_each_matrix_and_in_all(self):
        matrices = {
            "encoder.query": torch.tensor([[0.0, 1.0], [-0.0, 2.0]]),
            "classifier": torch.tensor([[0.0, 1e-45, -3.0, 4.0, 5.0, 6.0]]),
        }
        assert SPARSITY.measure(of(matrices)) == pytest.approx(
            {"sparsity": 3 / 10, "entries": 10.0, "sparsity/encoder.query": 2 / 4, "sparsity/classifier": 1 / 6}
        )

    def test_it_is_over_entries_not_the_mean_over_matrices(self):
        figures = SPARSITY.measure(of({"large": torch.zeros(9, 10), "small": torch.ones(1, 10)}))
        assert figures["sparsity"] == 0.9

    @pytest.mark.parametrize(("value", "expected"), [(0.0, 1.0), (1.0, 0.0), (float("nan"), 0.0)])
    def test_all_or_nothing(self, value, expected):
        assert SPARSITY.measure(of({"w": torch.full((3, 3), value)}))["sparsity"] == expected

    def test_no_matrices_are_no_zeros(self):
        assert SPARSITY.measure(of({})) == {"sparsity": 0.0, "entries": 0.0}

    def test_it_says_nothing_of_predictions_and_the_others_nothing_of_weights(self):
        assert SPARSITY.evaluate(predictions([0], [0])) == {}
        assert [each.measure(of({"w": torch.ones(1, 1)})) for each in (ACCURACY, WEIGHTED_F1, HANS)] == [{}, {}, {}]


class TestWorstGroup:
    def grouped(self, **columns: list) -> Predictions:
        examples = datasets.Dataset.from_dict({"label": [0, 0, 0, 1, 1, 1, 1], **columns})
        split = Split("dev", examples, ("no", "yes"))
        return Predictions.of_split(split, np.eye(2, dtype=np.float32)[[0, 0, 1, 1, 0, 0, 1]], columns)

    def test_groups_are_of_equal_label_and_group(self):
        given = self.grouped(group=["b", "b", "a", "a", "b", "b", "b"])
        assert WorstGroup(WorstGroupOptions()).evaluate(given) == pytest.approx(
            {
                "worst-group": 0.0,
                "group/no/a": 0.0,
                "group-size/no/a": 1.0,
                "group/no/b": 1.0,
                "group-size/no/b": 2.0,
                "group/yes/a": 1.0,
                "group-size/yes/a": 1.0,
                "group/yes/b": 1 / 3,
                "group-size/yes/b": 3.0,
            }
        )

    def test_any_columns_define_groups_and_a_group_that_does_not_occur_does_not_count(self):
        given = self.grouped(place=[1, 1, 1, 1, 2, 2, 2], time=["x"] * 4 + ["y"] * 3)
        assert WorstGroup(WorstGroupOptions(group_by=("place", "time"))).evaluate(given) == pytest.approx(
            {
                "worst-group": 1 / 3,
                "group/1/x": 3 / 4,
                "group-size/1/x": 4.0,
                "group/2/y": 1 / 3,
                "group-size/2/y": 3.0,
            }
        )

    def test_it_asks_for_the_columns_of_the_groups_but_the_label(self):
        assert WorstGroup(WorstGroupOptions(group_by=("place", "label", "time"))).columns() == ["place", "time"]

    def test_the_worst_group_of_a_resample_is_one_that_it_has(self):
        given = self.grouped(group=["b", "b", "a", "a", "b", "b", "b"])
        counts = np.array([[1, 1, 0, 1, 1, 1, 1], [1, 0, 0, 1, 0, 0, 0]], dtype=np.float64)
        found = WorstGroup(WorstGroupOptions()).resampled(given, counts)
        assert found["worst-group"] == pytest.approx([1 / 3, 1.0])
        np.testing.assert_array_equal(found["group/no/a"], [np.nan, np.nan])

    def test_its_declarations_say_direction_unit_and_groups(self):
        worst, each, size = WorstGroup(WorstGroupOptions(group_by=("place",))).figures()
        assert (worst.unit, worst.better, each.unit, each.better) == ("fraction", "higher", "fraction", "higher")
        assert (size.unit, size.better) == ("count", None)
        assert worst.description == "Lowest accuracy of the groups of equal place."

    @pytest.mark.parametrize("group_by", [(), ("group", "group"), ("",)])
    def test_each_column_is_named_once(self, group_by):
        with pytest.raises(ValidationError):
            WorstGroupOptions(group_by=group_by)


def test_every_component_can_be_built_and_names_itself():
    built = {each.name: type(each.build(each.options())) for each in srframework_evaluators()}
    known = {"accuracy": Accuracy, "f1": F1, "hans": Hans, "sparsity": Sparsity, "worst-group": WorstGroup}
    assert built == known | {"bias-groups": BiasGroups}
