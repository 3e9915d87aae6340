"""Decide whether a check holds, by its values over seeds.

Each check is tested at a level of 5 %. A claim holds if all its checks hold, so its level is 5 % too.
A claim does not hold if *any* check does not hold; the 5 % of that side are divided by the number of checks
(Bonferroni).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"

LEVEL = 0.05
"""Level of each side: Student's t for means, Fisher's F for standard deviations."""

FEWEST = 3
"""Fewest seeds that can decide a check."""

ROUNDING = 1e-9
"""Smaller margins count as 0: 0.3 - 0.1 - 0.2 is not negative."""


def decide(margins: Sequence[float], strict: bool = False, checks: int = 1) -> str:
    """Whether a margin is at least 0, or above 0 if ``strict``.

    If all values are equal, the result is certain: a tie holds unless ``strict``.

    Args:
        margins: One margin per seed; undecided with fewer than :data:`FEWEST`.
        strict: Whether 0 is not enough.
        checks: Number of checks of the claim.

    >>> decide([0.2, 0.21, 0.19]), decide([0.0, 0.0, 0.0]), decide([0.0, 0.0, 0.0], strict=True)
    ('holds', 'holds', 'does not hold')
    """
    if len(margins) < FEWEST:
        return UNDECIDED
    from scipy.special import stdtrit

    freedom = len(margins) - 1
    mean, error = statistics.fmean(margins), statistics.stdev(margins) / len(margins) ** 0.5
    least = mean - float(stdtrit(freedom, 1 - LEVEL)) * error
    most = mean + float(stdtrit(freedom, 1 - LEVEL / checks)) * error
    if least > ROUNDING or (not strict and least >= -ROUNDING):
        return HOLDS
    return FAILS if most < -ROUNDING or (strict and most <= ROUNDING) else UNDECIDED


def compare_spreads(lesser: Sequence[float], greater: Sequence[float], checks: int = 1) -> str:
    """Whether the standard deviation of ``lesser`` is below that of ``greater``; parameters as in :func:`decide`.

    >>> compare_spreads([0.50, 0.51, 0.52], [0.1, 0.5, 0.9])
    'holds'
    """
    if min(len(lesser), len(greater)) < FEWEST:
        return UNDECIDED
    from scipy.special import fdtri

    low, high = statistics.variance(lesser), statistics.variance(greater)
    freedom = len(lesser) - 1, len(greater) - 1
    if high > low * float(fdtri(*freedom[::-1], 1 - LEVEL)):
        return HOLDS
    return FAILS if low > high * float(fdtri(*freedom, 1 - LEVEL / checks)) else UNDECIDED
