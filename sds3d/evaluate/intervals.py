"""How sure a mean is: 95 % intervals that are honest about few runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over runs and what it may be by chance.

    Args:
        mean: over `count` runs. low, high: ends of the interval, NaN where one run tells nothing about others.
        kind: "t" (Student's, for numbers) or "wilson" (for shares).
    """

    mean: float
    low: float
    high: float
    count: int
    kind: str

    @property
    def known(self) -> bool:
        """Whether there is an interval at all."""
        return math.isfinite(self.low)


def of_mean(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Student's t interval of a mean: it assumes that the runs are independent and their means about normal.

    Raises:
        ValueError: no values.
    """
    from scipy.stats import t

    count = len(values)
    if count == 0:
        raise ValueError("the mean of no runs is not defined")
    mean = math.fsum(values) / count
    if count == 1:
        return Interval(mean, math.nan, math.nan, 1, "t")
    variance = math.fsum((v - mean) ** 2 for v in values) / (count - 1)
    half = float(t.ppf(0.5 + level / 2, count - 1)) * math.sqrt(variance / count)
    return Interval(mean, mean - half, mean + half, count, "t")


def of_share(hits: Sequence[bool], level: float = LEVEL) -> Interval:
    """Wilson's interval of a share: it stays inside [0, 1], and is wide where all of few runs agree.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.

    Raises:
        ValueError: no runs.
    """
    from scipy.stats import norm

    count = len(hits)
    if count == 0:
        raise ValueError("the share of no runs is not defined")
    share, z = sum(bool(h) for h in hits) / count, float(norm.ppf(0.5 + level / 2))
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = share * (1 - share) / count + z * z / (4 * count * count)
    half = z / (1 + z * z / count) * math.sqrt(spread)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half), count, "wilson")


def of_difference(first: Sequence[float], second: Sequence[float], level: float = LEVEL) -> Interval:
    """Student's t interval of the mean of first - second, pair by pair: what both share (prompt, seed) drops out.

    Raises:
        ValueError: no pairs, or sequences of different lengths.
    """
    return of_mean([a - b for a, b in zip(first, second, strict=True)], level)
