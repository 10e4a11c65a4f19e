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
        kind: "t" (Student's, for numbers), "wilson" (for shares) or "paired" (for differences of shares).
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
    # with no hit, or no miss, one end is the share itself, which rounding must not pass
    low, high = max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))
    return Interval(share, low, high, count, "wilson")


def of_strata(groups: Sequence[Sequence[float]], level: float = LEVEL) -> Interval:
    """Interval of the mean of group means, where only the spread inside groups is chance.

    Prompts are the groups and seeds what varies inside: the interval tells what other seeds would give at these
    prompts. The variance inside is taken to be alike in all groups and pooled; one value a group tells nothing.

    Args:
        groups: values by group, any number each.

    Raises:
        ValueError: no groups, or an empty one.
    """
    from scipy.stats import t

    if not groups or not all(groups):
        raise ValueError("the mean of no runs is not defined")
    means = [math.fsum(values) / len(values) for values in groups]
    mean, count = math.fsum(means) / len(groups), sum(map(len, groups))
    free = count - len(groups)
    if free == 0:
        return Interval(mean, math.nan, math.nan, count, "t")
    inside = math.fsum((v - m) ** 2 for values, m in zip(groups, means, strict=True) for v in values) / free
    variance = inside * math.fsum(1 / len(values) for values in groups) / len(groups) ** 2
    half = float(t.ppf(0.5 + level / 2, free)) * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half, count, "t")


def of_paired_shares(first: Sequence[bool], second: Sequence[bool], level: float = LEVEL) -> Interval:
    """Interval of the difference of two shares, first - second, taken on the same runs.

    A run more is counted for each way of disagreeing, so that few runs that all agree do not claim certainty.
    Source: Bonett and Price, "Adjusted Wald confidence interval for a difference of binomial proportions based on
    paired data", JEBS 2012. The mean is the plain difference.

    Raises:
        ValueError: no pairs, or sequences of different lengths.
    """
    from scipy.stats import norm

    pairs = [(bool(a), bool(b)) for a, b in zip(first, second, strict=True)]
    count = len(pairs)
    if count == 0:
        raise ValueError("the difference of no runs is not defined")
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    p, q = (only_first + 1) / (count + 2), (only_second + 1) / (count + 2)
    half = float(norm.ppf(0.5 + level / 2)) * math.sqrt((p + q - (p - q) ** 2) / (count + 2))
    low, high = max(-1.0, p - q - half), min(1.0, p - q + half)
    return Interval((only_first - only_second) / count, low, high, count, "paired")
