"""Buildings; the door is at +z."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import (
    Solid,
    arc,
    box,
    cone,
    cylinder,
    dome,
    plate,
)
from ..vary import Vary

GROUP = "buildings"


def _gable(width: float, height: float, depth: float) -> Solid:
    """A saddle roof with its ridge along z; it stands on y = 0."""
    return plate([(-width / 2, 0), (width / 2, 0), (0, height)], depth)


def _arch(width: float, height: float, depth: float) -> Solid:
    """A door with a round top that stands on y = 0."""
    bow = arc(width / 2, 0, 180, 7) + np.array([0, height - width / 2])
    return plate([(-width / 2, 0), (width / 2, 0), *bow], depth)


@kind("house", GROUP, words=("home",), natural="white", second="roof", second_natural="red", roles=("top",))
def house(vary: Vary) -> list[Part]:
    """Walls with a saddle roof, a door between two windows, a chimney."""
    w, h, pitch = 0.95 * vary(0.92, 1.1), 0.58 * vary(0.88, 1.12), 0.46 * vary(0.85, 1.2)
    front = 0.42
    return [
        (box(w, h, 2 * front).at(0, h / 2, 0), MAIN),
        (plate([(-w / 2, 0), (w / 2, 0), (0, 0.85 * pitch)], 2 * front).at(0, h, 0), MAIN),
        (_gable(1.22 * w, 1.1 * pitch, 2.3 * front).at(0, h - 0.02, 0), SECOND),
        (box(0.15, 0.36, 0.15).at(0.26 * w, h + 0.55 * pitch, -0.12), "brown"),
        (box(0.2, 0.36, 0.06).at(0, 0.18, front), "brown"),
        *both_sides(
            (box(0.18, 0.18, 0.06).at(0.31 * w, 0.58 * h, front), "glass"),
            (box(0.06, 0.18, 0.34).at(w / 2, 0.58 * h, 0), "glass"),
        ),
    ]


@kind(
    "castle", GROUP, words=("fortress",), natural="gray", second="roof", second_natural="blue", roles=("top",)
)
def castle(vary: Vary) -> list[Part]:
    """Four round towers with pointed roofs around a gate."""
    tower, roof, h = 0.9 * vary(0.9, 1.12), 0.36 * vary(0.85, 1.2), 0.52
    corners = [(x, z) for x in (-0.42, 0.42) for z in (-0.42, 0.42)]
    return [
        (box(0.84, h, 0.84).at(0, h / 2, 0), MAIN),
        *((box(0.13, 0.13, 0.86).at(x, h + 0.05, 0), MAIN) for x in (-0.14, 0.14)),
        *((cylinder(0.18, tower, segments=14).at(x, tower / 2, z), MAIN) for x, z in corners),
        *((cone(0.25, roof, 14).at(x, tower + roof / 2, z), SECOND) for x, z in corners),
        (_arch(0.26, 0.36, 0.06).at(0, 0, 0.43), "brown"),
    ]


@kind("tower", GROUP, natural="gray", second="roof", second_natural="red", roles=("top",))
def tower(vary: Vary) -> list[Part]:
    """A round tower with a wider top floor, a pointed roof and windows."""
    h, r, roof = 1.0 * vary(0.9, 1.1), 0.27 * vary(0.92, 1.1), 0.5 * vary(0.85, 1.2)
    return [
        (cylinder(1.08 * r, h, r).at(0, h / 2, 0), MAIN),
        (cylinder(1.28 * r, 0.26).at(0, h, 0), MAIN),
        (cone(1.5 * r, roof).at(0, h + 0.12 + roof / 2, 0), SECOND),
        (_arch(0.22, 0.34, 0.12).at(0, 0, r), "brown"),
        *((box(0.12, 0.18, 0.1).at(0, 0.62 * h, r - 0.02).turned(y=a), "dark") for a in (0, 90, 180, 270)),
    ]


@kind("lighthouse", GROUP, natural="white", second="stripes", second_natural="red", roles=("top",))
def lighthouse(vary: Vary) -> list[Part]:
    """A tapering striped tower with a lamp room and a red cap."""
    h, r = 1.15 * vary(0.92, 1.1), 0.3 * vary(0.92, 1.1)

    def at(t: float) -> float:
        return r * (1 - 0.4 * t)

    bands = ((0.22, 0.4), (0.6, 0.78))
    return [
        (cylinder(r, h, at(1)).at(0, h / 2, 0), MAIN),
        *(
            (cylinder(at(a) + 0.012, (b - a) * h, at(b) + 0.012).at(0, (a + b) / 2 * h, 0), SECOND)
            for a, b in bands
        ),
        (cylinder(at(1) + 0.09, 0.07).at(0, h, 0), "dark"),
        (cylinder(0.15, 0.2).at(0, h + 0.12, 0), "yellow"),
        (dome(0.2, 0.2, 16).at(0, h + 0.2, 0), SECOND),
        (_arch(0.18, 0.24, 0.12).at(0, 0, r - 0.03), "brown"),
    ]
