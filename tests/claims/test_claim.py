from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from srframework.claims.claim import Check, Figure
from srframework.claims.judgement import Decision, judge_check
from srframework.errors import UsageError
from srframework.report.significance import (
    FAILS,
    HOLDS,
    UNDECIDED,
    compare_spreads,
    decide,
    seeds_for_margin,
    seeds_for_spreads,
)

VALUES = {"id(full)": 0.9, "ood(full)": 0.5, "ood(srnet)": 0.7, "sparsity(imp@0.7)": 0.68, "ood.hans(a.b-c_d)": 0.25}


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "figure"),
    [
        ("id(full)", Figure("id(full)", "id", None, "full", None)),
        ("ood(a.b-c_d)", Figure("ood(a.b-c_d)", "ood", None, "a.b-c_d", None)),
        ("ood.paws-qqp(x)", Figure("ood.paws-qqp(x)", "ood", "paws-qqp", "x", None)),
        ("sparsity(imp@0.7)", Figure("sparsity(imp@0.7)", "sparsity", None, "imp", 0.7)),
        ("id(imp@.7)", Figure("id(imp@.7)", "id", None, "imp", 0.7)),
    ],
)
def test_a_figure_is_a_kind_a_split_a_stage_and_a_level(text, figure):
    assert Check.parse(f"{text} >= 0").figures == (figure,)


@pytest.mark.parametrize(
    ("text", "margin"),
    [
        ("id(full) >= 0.75", 0.15),
        ("id(full) <= 0.75", -0.15),
        ("0.75 <= id(full)", 0.15),
        ("1 >= id(full)", 0.1),
        ("id(full) - ood(full) >= 0.1", 0.3),
        ("ood(srnet) >= ood(full) + 0.05", 0.15),
        ("ood(srnet) - ood(full) >= 0.5 * (id(full) - ood(full))", 0.0),
        ("-ood(full) <= -0.5 * ood(full)", 0.25),
        ("id(full) - (ood(full) - ood(srnet)) >= 2 * 0.5", 0.1),
        ("id(full) - ood(full) - ood(srnet) >= -1e-1", -0.2),
        ("sparsity(imp@0.7)>=0.7", -0.02),
        ("  ood.hans(a.b-c_d)*4  >=\tid(full) ", 0.1),
        ("id(full) >= id(full)", 0.0),
    ],
)
def test_the_margin_is_by_how_much_the_greater_side_exceeds_the_lesser(text, margin):
    assert Check.parse(text).margin(VALUES) == pytest.approx(margin, abs=1e-12)


def test_a_check_has_each_figure_once_and_its_text_as_written():
    check = Check.parse("ood(a) - id(a) >= id(b) - ood(a)")
    assert [figure.text for figure in check.figures] == ["ood(a)", "id(a)", "id(b)"]
    assert check.text == "ood(a) - id(a) >= id(b) - ood(a)"


@pytest.mark.parametrize(
    ("text", "strict"), [("id(a) >= 1", False), ("id(a) <= 1", False), ("id(a) > 1", True), ("id(a) < 1", True)]
)
def test_the_sign_says_whether_equal_is_enough(text, strict):
    check = Check.parse(text)
    assert check.strict == strict
    assert check.margin({"id(a)": 1.25}) == (0.25 if ">" in text else -0.25)


@pytest.mark.parametrize(
    "text", ["sd(ood(a)) < sd(ood.x(b))", " sd(ood.x(b)) > sd(ood(a)) ", "sd(ood(a))<sd(ood.x(b))"]
)
def test_of_two_standard_deviations_the_lesser_comes_first(text):
    check = Check.parse(text)
    assert [figure.text for figure in check.figures] == ["ood(a)", "ood.x(b)"]
    assert judge_check(check, {"ood(a)": [0.5, 0.51, 0.52], "ood.x(b)": [0.1, 0.5, 0.9]}) == Decision(HOLDS)


FORM = (
    "a comparison of metrics, such as ood(srnet) >= ood(full) + 0.05 or sd(ood(a)) < sd(ood(b)); "
    "metrics: id(STAGE), ood(STAGE), ood.SPLIT(STAGE), sparsity(STAGE); operators: >= > <= < + - *"
)


@pytest.mark.parametrize(
    "text",
    [
        *("", "id(full)", "id(full) => 0.5", "id(full) == 0.5", "id(full) != 1", "0.5 <= id(full) <= 0.9", "1 >= 0"),
        *("id(full) >= 1 / 2", "id(full) ** 2 >= 1", "+id(full) >= 1", "id(full) >= 0.5,", "id(full) id(srnet) >= 1"),
        *("id full >= 1", "id() >= 1", "acc(full) >= 1", "id(full) >= x", "id(full) >= f0", "id(full) >= True"),
        *("id(full) >= '1'", "id(full) >= (1", "id(full) >= 1j", "id(full) >= 0x1", "(id(full) >= 1) + 1"),
        *("id(full) >= 1 # so", "id(full) >=\n1", "__import__('os') >= id(full)", "id(full) >= \0", "id(a b) >= 1"),
        *("sd(id(a)) >= sd(id(b))", "sd(id(a)) < 0.1", "sd(id(a)) < sd(id(b)) + 1", "id(full) >= 1e999 * 0"),
        *("grid(full) >= 1", "id(full) >= " + "(" * 500 + "1" + ")" * 500),
        *("id(full) >= " + "-" * 5000 + "1", "id(full) >= 1" + "+1" * 9999),
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_anything_else_is_refused_with_the_form(text):
    with pytest.raises(ValueError, match="a comparison of metrics") as caught:
        Check.parse(text)
    assert str(caught.value) == FORM


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id.hans(full) >= 0", "id.hans(full): only ood takes a split"),
        ("sparsity.hans(full) >= 0", "sparsity.hans(full): only ood takes a split"),
        ("id(full@100) >= 0", "id(full@100): a stage, or a sparsity level of one, such as imp@0.7"),
        ("id(full@) >= 0", "id(full@): a stage, or a sparsity level of one, such as imp@0.7"),
        ("id(full@1.5) >= 0", "id(full@1.5): a stage, or a sparsity level of one, such as imp@0.7"),
        ("id(full@0.5@0.5) >= 0", "id(full@0.5@0.5): a stage, or a sparsity level of one, such as imp@0.7"),
    ],
)
def test_a_figure_that_is_none_is_refused(text, message):
    with pytest.raises(ValueError, match=r"\(full") as caught:
        Check.parse(text)
    assert str(caught.value) == message


# -- figures of a report ---------------------------------------------------------------------------


STAGES = [
    {"name": "full", "unit": "fraction", "id": 0.9, "ood": {"hans": 0.5, "paws": 0.7}, "sparsity": 0.0},
    {
        "name": "imp",
        "unit": "fraction",
        "id": 0.8,
        "ood": {"hans": 0.6, "paws": 0.6},
        "sparsity": 0.5,
        "levels": [
            {"level": 0.3, "id": 0.85, "ood": {"hans": 0.55, "paws": 0.65}, "sparsity": 0.3},
            {"level": 0.5, "id": 0.8, "ood": {"hans": 0.6, "paws": 0.6}, "sparsity": 0.5},
        ],
    },
]


def figure(text: str) -> Figure:
    return Check.parse(f"{text} >= 0").figures[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("id(full)", 0.9),
        ("ood(full)", 0.6),
        ("ood.paws(full)", 0.7),
        ("sparsity(imp)", 0.5),
        ("id(imp@0.3)", 0.85),
        ("ood(imp@.30)", 0.6),
        ("ood.hans(imp@0.3)", 0.55),
        ("sparsity(imp@0.5)", 0.5),
    ],
)
def test_a_figure_is_read_from_the_stages_of_a_report(text, value):
    assert figure(text).of(STAGES) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id(srnet)", "id(srnet): expected a stage among full, imp; got 'srnet'"),
        ("id(imp@0.7)", "id(imp@0.7): expected a level among 0.3, 0.5; got '0.7'"),
        ("id(full@0.3)", "id(full@0.3): expected a level among none; got '0.3'"),
        ("ood.mnli(full)", "ood.mnli(full): expected an OOD split among hans, paws; got 'mnli'"),
    ],
)
def test_a_figure_that_the_report_has_not_is_a_sentence(text, message):
    with pytest.raises(UsageError) as caught:
        figure(text).of(STAGES)
    assert str(caught.value) == message


def test_without_ood_splits_there_is_no_ood_figure():
    with pytest.raises(UsageError) as caught:
        figure("ood(full)").of([{"name": "full", "id": 0.9, "ood": {}, "sparsity": 0.0}])
    assert str(caught.value) == "ood(full): expected a data set with OOD splits, got none"


# -- deciding --------------------------------------------------------------------------------------

# Three values have two degrees of freedom, for which the 0.95 quantile of t is 2.91998558. Of m - d, m, m + d
# the standard deviation is d: the mean is clear of 0 from m = 2.91998558 d / √3 = 1.68585446 d on.


@pytest.mark.parametrize(
    ("margins", "verdict"),
    [
        ([1.686 - 1, 1.686, 1.686 + 1], HOLDS),
        ([1.685 - 1, 1.685, 1.685 + 1], UNDECIDED),
        ([-1.685 - 1, -1.685, -1.685 + 1], UNDECIDED),
        ([-1.686 - 1, -1.686, -1.686 + 1], FAILS),
        ([-1.0, 0.0, 1.0], UNDECIDED),
        ([0.2, 0.2, 0.2], HOLDS),
        ([-0.2, -0.2, -0.2], FAILS),
        ([0.0, 0.0, 0.0], HOLDS),
        ([0.3 - 0.1 - 0.2] * 3, HOLDS),
        ([0.1, 0.1], UNDECIDED),
        ([0.2], UNDECIDED),
        ([-0.2], UNDECIDED),
        ([], UNDECIDED),
    ],
)
def test_a_margin_holds_or_fails_where_it_is_clear_of_zero(margins, verdict):
    assert decide(margins) == verdict


def test_a_tie_is_no_win():
    assert decide([0.0, 0.0, 0.0], strict=True) == FAILS
    assert decide([0.3 - 0.1 - 0.2] * 3, strict=True) == FAILS
    assert decide([1e-3] * 3, strict=True) == HOLDS
    assert decide([-1.0, 0.0, 1.0], strict=True) == UNDECIDED


def test_of_several_checks_each_must_be_clearer_to_fail_and_not_to_hold():
    # With two degrees of freedom and 0.05 / 4 the quantile of t is 6.205347; over √3 that is 3.582658.
    assert decide([-3.582 - 1, -3.582, -3.582 + 1], checks=4) == UNDECIDED
    assert decide([-3.583 - 1, -3.583, -3.583 + 1], checks=4) == FAILS
    assert decide([1.686 - 1, 1.686, 1.686 + 1], checks=4) == HOLDS


def test_of_several_claims_each_must_be_clearer_on_both_sides():
    # With two degrees of freedom and 0.05 / 10 the quantile of t is 9.924843; over √3 that is 5.730111.
    assert decide([5.730 - 1, 5.730, 5.730 + 1], claims=10) == UNDECIDED
    assert decide([5.731 - 1, 5.731, 5.731 + 1], claims=10) == HOLDS
    assert decide([-5.731 - 1, -5.731, -5.731 + 1], claims=10) == FAILS
    assert decide([-5.731 - 1, -5.731, -5.731 + 1], claims=10, checks=2) == UNDECIDED
    # F with (2, 2) degrees of freedom: the quantile of 0.995 is 199.
    assert compare_spreads([-1.0, 0.0, 1.0], [-(199.1**0.5), 0.0, 199.1**0.5], claims=10) == HOLDS
    assert compare_spreads([-1.0, 0.0, 1.0], [-(198.9**0.5), 0.0, 198.9**0.5], claims=10) == UNDECIDED


@pytest.mark.parametrize(
    ("margins", "checks", "claims", "seeds"),
    [
        # Mean 0.05, standard deviation 0.0866025: t(9) = 1.833 gives an error of 0.0502, t(10) = 1.812 one of 0.0473.
        ([0.1, -0.05, 0.1], 1, 1, 11),
        ([-0.1, 0.05, -0.1], 1, 1, 11),
        ([-0.1, 0.05, -0.1], 2, 1, 15),  # t(13) at 2.5 % = 2.160: 0.05000; t(14) = 2.145: 0.0480
        ([0.1, -0.05, 0.1], 2, 1, 11),
        ([0.1, -0.05, 0.1], 1, 10, 24),
        ([0.5, 0.5], 1, 1, 3),
        ([0.1, -0.1], 1, 1, None),
        ([0.1], 1, 1, None),
        ([], 1, 1, None),
    ],
)
def test_an_estimate_says_how_many_seeds_decide(margins, checks, claims, seeds):
    assert seeds_for_margin(margins, checks, claims) == seeds


def test_the_estimate_for_spreads_is_the_first_number_whose_quantile_is_below_the_ratio():
    # The ratio of the variances is 4. F(6, 6) at 5 % is 4.28, F(7, 7) is 3.79.
    assert seeds_for_spreads([0.0, 0.1, 0.2], [0.0, 0.2, 0.4]) == 8
    assert seeds_for_spreads([0.0, 0.2, 0.4], [0.0, 0.1, 0.2]) == 8
    assert seeds_for_spreads([0.0, 0.1, 0.2], [0.0, 0.1, 0.2]) is None
    assert seeds_for_spreads([0.1], [0.2]) is None


@pytest.mark.parametrize(
    ("ratio", "checks", "verdict"),
    [
        # F with (2, 2) degrees of freedom: P(F > x) = 1 / (1 + x), so that its 0.95 quantile is 19.
        (19.1, 1, HOLDS),
        (18.9, 1, UNDECIDED),
        (1.0, 1, UNDECIDED),
        (1 / 18.9, 1, UNDECIDED),
        (1 / 19.1, 1, FAILS),
        (19.1, 5, HOLDS),
        (1 / 19.1, 5, UNDECIDED),
        (1 / 98.9, 5, UNDECIDED),
        (1 / 99.1, 5, FAILS),
    ],
)
def test_spreads_differ_where_fishers_f_says_so(ratio, checks, verdict):
    wide = [0.5 - ratio**0.5, 0.5, 0.5 + ratio**0.5]
    assert compare_spreads([-1.0, 0.0, 1.0], wide, checks) == verdict


@pytest.mark.parametrize(
    ("lesser", "greater", "verdict"),
    [
        ([1.0] * 3, [1.0, 1.1, 1.2], HOLDS),
        ([1.0, 1.1, 1.2], [1.0] * 3, FAILS),
        ([1.0] * 3, [0.5] * 3, UNDECIDED),
        ([1.0, 1.0], [0.0, 9.0], UNDECIDED),
    ],
)
def test_no_spread_at_all_is_below_any(lesser, greater, verdict):
    assert compare_spreads(lesser, greater) == verdict


@given(st.lists(st.integers(-1000, 1000), min_size=3, max_size=8, unique=True), st.sampled_from([0.01, 1.0]))
def test_the_verdict_is_that_of_students_t_on_each_side(numbers, scale):
    margins = [number * scale for number in numbers]
    low = stats.ttest_1samp(margins, 0, alternative="greater").pvalue
    high = stats.ttest_1samp(margins, 0, alternative="less").pvalue
    if not any(math.isclose(p, 0.05, rel_tol=1e-6) for p in (low, high)):
        assert decide(margins) == (HOLDS if low < 0.05 else FAILS if high < 0.05 else UNDECIDED)


def test_the_quantile_is_that_of_scipy():
    half = stats.t.ppf(0.95, df=4) * statistics.stdev([0, 1, 2, 3, 4]) / math.sqrt(5)
    assert decide([each - 2 + half + 1e-6 for each in range(5)]) == HOLDS
    assert decide([each - 2 + half - 1e-6 for each in range(5)]) == UNDECIDED
