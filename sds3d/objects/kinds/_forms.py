"""Forms that several shelves share: hollow vessels, side profiles, tapered blocks, wheels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..kind import Part, both_sides
from ..solids import Points, Solid, arc, cylinder, faceted, lathe, plate


def hollow(outer: Points, wall: float, floor: float, segments: int = 24) -> Solid:
    """A vessel, open at the top.

    Args:
        outer: (n, 2) outer profile (radius, y) with y rising.
        wall: thickness of the wall; floor: y of the inside's bottom.
    """
    points = np.asarray(outer, dtype=float)
    inner = points[points[:, 1] > floor][::-1] - [wall, 0.0]
    foot = np.interp(floor, points[:, 1], points[:, 0]) - wall
    return lathe([(0, points[0, 1]), *points, *inner, (foot, floor), (0, floor)], segments)


def profile(outline: Points, width: float) -> Solid:
    """A block with an outline of (z, y) points as seen from +x, `width` wide about x = 0."""
    return plate(outline, width).turned(y=-90)


def slab(outline: Points, height: float) -> Solid:
    """A lying plate with an outline of (x, z) points, `height` thick about y = 0."""
    return plate(outline, height).turned(x=90)


def tapered(solid: Solid, bottom: float, top: float = 1.0) -> Solid:
    """x and z multiplied by a factor that runs from `bottom` to `top` over its height; flat shading."""
    low, high = solid.bounds()
    share = (solid.triangles[..., 1:2] - low[1]) / (high[1] - low[1])
    factor = bottom + (top - bottom) * share
    return faceted(solid.triangles * np.concatenate([factor, np.ones_like(factor), factor], axis=-1))


def rounded(width: float, height: float, radius: float, count: int = 5) -> np.ndarray:
    """(4 count, 2) outline of a rectangle with round corners about the origin."""
    x, y = width / 2 - radius, height / 2 - radius
    corners = ((x, y, 0), (-x, y, 90), (-x, -y, 180), (x, -y, 270))
    return np.concatenate([arc(radius, a, a + 90, count) + np.array([cx, cy]) for cx, cy, a in corners])


def wheels(
    radius: float,
    width: float,
    x: float,
    y: float,
    along: Sequence[float],
    paint: str = "black",
    hub: str = "steel",
) -> list[Part]:
    """Wheels on both sides with their middles at ±x, y and each z of `along`."""
    parts: list[Part] = []
    for z in along:
        tyre = cylinder(radius, width, segments=18).turned(z=90).at(x, y, z)
        middle = cylinder(0.5 * radius, width * 1.25, segments=12).turned(z=90).at(x, y, z)
        parts += both_sides((tyre, paint), (middle, hub))
    return parts
