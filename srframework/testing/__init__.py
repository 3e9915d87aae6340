"""The conformance kit: checks, for the tests of plugin authors, that a component fulfils its contract.

::

    from srframework.testing import parametrize_with_checks
    from my_plugin import srframework_pruners

    @parametrize_with_checks(srframework_pruners())
    def test_mine(check):
        check()

There is one test for each check, such as ``pruner/mine-exact_counts``. The checks use the options in
``Component.example``, with a small model and small data of their own. `srframework check NAME` runs the same checks.
"""

from __future__ import annotations

from srframework.testing.check import Check, Result
from srframework.testing.kit import check_component, checks_of, parametrize_with_checks
from srframework.testing.small_task import LABELS, context, network, task, word_vectors

__all__ = [
    "LABELS",
    "Check",
    "Result",
    "check_component",
    "checks_of",
    "context",
    "network",
    "parametrize_with_checks",
    "task",
    "word_vectors",
]
