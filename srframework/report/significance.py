"""Student's t and Fisher's F over seeds: intervals, numbers of seeds, and whether the check of a claim holds.

Each check of a claim is tested at a level of 5 %, divided by the number of claims that are judged together
(Bonferroni). A claim holds if all its checks hold, so its level is the same. A claim does not hold if *any* check does
not hold; the level of that side is divided by the number of checks too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"

LEVEL = 0.05
"""Level of each side of a check: Student's t for means, Fisher's F for standard deviations."""

TAIL = 0.025
"""Level of each side of a 95 % interval."""

FEWEST = 3
"""Fewest seeds that can decide anything."""

MOST = 1000
"""More seeds than these are not counted."""

ROUNDING = 1e-9
"""Smaller margins count as 0: 0.3 - 0.1 - 0.2 is not negative."""


def decide(margins: Sequence[float], strict: bool = False, checks: int = 1, claims: int = 1) -> str:
    """Whether a margin is at least 0, or above 0 if ``strict``.

    If all values are equal, the result is certain: a tie holds unless ``strict``.

    Args:
        margins: One margin per seed; undecided with fewer than :data:`FEWEST`.
        strict: Whether 0 is not enough.
        checks: Number of checks of the claim.
        claims: Number of claims that are judged together.

    >>> decide([0.2, 0.21, 0.19]), decide([0.0, 0.0, 0.0]), decide([0.0, 0.0, 0.0], strict=True)
    ('holds', 'holds', 'does not hold')
    """
    if len(margins) < FEWEST:
        return UNDECIDED
    mean, deviation = statistics.fmean(margins), statistics.stdev(margins)
    least = mean - _error(deviation, len(margins), LEVEL / claims)
    most = mean + _error(deviation, len(margins), LEVEL / claims / checks)
    if least > ROUNDING or (not strict and least >= -ROUNDING):
        return HOLDS
    return FAILS if most < -ROUNDING or (strict and most <= ROUNDING) else UNDECIDED


def compare_spreads(lesser: Sequence[float], greater: Sequence[float], checks: int = 1, claims: int = 1) -> str:
    """Whether the standard deviation of ``lesser`` is below that of ``greater``; parameters as in :func:`decide`.

    >>> compare_spreads([0.50, 0.51, 0.52], [0.1, 0.5, 0.9])
    'holds'
    """
    if min(len(lesser), len(greater)) < FEWEST:
        return UNDECIDED
    low, high = statistics.variance(lesser), statistics.variance(greater)
    freedom = len(lesser) - 1, len(greater) - 1
    if high > low * _ratio(*freedom[::-1], LEVEL / claims):
        return HOLDS
    return FAILS if low > high * _ratio(*freedom, LEVEL / claims / checks) else UNDECIDED


def seeds_for_margin(margins: Sequence[float], checks: int = 1, claims: int = 1) -> int | None:
    """Estimate the number of seeds that decide a check, if mean and standard deviation stay as they are.

    Args:
        margins: One margin per seed.
        checks: Number of checks of the claim.
        claims: Number of claims that are judged together.

    Returns:
        More than ``len(margins)``, at most :data:`MOST`; None if there is no such number, or fewer than two margins.

    >>> seeds_for_margin([0.1, -0.05, 0.1])
    11
    """
    if len(margins) < 2:
        return None
    mean, deviation = statistics.fmean(margins), statistics.stdev(margins)
    level = LEVEL / claims / (1 if mean > 0 else checks)
    return seeds_for_difference(mean, deviation, level, more_than=len(margins))


def interval_over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of at least two values, one per seed: mean ± t · sd / √n.

    >>> low, high = interval_over_seeds([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    mean, half = statistics.fmean(values), _error(statistics.stdev(values), len(values), TAIL)
    return mean - half, mean + half


def seeds_for_difference(
    difference: float, deviation: float, level: float = TAIL, power: float = 0.5, more_than: int = 0
) -> int | None:
    """Estimate the number of seeds whose interval of a mean difference leaves out 0.

    Args:
        difference: The difference between the means; only its size counts.
        deviation: Standard deviation of the difference over seeds.
        level: Level of one side of the interval, in (0, 0.5].
        power: Probability, in [0.5, 1), with which a true difference of this size is found. 0.5: the difference that
            was measured stays as it is.
        more_than: Count from the next number.

    Returns:
        At least :data:`FEWEST`, at most :data:`MOST`; None if there is no such number.

    >>> seeds_for_difference(1.0, 1.0), seeds_for_difference(1.0, 1.0, power=0.8), seeds_for_difference(0.0, 1.0)
    (7, 10, None)
    """

    def decides(seeds: int) -> bool:
        return abs(difference) - _error(deviation, seeds, level) - _error(deviation, seeds, 1 - power) > ROUNDING

    return _first(decides, more_than)


def seeds_for_spreads(
    lesser: Sequence[float], greater: Sequence[float], checks: int = 1, claims: int = 1
) -> int | None:
    """As :func:`seeds_for_margin`, for a comparison of standard deviations."""
    if min(len(lesser), len(greater)) < 2:
        return None
    low, high = sorted([statistics.variance(lesser), statistics.variance(greater)])
    level = LEVEL / claims / (1 if statistics.variance(lesser) == low else checks)
    return _first(lambda seeds: high > low * _ratio(seeds - 1, seeds - 1, level), len(lesser))


def _first(decides: Callable[[int], bool], seeds: int) -> int | None:
    return next((count for count in range(max(seeds + 1, FEWEST), MOST + 1) if decides(count)), None)


def _error(deviation: float, seeds: int, level: float) -> float:
    """Half the width of a one-sided interval of the mean."""
    from scipy.special import stdtrit

    return float(stdtrit(seeds - 1, 1 - level)) * deviation / math.sqrt(seeds)


def _ratio(numerator: int, denominator: int, level: float) -> float:
    """The ratio of two variances that chance exceeds with the probability ``level``."""
    from scipy.special import fdtri

    return float(fdtri(numerator, denominator, 1 - level))
