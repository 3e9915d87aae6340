from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srframework.errors import SHOWN, Problem, RecipeError
from srframework.text import count_text, key_text, listed, nearest, one_line, shorten


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (-0.5, "-0.5"),
        (float("inf"), "inf"),
        (datetime.date(2024, 1, 1), "2024-01-01"),
        (datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC), "2024-01-01T12:00:00+00:00"),
        (datetime.time(1, 2, 3), "01:02:03"),
        ("full", "'full'"),
        ("it's", '"it\'s"'),
        ('a "b"', "'a \"b\"'"),
        ("a\\b", "'a\\b'"),
        ("a\nb\x1b[31m", '"a\\nb\\u001b[31m"'),
        ("\u202e\ud800", '"\\u202e\\ud800"'),
        ([True, "a", []], "[true, 'a', []]"),
        ((1, 2), "[1, 2]"),
        ({"use": "mask", "a b": {"c": False}}, "{ use = 'mask', 'a b' = { c = false } }"),
        ({}, "{}"),
        (None, "nothing"),
        (-(10**5000), "an integer of about 5,001 digits"),
        (10**30, "1" + "0" * 30),
    ],
    ids=lambda value: "" if isinstance(value, int) else None,
)
def test_a_value_is_shown_as_in_toml(value, text):
    assert shorten(value) == text


@pytest.mark.parametrize(
    "value", ["x" * 10**6, [1] * 10**6, {"a" * 10**6: 1}, {str(n): n for n in range(10**5)}], ids=len
)
def test_a_long_value_is_cut(value):
    assert len(shorten(value)) == 60
    assert shorten(value).endswith("…")


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=())), inner),
)


@given(anything)
def test_whatever_is_shown_is_one_short_line_that_any_terminal_can_print(value):
    text = shorten(value)
    assert len(text) <= 60
    assert text.isprintable()
    text.encode()


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_a_problem_is_one_line_whatever_it_is_of(key, message):
    text = str(Problem(key, key * 1000, message * 1000, message, key))
    assert text.isprintable()
    assert len(text) < 4000
    text.encode()


def test_a_line_is_cut_and_escaped():
    assert one_line("a\tb\x07c\U000e0001") == "a\\tb\\u0007c\\U000e0001"
    assert one_line("é" * 10, 4) == "ééé…"


@pytest.mark.parametrize(
    ("key", "text"),
    [("epochs", "epochs"), ("a.b", "a.b"), ("[key]", "'[key]'"), ("", "''"), ("a b", "'a b'"), ("\x1b", '"\\u001b"')],
)
def test_a_key_that_is_not_plain_is_in_quotes(key, text):
    assert key_text(key) == text


def test_many_names_are_listed_by_the_first_of_them():
    assert listed(["a", "b"]) == "a, b"
    assert listed((str(number) for number in range(5000)), most=2) == "0, 1 and 4,998 more"
    assert len(listed(["x" * 5000] * 3)) < 400


def test_nothing_is_near_a_very_long_word():
    assert nearest("ful", ["full"]) == "full"
    assert nearest("x" * 5000, ["x" * 4999]) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [(7, "7"), (10**9, "1,000,000,000"), (2**200, "about 10^60"), (2**20000, "about 10^6020")],
    ids=["", "", "", ""],
)
def test_a_count_of_any_size_can_be_printed(count, text):
    assert count_text(count) == text


def test_of_many_problems_the_first_are_printed_and_the_rest_counted():
    error = RecipeError([Problem("r.toml:1", f"k{number}", "wrong") for number in range(5000)])
    lines = str(error).split("\n")
    assert (len(lines), lines[-1]) == (SHOWN + 1, f"and {5000 - SHOWN:,} more problems")
    assert len(error.problems) == 5000
    assert len(str(RecipeError(error.problems[:SHOWN])).split("\n")) == SHOWN
