"""Flatten a resolved recipe into dotted keys and values, as in overrides: ``stages.srnet.pruner.sparsity``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from srframework.text import shorten


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Map each dotted key to its value; stages go by their names."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            names = [str(item.get("name", item.get("use", number))) for number, item in enumerate(value)]
            value = dict(zip(names, value, strict=True))
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{key}.")
        elif not (prefix.startswith("stages.") and key == "name"):
            found[f"{prefix}{key}"] = value
    return found


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """A line for each key whose value differs between two recipes: ``seed: 1 there, 2 here``."""
    a, b = flat(there), flat(here)
    lines = []
    for key in dict.fromkeys([*a, *b]):
        values = [shorten(each[key]) if key in each else "nothing" for each in (a, b)]
        if a.get(key) != b.get(key) or (key in a) != (key in b):
            lines.append(f"{key}: {values[0]} there, {values[1]} here")
    return lines
