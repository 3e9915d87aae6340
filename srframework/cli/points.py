"""Percentage points as the value of an option."""

from __future__ import annotations

import math
from typing import Any

import click


class Points(click.FloatRange):
    """A number of percentage points in a range."""

    name = "points"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; NaN is bad usage."""
        points = super().convert(value, param, ctx)
        if math.isnan(points):
            self.fail(f"expected a number of percentage points, got {value}", param, ctx)
        return points
