"""Numbers of figures as people read them: by unit, with an arrow for the better direction."""

from __future__ import annotations

P_B_OF_BACKBONE = (
    "p_b is made of the backbone's input embeddings, because no word vectors are given; it differs from the paper's, "
    "which is made of fastText vectors"
)
"""Meaning of the bias model's figures without a file of word vectors."""

PER_CENT = "fraction"
"""The unit that is shown in percent."""

_ARROWS = {"higher": " ↑", "lower": " ↓"}


def number(value: float, unit: str, digits: int = 1, sign: bool = False) -> str:
    """A value: a fraction in percent with these digits, a count as an integer if it is one, else four digits."""
    plus = "+" if sign else ""
    if unit == PER_CENT:
        return f"{100 * value:{plus}.{digits}f}"
    if unit == "count" and value == round(value):
        return f"{value:{plus}.0f}"
    return f"{value:{plus}.4g}"


def with_unit(value: float, unit: str) -> str:
    """A value with its unit: ``84.6 %``, ``0.693 nats``; a count has none."""
    return number(value, unit) + suffix(unit)


def suffix(unit: str) -> str:
    """The unit after a number and a space; empty for a count."""
    return " %" if unit == PER_CENT else "" if unit == "count" else f" {unit}"


def heading(metric: str, unit: str, better: str | None) -> str:
    """The name of a figure in a table: ``accuracy % ↑``, ``loss (nats) ↓``."""
    shown = " %" if unit == PER_CENT else "" if unit == "count" else f" ({unit})"
    return f"{metric}{shown}{arrow(better)}"


def arrow(better: str | None) -> str:
    """Return an arrow after a space: up if higher values are better, down if lower ones are; empty for neither."""
    return _ARROWS.get(better or "", "")
