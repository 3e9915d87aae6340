"""The conformance kit of srframework: one test for each check."""

from srframework.testing import parametrize_with_checks
from wanda import srframework_pruners


@parametrize_with_checks(srframework_pruners())
def test_conformance(check):
    check()
