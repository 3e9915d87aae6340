"""Runs the checks of a component, and gives them to pytest."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from srframework.component import KINDS, Component
from srframework.registry.guarded import CONTRACTS
from srframework.registry.registry import Registry
from srframework.testing import (
    backbone,
    bias,
    dataset,
    debiaser,
    evaluator,
    evaluator_models,
    evaluator_robust,
    launcher,
    pruner,
)
from srframework.testing.check import Check, Result, Subject, Violation, run_check

_ROOMS = (backbone, bias, dataset, debiaser, evaluator, evaluator_robust, evaluator_models, launcher, pruner)
_CHECKS = {kind: [check for room in _ROOMS for check in room.CHECKS if check.kind == kind] for kind in KINDS}


def checks_of(kind: str) -> list[Check]:
    """Return the checks of a kind of component, in their order.

    Args:
        kind: A kind, as in ``"pruner/mask"``: one of backbone, pruner, debiaser, bias, dataset, evaluator, launcher.
    """
    return list(_CHECKS[kind])


def check_component(
    component: Component, kind: str | None = None, registry: Registry | None = None
) -> Iterator[Result]:
    """Run all checks of a component, one after the other; yield their results.

    Args:
        component: The component; the checks use its ``example``.
        kind: Its kind; None: the kind of the contract that its factory implements.
        registry: The components that it may require; None: the installed ones.

    Raises:
        ValueError: No kind is given, and the factory implements no contract.
    """
    subject = Subject(kind or _kind(component), component, registry)
    for check in _CHECKS[subject.kind]:
        yield run_check(check, subject)


def parametrize_with_checks(
    components: Iterable[Component], expected_failures: Mapping[str, str] | None = None, kind: str | None = None
) -> Callable[[Any], Any]:
    """Decorate a pytest test with an argument ``check``: one test for each check of each component.

    Args:
        components: The components, as a hook returns them.
        expected_failures: Name of a check, ``"exact_counts"`` or ``"pruner/mine-exact_counts"`` -> why it fails. The
            test is marked as an expected failure; it fails if the check passes.
        kind: Kind of the components; None: the kind of the contract that the factory implements.

    Raises:
        ValueError: ``expected_failures`` names a check that none of the components has; or no kind is given, and a
            factory implements no contract.
    """
    import pytest

    expected, known, parameters = dict(expected_failures or {}), set[str](), []
    for component in components:
        subject = Subject(kind or _kind(component), component)
        for check in _CHECKS[subject.kind]:
            name = f"{subject.kind}/{component.name}-{check.name}"
            known |= {name, check.name}
            reason = expected.get(name, expected.get(check.name))
            marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True, raises=Violation)]
            parameters.append(pytest.param(functools.partial(_run, check, subject), id=name, marks=marks))
    if unknown := sorted(set(expected) - known):
        raise ValueError(f"expected_failures: no component has the check {', '.join(unknown)}")
    return pytest.mark.parametrize("check", parameters)


def _run(check: Check, subject: Subject) -> None:
    """Run a check as a test."""
    import pytest

    result = run_check(check, subject)
    if result.outcome == "failed":
        raise Violation(f"{result.reason} ({check.sentence})")
    if result.outcome == "not applicable":
        pytest.skip(result.reason)


def _kind(component: Component) -> str:
    """Return the kind of the contract that a component's factory implements."""
    try:
        made = component.build(Subject("", component).options())
    except Exception as error:
        raise ValueError(f"component {component.name!r}: its factory fails: {error}") from error
    for kind, contract in CONTRACTS.items():
        if isinstance(made, contract):
            return kind
    expected = ", ".join(KINDS)
    raise ValueError(f"component {component.name!r}: its factory implements no contract; give kind: one of {expected}")
