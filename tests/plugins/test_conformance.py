"""Every built-in component keeps its contract, by the kit that plugin authors use."""

from __future__ import annotations

import pytest
from pydantic import Field

from srframework import Component, Debiaser, Options
from srframework.component import KINDS
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.testing import check_component, checks_of, parametrize_with_checks

REGISTRY = Registry(discover())
QUICK = ("backbone", "pruner", "debiaser", "bias", "dataset", "evaluator")


@parametrize_with_checks([each.component for kind in QUICK for each in REGISTRY.of_kind(kind)])
def test_conforms(check):
    check()


@pytest.mark.long
@parametrize_with_checks([REGISTRY.get("launcher", "local").component])
def test_the_local_launcher_conforms(check):
    check()


class Nothing(Options):
    """None."""


class Needs(Options):
    share: float = Field(description="A fraction.")


class Unreduced(Debiaser):
    def loss(self, inputs):
        return inputs.logits.sum(1)


class Raising(Debiaser):
    def loss(self, inputs):
        raise SystemExit(4)


def component(factory=Unreduced, **fields):
    return Component(
        **{"name": "x", "options": Nothing, "summary": "Broken.", "source": "here"} | fields, factory=factory
    )


def outcomes(made, kind=None):
    return {result.check.name: result for result in check_component(made, kind)}


def test_each_check_has_a_name_and_a_sentence():
    for kind in KINDS:
        checks = checks_of(kind)
        assert len({each.name for each in checks}) == len(checks) > 0
        for each in checks:
            assert each.sentence.endswith("."), each.name


def test_a_failure_names_the_call():
    result = outcomes(component())["scalar_with_gradient"]
    assert result.outcome == "failed"
    assert "its loss() must return a scalar tensor" in result.reason


def test_an_exit_of_the_component_is_a_failure_that_names_the_call():
    result = outcomes(component(Raising))["scalar_with_gradient"]
    assert (result.outcome, "its loss() fails: SystemExit" in result.reason) == ("failed", True)


def test_a_missing_example_is_a_failure():
    result = outcomes(component(options=Needs), "debiaser")["scalar_with_gradient"]
    assert result.reason == "the options of the example are not valid: share: Field required"


def test_what_does_not_apply_says_why():
    result = outcomes(component())["bias_matters"]
    assert (result.outcome, result.reason) == ("not applicable", 'the debiaser does not require "bias"')


def test_an_example_may_be_a_function_that_writes_files(tmp_path):
    found = []

    def example(directory):
        found.append(directory.is_dir())
        return {"share": 0.5}

    assert outcomes(component(options=Needs, example=example))
    assert found[0]


def test_expected_failures_must_exist():
    with pytest.raises(ValueError, match="no component has the check gradients"):
        parametrize_with_checks([component()], expected_failures={"gradients": "why"})


def test_a_component_of_no_kind_is_refused():
    with pytest.raises(ValueError, match="its factory implements no contract; give kind"):
        parametrize_with_checks([component(lambda _: object())])


def test_an_example_of_another_type_is_refused():
    with pytest.raises(ValueError, match="example: expected a table or a function"):
        component(example="x")
