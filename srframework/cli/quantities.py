"""Amounts of disk space and of time, as people write and read them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from srframework.errors import UsageError
from srframework.text import did_you_mean, nearest, shorten

AGES = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
"""Unit -> seconds."""

SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
"""Unit -> bytes."""


def measure(option: str, text: str, units: Mapping[str, int], example: str) -> float:
    """Read a number with a unit: 30d, 20GB.

    Args:
        option: The option that has it, for the message.
        text: The value of the option.
        units: Unit -> its size.
        example: A valid value, for the message.

    Raises:
        UsageError: It is no number with one of the units.
    """
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([A-Za-z]*)", text.strip(), re.ASCII)
    names = {unit.lower(): factor for unit, factor in units.items()}
    if match is None or match[2].lower() not in names:
        near = nearest(match[2], units) if match and match[2] else None
        hint = did_you_mean(match[1] + near if match and near else None)
        choices = ", ".join(units)
        raise UsageError(f"{option}: expected a number and one of {choices}, like {example}, got {shorten(text)}{hint}")
    return float(match[1]) * names[match[2].lower()]


def size_text(count: int) -> str:
    """A number of bytes for people: 1.5 GB."""
    for unit in ("TB", "GB", "MB", "KB"):
        if count >= SIZES[unit]:
            return f"{count / SIZES[unit]:.1f} {unit}"
    return f"{count} B"


def time_text(seconds: float) -> str:
    """A length of time for people: 1.5 h."""
    for unit in ("d", "h", "min"):
        if seconds >= AGES[unit]:
            return f"{seconds / AGES[unit]:.1f} {unit}"
    return f"{max(0.0, seconds):.1f} s"
