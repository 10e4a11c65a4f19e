"""Where the levels of a hash grid lie in its table: the same rules as tiny-cuda-nn's, so that tables fit both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .dispatch import RasterError

PRIMES = (1, 2654435761, 805459861)
"""Factors of x, y and z in the hash (Müller et al. 2022, equation 4)."""

FEATURES = (1, 2, 4, 8)
"""Numbers of features a level that the kernels are built for."""

ROWS = 8
"""A level's rows are a multiple of this."""


@dataclass(frozen=True)
class HashGrid:
    """The shape of a multi-resolution hash grid (Müller et al. 2022, arXiv 2201.05989, section 3).

    Resolutions grow geometrically from `base` to `finest`. A level whose points all fit in 2^log2_size rows is
    dense: one row a point, collisions have no place. The others share 2^log2_size rows by a hash.

    Args:
        levels: 1 to 32. features: numbers a level gives, 1, 2, 4 or 8. log2_size: 3 to 24.
        base, finest: points along an edge of the coarsest and of the finest level, at least 2.

    Raises:
        RasterError: a number is out of its range.
    """

    levels: int = 8
    features: int = 2
    log2_size: int = 15
    base: int = 8
    finest: int = 64

    def __post_init__(self) -> None:
        if self.features not in FEATURES:
            raise RasterError(f"a hash grid has 1, 2, 4 or 8 features a level, not {self.features}")
        if not (1 <= self.levels <= 32 and 3 <= self.log2_size <= 24):
            raise RasterError(
                f"a hash grid has 1 to 32 levels and 2^3 to 2^24 rows, not {self.levels} and 2^{self.log2_size}"
            )
        if not 2 <= self.base <= self.finest <= 4096:
            raise RasterError(
                f"a hash grid's resolutions lie in 2 <= base <= finest <= 4096, not {self.base} and {self.finest}"
            )

    @property
    def growth(self) -> float:
        """Factor between the resolutions of two levels."""
        return (self.finest / self.base) ** (1 / max(1, self.levels - 1))

    @cached_property
    def scales(self) -> tuple[float, ...]:
        """Cells of each level along an edge of the unit cube, as float32; whole numbers where they nearly are."""
        raw = [self.base * self.growth**level - 1.0 for level in range(self.levels)]
        near = [float(round(s)) if math.isclose(s, round(s), abs_tol=1e-4) else s for s in raw]
        return tuple(float(np.float32(s)) for s in near)

    @cached_property
    def resolutions(self) -> tuple[int, ...]:
        """Points along an edge of each level."""
        return tuple(math.ceil(s) + 1 for s in self.scales)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each level."""
        most = 1 << self.log2_size
        return tuple(min(-(-(r**3) // ROWS) * ROWS, most) for r in self.resolutions)

    @cached_property
    def dense(self) -> tuple[bool, ...]:
        """Which levels have a row for every point."""
        return tuple(r**3 <= s for r, s in zip(self.resolutions, self.sizes, strict=True))

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First row of each level, and the number of rows."""
        return (0, *np.cumsum(self.sizes).tolist())

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return self.offsets[-1]

    @property
    def width(self) -> int:
        """Numbers that a point is encoded as: levels times features."""
        return self.levels * self.features
