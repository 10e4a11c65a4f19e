"""Toys."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import box, capsule, cone, cylinder, lathe, plate, rounded_box, sphere, tube
from ..vary import Vary
from ._creatures import eyes, oval

GROUP = "toys"


@kind("rocking horse", GROUP, natural="brown", second="rockers", second_natural="red", roles=("top",))
def rocking_horse(vary: Vary) -> list[Part]:
    """A wooden horse with a saddle on two bent runners."""
    bend, neck = vary(0.85, 1.15), vary(0.92, 1.1)
    z = np.linspace(-0.75, 0.75, 9)
    runner = tube(np.stack([0 * z + 0.2, 0.3 * bend * z**2 - 0.66, z], axis=1), 0.075, 8)
    top = 0.55 * neck
    return [
        (capsule((0, 0, -0.3), (0, 0, 0.26), 0.22, 0.22, 14), MAIN),
        (capsule((0, 0.08, 0.3), (0, top, 0.46), 0.16, 0.13, 12), MAIN),
        (capsule((0, top + 0.06, 0.46), (0, top - 0.1, 0.72), 0.15, 0.11, 12), MAIN),
        (tube([(0, 0.24, 0.16), (0, 0.44, 0.26), (0, top + 0.2, 0.42)], 0.085, 8), "black"),
        (capsule((0, 0.1, -0.5), (0, -0.16, -0.62), 0.085, 0.06, 8), "black"),
        (oval(0.24, 0.12, 0.2, 12).at(0, 0.16, -0.04), "gold"),
        *both_sides(
            (runner, SECOND),
            *(
                (capsule((0.13, -0.06, k * 0.28), (0.2, -0.6, k * 0.36), 0.085, around=8), MAIN)
                for k in (-1, 1)
            ),
            (cone(0.06, 0.17, 8).at(0.09, top + 0.26, 0.42), MAIN),
            (capsule((0, top - 0.02, 0.5), (0.22, top - 0.02, 0.5), 0.05, around=8), SECOND),
        ),
        *((box(0.46, 0.08, 0.1).at(0, -0.56, k * 0.5), SECOND) for k in (-1, 1)),
        *eyes(0.13, top + 0.08, 0.56, 0.045),
    ]


@kind(
    "dice",
    GROUP,
    words=("die",),
    natural="white",
    second="dots",
    second_natural="black",
    roles=("top", "base"),
)
def dice(vary: Vary) -> list[Part]:
    """A rounded cube with one to six dots a face; the one in front."""
    a = 0.24
    rows: dict[int, list[tuple[float, float]]] = {
        1: [(0, 0)],
        2: [(-a, -a), (a, a)],
        3: [(-a, -a), (0, 0), (a, a)],
        4: [(-a, -a), (-a, a), (a, -a), (a, a)],
        5: [(-a, -a), (-a, a), (a, -a), (a, a), (0, 0)],
        6: [(x, y) for x in (-a, a) for y in (-a, 0, a)],
    }
    dot = oval(0.1, 0.1, 0.025, 10)
    turns = {1: (0, 0), 6: (0, 180), 2: (-90, 0), 5: (90, 0), 3: (0, 90), 4: (0, -90)}
    dots = [dot.at(x, y, 0.5).turned(x=turns[n][0], y=turns[n][1]) for n in rows for x, y in rows[n]]
    return [(rounded_box(1, 1, 1, 0.12 * vary(0.7, 1.5), 3), MAIN), *((part, SECOND) for part in dots)]


@kind(
    "spinning top",
    GROUP,
    natural="red",
    second="stripe",
    second_natural="yellow",
    fronted=False,
    roles=("top",),
)
def spinning_top(vary: Vary) -> list[Part]:
    """A fat striped body on a point, with a handle."""
    wide, tall = vary(0.92, 1.1), vary(0.92, 1.1)
    rim = [(0.5 * wide, -0.05), (0.54 * wide, 0.08), (0.44 * wide, 0.22)]
    body = lathe([(0, -0.7), (0.08, -0.64), *rim, (0.1, 0.34), (0, 0.34)], 22)
    return [
        (body, MAIN),
        (cylinder(0.56 * wide, 0.14, segments=22).at(0, 0.06, 0), SECOND),
        (cylinder(0.08, 0.42 * tall, segments=10).at(0, 0.3 + 0.2 * tall, 0), SECOND),
        (sphere(0.11, 10).at(0, 0.34 + 0.42 * tall, 0), MAIN),
    ]


@kind("kite", GROUP, natural="red", second="tail", second_natural="yellow")
def kite(vary: Vary) -> list[Part]:
    """A diamond with a cross of ribs and a tail with three bows."""
    wide, long = vary(0.92, 1.1), vary(0.9, 1.1)
    sway = 0.14 * long
    tail = [(0, 0.0, 0), (sway, -0.14, 0), (-sway, -0.36, 0), (0.6 * sway, -0.54, 0)]
    bow = plate([(-0.17, 0.11), (0, 0.03), (0.17, 0.11), (0.17, -0.11), (0, -0.03), (-0.17, -0.11)], 0.1)
    return [
        (plate([(0, -0.05), (0.52 * wide, 0.55), (0, 0.98), (-0.52 * wide, 0.55)], 0.1), MAIN),
        (box(0.07, 0.96, 0.15).at(0, 0.44, 0), "wood"),
        (box(0.98 * wide, 0.07, 0.15).at(0, 0.55, 0), "wood"),
        (tube(tail, 0.055, 8), SECOND),
        *((bow.at(x, y, 0), SECOND) for x, y, _ in tail[1:]),
    ]


@kind(
    "pawn",
    GROUP,
    words=("chess pawn",),
    natural="white",
    second="base",
    second_natural="brown",
    fronted=False,
    roles=("top",),
)
def pawn(vary: Vary) -> list[Part]:
    """A ball on a collar on a flared body."""
    tall, head = vary(0.92, 1.1), vary(0.92, 1.1)
    body = lathe([(0, -0.5), (0.34, -0.5), (0.26, -0.3), (0.15, 0.0), (0.12, 0.3 * tall), (0, 0.3 * tall)])
    return [
        (body, MAIN),
        (cylinder(0.42, 0.18, 0.38).at(0, -0.56, 0), SECOND),
        (cylinder(0.25, 0.08).at(0, 0.3 * tall, 0), MAIN),
        (sphere(0.25 * head).at(0, 0.3 * tall + 0.24 * head, 0), MAIN),
    ]


@kind(
    "rook",
    GROUP,
    words=("chess rook",),
    natural="black",
    second="base",
    second_natural="brown",
    fronted=False,
    roles=("top",),
)
def rook(vary: Vary) -> list[Part]:
    """A small battlemented tower on a wide foot."""
    tall, wide = vary(0.9, 1.1), vary(0.93, 1.08)
    top = 0.42 * tall
    body = lathe([(0, -0.5), (0.36, -0.5), (0.26, -0.28), (0.22 * wide, 0.1), (0.24 * wide, top), (0, top)])
    crown = lathe(
        [
            (0, top),
            (0.34 * wide, top),
            (0.34 * wide, top + 0.2),
            (0.2, top + 0.2),
            (0.2, top + 0.1),
            (0, top + 0.1),
        ]
    )
    merlon = box(0.16, 0.16, 0.14).at(0, top + 0.26, 0.27 * wide)
    return [
        (body, MAIN),
        (cylinder(0.44, 0.18, 0.4).at(0, -0.56, 0), SECOND),
        (crown, MAIN),
        *((merlon.turned(y=60 * k), MAIN) for k in range(6)),
    ]


@kind(
    "bowling pin",
    GROUP,
    words=("skittle",),
    natural="white",
    second="stripes",
    second_natural="red",
    fronted=False,
    roles=("top",),
)
def bowling_pin(vary: Vary) -> list[Part]:
    """A wide belly, a narrow neck with two stripes, a round head."""
    fat = vary(0.92, 1.1)
    y = np.array([-0.8, -0.78, -0.5, -0.25, 0.0, 0.2, 0.36, 0.5, 0.64, 0.74, 0.8])
    r = np.array([0, 0.17, 0.28, 0.3, 0.25, 0.16, 0.125, 0.14, 0.16, 0.12, 0]) * fat
    band = [(np.interp(h, y, r) + 0.018, h) for h in (0.16, 0.22, 0.36, 0.42)]
    rings = [lathe([(0, band[i][1]), band[i], band[i + 1], (0, band[i + 1][1])]) for i in (0, 2)]
    return [(lathe(np.stack([r, y], axis=1), 22), MAIN), *((ring, SECOND) for ring in rings)]
