"""Things of the street."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import arc, box, cylinder, dome, lathe, plate, sphere
from ..vary import Vary
from ._forms import rounded, slab

GROUP = "street"


@kind("mailbox", GROUP, words=("letterbox",), natural="blue", second="flag", second_natural="red")
def mailbox(vary: Vary) -> list[Part]:
    """A box with a round top on a post; a little flag on the right."""
    long, h = 0.84 * vary(0.89, 1.11), 0.5 * vary(0.87, 1.13)
    arch = [(-0.24, 0), (0.24, 0), *(arc(0.24, 0, 180, 11) + np.array([0, h - 0.24]))]
    door = np.array(arch) * [0.84, 0.88] + [0, 0.03]
    return [
        (plate(arch, long), MAIN),
        (plate(door, 0.06).at(0, 0, long / 2), MAIN),
        (box(0.16, 0.06, 0.06).at(0, h - 0.13, long / 2 + 0.04), "steel"),
        (box(0.06, 0.36, 0.07).at(0.27, 0.36, 0.05), SECOND),
        (box(0.06, 0.16, 0.24).at(0.27, 0.5, -0.05), SECOND),
        (box(0.15, 0.72, 0.15).at(0, -0.34), "brown"),
    ]


@kind("flag", GROUP, natural="red", second="pole", second_natural="brown")
def flag(vary: Vary) -> list[Part]:
    """A waving cloth on the right of a pole with a knob."""
    w, h = 0.88 * vary(0.89, 1.13), 0.6 * vary(0.89, 1.13)
    x = np.linspace(0, w, 11)
    z = 0.08 * vary(0.8, 1.2) * np.sin(2 * np.pi * x / w)
    cloth = slab(np.concatenate([np.stack([x, z - 0.05], axis=1), np.stack([x, z + 0.05], axis=1)[::-1]]), h)
    return [
        (cloth.at(0.02, 0.36, 0), MAIN),
        (cylinder(0.06, 1.45, segments=12).at(0, 0), SECOND),
        (sphere(0.1, 12).at(0, 0.74), "gold"),
    ]


@kind("hydrant", GROUP, words=("fire hydrant",), natural="red", second="caps", second_natural="gray")
def hydrant(vary: Vary) -> list[Part]:
    """A stout post with a domed top and caps on the sides and the front."""
    r, h = 0.28 * vary(0.9, 1.13), 0.82 * vary(0.89, 1.11)
    cap = cylinder(0.13, 0.2, segments=14)
    return [
        (cylinder(r, h, segments=22), MAIN),
        (cylinder(r + 0.12, 0.12, segments=22).at(0, -h / 2), MAIN),
        (cylinder(r + 0.08, 0.1, segments=22).at(0, h / 2 - 0.03), MAIN),
        (dome(r, 0.28).at(0, h / 2), MAIN),
        (cylinder(0.08, 0.16, segments=6).at(0, h / 2 + 0.3), SECOND),
        (cylinder(0.17, 0.16, segments=16).turned(x=90).at(0, 0.1, r + 0.02), SECOND),
        *both_sides((cap.turned(z=90).at(r + 0.06, 0.14, 0), SECOND)),
    ]


@kind(
    "traffic cone", GROUP, words=("pylon",), natural="orange", second="stripes", fronted=False, roles=("top",)
)
def traffic_cone(vary: Vary) -> list[Part]:
    """A tall cone on a square foot with two stripes."""
    r, h = 0.38 * vary(0.89, 1.11), 1.05 * vary(0.92, 1.08)

    def at(share: float) -> tuple[float, float]:
        return r + (0.07 - r) * share + 0.012, -0.5 + h * share

    stripes = [
        lathe([(0, at(a)[1]), at(a), at(b), (0, at(b)[1])], 22) for a, b in ((0.3, 0.46), (0.64, 0.78))
    ]
    return [
        (cylinder(r, h, 0.07, 22).at(0, h / 2 - 0.5), MAIN),
        (slab(rounded(0.94, 0.94, 0.1), 0.12).at(0, -0.52), MAIN),
        *((stripe, SECOND) for stripe in stripes),
    ]
