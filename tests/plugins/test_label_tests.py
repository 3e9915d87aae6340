"""Tests whether labels are exchanged: hints and orderings, on numbers that were worked out by hand."""

from __future__ import annotations

import math

import pytest

from srf_datasets.label_tests import (
    HANS_HINT,
    MNLI_HINT,
    SUPPORTS_OVER_REFUTES,
    Hint,
    HintTest,
    Ordering,
    OrderingTest,
    best_permutation,
    exchanged,
    negation,
    nli_orderings,
    overlap,
)

NLI = ("contradiction", "entailment", "neutral")


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("A dog runs.", "the dog RUNS fast", 2 / 3),
        ("a a b", "a", 2 / 3),
        ("", "a", 0.0),
        ("a", "", 0.0),
        ("...", "...", 0.0),
        ("it's", "it", 1 / 2),
    ],
)
def test_overlap_is_the_share_of_repeated_words(text, other, expected):
    assert overlap(text, other) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("There is no man", 1), ("Nobody runs", 1), ("He isn't here", 1), ("A note on knots", 0), ("", 0), ("NOT", 1)],
)
def test_a_negation_is_a_word(text, expected):
    assert negation(text, "not") == expected


def test_an_ordering_measures_the_distance_of_two_means():
    test = OrderingTest(Ordering(overlap, "share", "high", "low"))
    for _ in range(50):
        test.add("a", "a", "high")  # 1
        test.add("a", "b", "high")  # 0
        test.add("a", "b", "low")  # 0
        test.add("a", "a", "other")
    distance, text = test.verdict()
    assert text == "share: high 0.50, low 0.00"
    # variances 0.25 and 0; and 0.25 / n more in each, with n = 100 and 50
    expected = 0.5 / math.sqrt((0.25 + 0.25 / 100) / 100 + 0.25 / 50 / 50)
    assert distance == pytest.approx(expected)


def test_the_text_with_the_bias_is_the_hypothesis_or_the_claim():
    hypothesis, claim = OrderingTest(Ordering(overlap, "s", "SUPPORTS", "REFUTES")), OrderingTest(SUPPORTS_OVER_REFUTES)
    for test in (hypothesis, claim):
        test.add("a", "a b c d", "SUPPORTS")
        test.add("x", "y", "REFUTES")
    assert hypothesis.verdict()[1] == "s: SUPPORTS 0.25, REFUTES 0.00"
    assert claim.verdict()[1].endswith(": SUPPORTS 1.00, REFUTES 0.00")


def test_an_ordering_needs_both_labels():
    test = OrderingTest(Ordering(overlap, "share", "high", "low"))
    test.add("a", "a", "high")
    assert test.verdict() == (None, "share: no rows of high or low")


def test_the_orderings_are_those_of_the_labels_that_there_are():
    names = {each: each.upper() for each in NLI}
    assert [(each.high, each.low) for each in nli_orderings(names)] == [
        ("ENTAILMENT", "NEUTRAL"),
        ("CONTRADICTION", "ENTAILMENT"),
        ("CONTRADICTION", "NEUTRAL"),
    ]
    assert nli_orderings({"entailment": "e", "non-entailment": "n"}) == ()


@pytest.mark.parametrize(
    ("hint", "content", "expected"),
    [
        (MNLI_HINT, "31193n", "neutral"),
        (MNLI_HINT, "101457e", "entailment"),
        (MNLI_HINT, "1c", "contradiction"),
        (MNLI_HINT, "", None),
        (MNLI_HINT, "12", None),
        (HANS_HINT, "ln_subject/object_swap", "non-entailment"),
        (HANS_HINT, "le_relative_clause", "entailment"),
        (HANS_HINT, "sn_NP/S", "non-entailment"),
        (HANS_HINT, "ce_adverb", "entailment"),
        (HANS_HINT, "else", None),
        (HANS_HINT, "xe_a", None),
        (HANS_HINT, "ln_", None),
        (HANS_HINT, "", None),
    ],
)
def test_hints_say_the_label(hint, content, expected):
    assert hint.label(content) == expected


def verdict(rows: list[tuple[str, str]], hint: Hint = MNLI_HINT) -> tuple[bool | None, str]:
    test = HintTest(hint, NLI if hint is MNLI_HINT else ("non-entailment", "entailment"))
    for content, label in rows:
        test.add(content, label)
    (found,) = test.verdicts()
    return found


def test_a_hint_that_mostly_agrees_is_right_unless_it_is_exact():
    rows = [("1n", "neutral")] * 9 + [("1e", "entailment")] * 5 + [("1c", "contradiction")] * 5 + [("1n", "entailment")]
    assert verdict(rows) == (True, "the last letter of pairID agrees with the label in 19 of 20 rows")
    rows = [("ln_a", "non-entailment")] * 5 + [("le_a", "entailment")] * 4 + [("le_a", "non-entailment")]
    assert verdict(rows, HANS_HINT) == (False, "the subcase says another label in 1 of 10 rows")


def test_two_labels_that_are_exchanged_are_named():
    rows = [("1n", "entailment")] * 9 + [("1e", "neutral")] * 5 + [("1c", "contradiction")] * 5
    expected = "entailment and neutral are exchanged: the last letter of pairID agrees with the label in 5 of 19 rows"
    assert verdict(rows) == (False, expected)


def test_a_rotation_of_three_labels_is_named():
    rows = [("1n", "entailment")] * 5 + [("1e", "contradiction")] * 5 + [("1c", "neutral")] * 5
    right, text = verdict(rows)
    assert right is False
    assert text.startswith("labels are exchanged (contradiction is entailment, entailment is neutral, neutral is contr")


def test_a_hint_that_says_nothing_is_no_verdict():
    assert verdict([("7", "neutral")]) == (None, "no row of the column 'pairID' says anything about the label")


def test_labels_that_agree_as_often_both_ways_are_not_called_exchanged():
    assert best_permutation({("a", "a"): 1, ("a", "b"): 1, ("b", "a"): 1, ("b", "b"): 1}, ["a", "b"]) == {}
    assert exchanged({"a": "b", "b": "a"}) == "a and b are exchanged"
