"""Verdicts on claims: from their checks, and from negative controls that must not hold."""

from __future__ import annotations

import pytest

from srframework.claims.claim import Claim
from srframework.claims.judgement import Decision, judge
from srframework.report.significance import FAILS, HOLDS, UNDECIDED


def report(**ids: float) -> list[dict[str, object]]:
    return [{"name": name, "unit": "fraction", "id": value, "ood": {}, "sparsity": 0.0} for name, value in ids.items()]


RUNS = [report(a=0.9, b=0.5, c=0.4), report(a=0.9, b=0.5, c=0.8), report(a=0.9, b=0.5, c=0.3)]


@pytest.mark.parametrize(
    ("checks", "verdicts", "verdict"),
    [
        (["id(a) >= id(b)"], [HOLDS], HOLDS),
        (["id(a) >= id(b)", "id(b) >= 0.5"], [HOLDS, HOLDS], HOLDS),
        (["id(a) >= id(b)", "id(c) >= id(b)"], [HOLDS, UNDECIDED], UNDECIDED),
        (["id(b) >= id(a)", "id(c) >= id(b)"], [FAILS, UNDECIDED], FAILS),
        (["id(c) >= id(b)", "id(a) >= id(b)", "id(b) >= 0.6"], [UNDECIDED, HOLDS, FAILS], FAILS),
    ],
)
def test_a_claim_holds_where_all_checks_do_and_does_not_where_one_does_not(checks, verdicts, verdict):
    judgement = judge(Claim(statement="s", checks=checks), RUNS)
    assert [(text, each.verdict) for text, each in judgement.checks.items()] == list(zip(checks, verdicts, strict=True))
    assert (judgement.controls, judgement.verdict) == ({}, verdict)


@pytest.mark.parametrize(
    ("check", "control", "of_control", "verdict"),
    [
        ("id(a) >= id(b)", "id(b) >= id(a)", FAILS, HOLDS),
        ("id(a) >= id(b)", "id(a) >= 0.5", HOLDS, UNDECIDED),
        ("id(a) >= id(b)", "id(c) >= id(b)", UNDECIDED, UNDECIDED),
        ("id(b) >= id(a)", "id(a) >= 0.5", HOLDS, FAILS),
        ("id(b) >= id(a)", "id(b) >= id(a)", FAILS, FAILS),
    ],
)
def test_a_claim_holds_only_if_its_control_is_seen_not_to_hold(check, control, of_control, verdict):
    judgement = judge(Claim(statement="s", checks=[check], controls=[control]), RUNS)
    assert judgement.controls[control].verdict == of_control
    assert judgement.verdict == verdict


def test_an_undecided_check_says_how_many_seeds_decide_it():
    # The margins are -0.1, 0.3, -0.2: mean 0. Those of the other are -0.5, -0.1, -0.6, and t(4) at 2.5 % is 2.776.
    judgement = judge(Claim(statement="s", checks=["id(c) >= id(b)", "id(c) >= id(a)"]), RUNS)
    assert judgement.checks == {"id(c) >= id(b)": Decision(UNDECIDED, None), "id(c) >= id(a)": Decision(UNDECIDED, 5)}


def test_a_judgement_has_every_figure_run_by_run():
    judgement = judge(Claim(statement="s", checks=["id(c) >= id(a)", "id(a) >= 0"], controls=["id(b) >= 1"]), RUNS)
    assert judgement.figures == {"id(c)": [0.4, 0.8, 0.3], "id(a)": [0.9, 0.9, 0.9], "id(b)": [0.5, 0.5, 0.5]}


def test_one_run_leaves_everything_undecided():
    judgement = judge(Claim(statement="s", checks=["id(a) >= id(b)"]), RUNS[:1])
    assert (judgement.verdict, judgement.figures["id(a)"]) == (UNDECIDED, [0.9])
