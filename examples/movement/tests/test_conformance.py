"""The conformance kit of srframework: one test for each check."""

from movement import srframework_pruners
from srframework.testing import parametrize_with_checks


@parametrize_with_checks(srframework_pruners())
def test_conformance(check):
    check()
