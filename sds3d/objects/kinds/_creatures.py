"""Parts that creatures share: ovals, eyes, legs."""

from __future__ import annotations

from collections.abc import Sequence

from ..kind import MAIN, Part, both_sides
from ..solids import Solid, capsule, sphere


def oval(x: float, y: float, z: float, segments: int = 16) -> Solid:
    """An ellipsoid about the origin with these half axes."""
    return sphere(1, segments).scaled(x, y, z)


def eyes(x: float, y: float, z: float, radius: float, white: bool = False) -> list[Part]:
    """Two round black eyes at ±x; with `white`, black pupils before white balls."""
    if not white:
        return both_sides((sphere(radius, 10).at(x, y, z), "black"))
    pupil = sphere(0.6 * radius, 8).at(1.05 * x, y, z + 0.62 * radius)
    return both_sides((sphere(radius, 12).at(x, y, z), "white"), (pupil, "black"))


def legs(
    x: float, along: Sequence[float], top: float, bottom: float, radius: float, paint: str = MAIN
) -> list[Part]:
    """A pair of upright legs at ±x for each z in `along`, from `top` down to the ground at `bottom`."""
    pairs = (capsule((x, top, z), (x, bottom + radius, z), radius) for z in along)
    return both_sides(*((leg, paint) for leg in pairs))
