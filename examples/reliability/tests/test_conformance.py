"""The conformance kit of srframework: one test for each check."""

from reliability import srframework_evaluators
from srframework.testing import parametrize_with_checks


@parametrize_with_checks(srframework_evaluators())
def test_conformance(check):
    check()
