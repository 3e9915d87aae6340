"""Checks of the parameters and the examples that a component chooses; see :mod:`srframework.registry.return_checks`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from srframework.contracts import ParameterGroup
from srframework.faults import expect, kind_of


def parameters(given: Any, owner: str, method: str, *_: Any) -> list[Any]:
    """Check a list of parameters."""
    from torch import Tensor

    expect(given is not None and not isinstance(given, Tensor), owner, method, "a list of parameters", given)
    listed = list(given)
    for each in listed:
        expect(isinstance(each, Tensor), owner, method, "a list of parameters", f"one with {kind_of(each)} in it")
        expect(each.is_leaf, owner, method, "parameters that are leaves of the graph", "one that was computed")
    expect(len({id(each) for each in listed}) == len(listed), owner, method, "each parameter once", "one twice")
    return listed


def parameter_groups(given: Any, owner: str, method: str, *_: Any) -> list[ParameterGroup]:
    """Check a list of groups of parameters."""
    is_several = isinstance(given, Sequence) and all(isinstance(each, ParameterGroup) for each in given)
    expect(is_several, owner, method, "a list of srframework.ParameterGroup", given)
    for group in given:
        for setting, least in ((group.learning_rate, "above 0"), (group.weight_decay, "at least 0")):
            fits = setting is None or (isinstance(setting, Real) and math.isfinite(setting) and float(setting) >= 0)
            expect(fits and (setting != 0 or least != "above 0"), owner, method, f"a number {least}", str(setting))
    parameters([each for group in given for each in group.parameters], owner, method)
    return [dataclasses.replace(group, parameters=list(group.parameters)) for group in given]


def order(given: Any, owner: str, method: str, *_: Any) -> Any:
    """Check the examples of an epoch, whose number is not known here."""
    from torch import Tensor

    expect(given is None or isinstance(given, Tensor), owner, method, "a tensor of indexes, or None", given)
    return given


def trained_groups(given: Any, owner: str, method: str, *_: Any) -> list[ParameterGroup]:
    """Check a list of groups of parameters, with at least one parameter in total."""
    groups = parameter_groups(given, owner, method)
    expect(any(group.parameters for group in groups), owner, method, "at least one parameter", "none")
    return groups


def loss_terms(given: Any, owner: str, method: str, *_: Any) -> dict[str, Any]:
    """Check named scalars."""
    from torch import Tensor

    expect(isinstance(given, Mapping), owner, method, "a mapping from names to scalar tensors", given)
    for name, term in given.items():
        expect(isinstance(name, str) and bool(name), owner, method, "names of terms", f"{name!r}"[:200])
        is_scalar = isinstance(term, Tensor) and term.dim() == 0 and term.is_floating_point()
        expect(is_scalar, owner, method, f"a scalar tensor as {name!r}", kind_of(term))
    return dict(given)
