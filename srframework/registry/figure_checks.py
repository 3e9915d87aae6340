"""Checks of what the methods of an evaluator return; see :mod:`srframework.registry.return_checks`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from srframework.contracts import Figure
from srframework.faults import expect


def figures(given: Any, owner: str, method: str, *_: Any) -> dict[str, float]:
    """Check the figures of evaluate() or measure()."""
    import numpy as np

    expect(isinstance(given, Mapping), owner, method, "a mapping from names to numbers", given)
    found = {}
    for name, value in given.items():
        expect(isinstance(name, str), owner, method, "figures under names", f"{name!r} as a name"[:200])
        number = value.item() if hasattr(value, "item") and np.size(value) == 1 else value
        is_number = isinstance(number, Real) and not isinstance(number, bool)
        expect(is_number, owner, method, f"a number as {name!r}", value)
        expect(math.isfinite(number), owner, method, f"a finite number as {name!r}", str(number))
        found[name] = float(number)
    return found


def declared(given: Any, owner: str, method: str, *_: Any) -> tuple[Figure, ...]:
    """Check the declarations of figures()."""
    is_sequence = isinstance(given, Sequence) and not isinstance(given, str)
    expect(is_sequence, owner, method, "a sequence of srframework.Figure", given)
    names: set[str] = set()
    for each in given:
        expect(isinstance(each, Figure), owner, method, "a sequence of srframework.Figure", each)
        for field in ("name", "unit", "description"):
            value = getattr(each, field)
            is_text = isinstance(value, str) and bool(value)
            expect(is_text, owner, method, f"figures whose {field} is a string that is not empty", value)
        is_direction = each.better in ("higher", "lower", None)
        expect(is_direction, owner, method, f'"higher", "lower" or None as better of {each.name!r}', each.better)
        is_name = "*" not in each.name.removesuffix("/*")
        expect(is_name, owner, method, 'figures whose name has "*" only as "/*" at the end', each.name)
        expect(each.name not in names, owner, method, "figures with different names", f"{each.name!r} twice")
        names.add(each.name)
    return tuple(given)


def columns(given: Any, owner: str, method: str, *_: Any) -> tuple[str, ...]:
    """Check the names of the columns that an evaluator asks for."""
    is_several = isinstance(given, Sequence) and not isinstance(given, str)
    expect(is_several, owner, method, "a list of names of columns", given)
    for name in given:
        expect(isinstance(name, str) and bool(name), owner, method, "names of columns", name)
    return tuple(given)


def resampled(given: Any, owner: str, method: str, _: Any, counts: Any) -> dict[str, Any]:
    """Check the figures of resamples."""
    import numpy as np

    expect(isinstance(given, Mapping), owner, method, "a mapping from names to arrays", given)
    found = {}
    for name, value in given.items():
        expect(isinstance(name, str), owner, method, "figures under names", f"{name!r} as a name"[:200])
        numbers = np.asarray(value)
        fits = numbers.shape == (len(counts),) and numbers.dtype.kind in "iufb" and not bool(np.isinf(numbers).any())
        got = f"{numbers.dtype} of shape {numbers.shape}"
        expect(fits, owner, method, f"numbers of shape ({len(counts)},), none of them infinite, as {name!r}", got)
        found[name] = numbers.astype(np.float64)
    return found
