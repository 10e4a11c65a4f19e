"""Musical instruments, played from the side at +z."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import box, capsule, cylinder, lathe, plate, sphere, torus, tube
from ..vary import Vary
from ._forms import hollow, rounded, slab

GROUP = "instruments"


def _waisted(upper: float, waist: float, lower: float, height: float) -> np.ndarray:
    """Outline of a guitar's body, `height` tall, with these half widths."""
    ys = np.array([-0.5, -0.46, -0.34, -0.2, -0.05, 0.1, 0.24, 0.36, 0.46, 0.5]) * height
    share = np.array([0.25, 0.62, 0.95, 1.0])
    xs = [*(lower * share), (lower + waist) / 2 * 0.96, waist, 0.94 * upper, upper, 0.75 * upper, 0.3 * upper]
    right = np.stack([xs, ys], axis=1)
    return np.concatenate([right, right[::-1] * [-1, 1]])


@kind("guitar", GROUP, natural="orange", second="neck", second_natural="brown")
def guitar(vary: Vary) -> list[Part]:
    """A waisted body with a round hole, an upright neck and a head."""
    lower, upper = 0.4 * vary(0.9, 1.1), 0.3 * vary(0.9, 1.1)
    return [
        (plate(_waisted(upper, 0.23, lower, 0.86), 0.26).at(0, -0.38), MAIN),
        (cylinder(0.13, 0.04, segments=20).turned(x=90).at(0, -0.3, 0.125), "black"),
        (box(0.3, 0.07, 0.08).at(0, -0.6, 0.14), "dark"),
        (box(0.13, 0.74, 0.12).at(0, 0.3, 0.1), SECOND),
        (plate(rounded(0.24, 0.26, 0.05), 0.12).at(0, 0.72, 0.1), SECOND),
        *both_sides(*((sphere(0.05, 8).at(0.14, y, 0.1), "gold") for y in (0.66, 0.78))),
    ]


@kind("violin", GROUP, words=("fiddle",), natural="brown", second="bow", second_natural="cream")
def violin(vary: Vary) -> list[Part]:
    """A narrow-waisted body, a dark fingerboard, a bow beside it."""
    lower = 0.34 * vary(0.9, 1.1)
    scroll = cylinder(0.085, 0.14, segments=12).turned(z=90).at(0, 0.66, 0.05)
    return [
        (plate(_waisted(0.28, 0.17, lower, 0.8), 0.2).at(-0.08, -0.32), MAIN),
        (box(0.1, 0.86, 0.1).at(-0.08, 0.22, 0.12), "dark"),
        (box(0.11, 0.6, 0.1).at(-0.08, 0.32, 0.06), MAIN),
        (scroll.at(-0.08, 0, 0.04), MAIN),
        (box(0.24, 0.06, 0.1).at(-0.08, -0.38, 0.12), "cream"),
        (capsule((0.0, -0.7, 0.16), (0.42, 0.6, 0.16), 0.045), SECOND),
    ]


@kind(
    "drum", GROUP, natural="red", second="rims", second_natural="yellow", fronted=False, roles=("top", "base")
)
def drum(vary: Vary) -> list[Part]:
    """A wide shell with two rims, white skins and slanting cords."""
    r, h = 0.55 * vary(0.9, 1.1), 0.66 * vary(0.88, 1.12)
    spots = np.arange(13) * np.pi / 6
    ring = [(r * np.sin(a), (h / 2 - 0.08) * (-1) ** k, r * np.cos(a)) for k, a in enumerate(spots)]
    cords = [capsule(p, q, 0.045, around=6) for p, q in pairwise(ring)]
    return [
        (cylinder(r, h, segments=24), MAIN),
        (cylinder(0.94 * r, h + 0.08, segments=24), "white"),
        *((torus(r, 0.055, 24, 8).at(0, y, 0), SECOND) for y in (-h / 2, h / 2)),
        *((cord, "cream") for cord in cords),
    ]


@kind("piano", GROUP, words=("grand piano",), natural="black", second="keys")
def piano(vary: Vary) -> list[Part]:
    """A grand piano with its lid open and keys towards +z."""
    w, tilt = 1.0 * vary(0.9, 1.1), vary(28, 40)
    curve = np.array(
        [
            (-0.5, 0.4),
            (0.5, 0.4),
            (0.5, 0.05),
            (0.36, -0.2),
            (0.12, -0.36),
            (0.0, -0.58),
            (-0.2, -0.7),
            (-0.5, -0.66),
        ]
    ) * [w, 1]
    lid = slab(curve + np.array([w / 2, 0]), 0.06).turned(z=tilt).at(-w / 2, 0.16, 0)
    black_keys = [box(0.05, 0.06, 0.12).at(x * w, 0.06, 0.44) for x in np.linspace(-0.36, 0.36, 7)]
    legs = [
        cylinder(0.07, 0.5, 0.1, segments=10).at(x, -0.34, z)
        for x, z in ((-0.42 * w, 0.3), (0.42 * w, 0.3), (-0.28 * w, -0.48))
    ]
    return [
        (slab(curve, 0.26), MAIN),
        (box(w, 0.14, 0.24).at(0, -0.06, 0.46), MAIN),
        (lid, MAIN),
        (box(0.88 * w, 0.06, 0.2).at(0, 0.03, 0.47), SECOND),
        *((one, "black") for one in black_keys),
        *((leg, MAIN) for leg in legs),
        (
            capsule((0.3 * w, 0.1, 0.1), (0.22 * w, 0.12 + 0.7 * w * np.sin(np.deg2rad(tilt)), 0.1), 0.035),
            MAIN,
        ),
    ]


@kind("trumpet", GROUP, natural="yellow")
def trumpet(vary: Vary) -> list[Part]:
    """A looped tube with three valves; the bell on the right."""
    flare = 0.32 * vary(0.89, 1.16)
    bell = lathe(
        [
            (0, -0.28),
            (0.075, -0.3),
            (0.09, 0.0),
            (0.14, 0.16),
            (0.22, 0.26),
            (flare, 0.32),
            (0.8 * flare, 0.31),
            (0, 0.14),
        ],
        20,
    )
    loop = [(0.34, -0.26), (0.42, -0.22), (0.46, -0.1), (0.42, 0.03), (0.3, 0.08)]
    lower = [(-0.3, 0.08), (-0.42, 0.03), (-0.46, -0.1), (-0.42, -0.22), (-0.34, -0.26)]
    coil = [(*p, 0.0) for p in (*loop, *lower)]
    valves = [cylinder(0.085, 0.46, segments=12).at(x, -0.08) for x in (-0.19, 0.0, 0.19)]
    caps = [cylinder(0.06, 0.16, segments=10).at(x, 0.2) for x in (-0.19, 0.0, 0.19)]
    return [
        (bell.turned(z=-90).at(0.62, 0.08), MAIN),
        (capsule((-0.78, 0.08, 0), (0.5, 0.08, 0), 0.075), MAIN),
        (cylinder(0.07, 0.12, 0.12).turned(z=90).at(-0.84, 0.08), "steel"),
        (tube(coil, 0.065, 8, closed=True), MAIN),
        *((valve, MAIN) for valve in valves),
        *((cap, "steel") for cap in caps),
    ]


@kind("bell", GROUP, natural="yellow", second="handle", second_natural="brown", fronted=False, roles=("top",))
def bell(vary: Vary) -> list[Part]:
    """A hand bell with a clapper."""
    r = 0.48 * vary(0.9, 1.1)
    ys = np.array([-0.5, -0.42, -0.28, -0.05, 0.12, 0.22, 0.27])
    outer = np.stack([r * np.array([1.0, 0.86, 0.72, 0.62, 0.52, 0.34, 0.0]), ys], axis=1)
    inner = (outer * [0.86, 1] - [0, 0.07])[1:-1][::-1]
    return [
        (lathe([(0, 0.1), *inner, (0.84 * r, -0.5), *outer], 24), MAIN),
        (sphere(0.12, 12).at(0, -0.48), "dark"),
        (cylinder(0.05, 0.6, segments=8).at(0, -0.15), "dark"),
        (capsule((0, 0.26, 0), (0, 0.6, 0), 0.09, 0.13), SECOND),
    ]


@kind("xylophone", GROUP, natural="brown")
def xylophone(vary: Vary) -> list[Part]:
    """Coloured bars, long to short, on a wooden frame; two mallets."""
    count, w = vary.pick((6, 7)), 1.3
    paints = ("red", "orange", "yellow", "green", "cyan", "blue", "purple")
    xs = np.linspace(-0.5, 0.5, count) * (w - 0.2)
    lengths = np.linspace(0.84, 0.46, count) * vary(0.92, 1.08)
    bars = [
        (box(0.68 * w / count, 0.1, d).at(x, 0.08, 0), p)
        for x, d, p in zip(xs, lengths, paints, strict=False)
    ]
    rail = plate([(-w / 2, -0.12), (w / 2, -0.12), (w / 2, 0.05), (-w / 2, 0.05)], 0.14)
    ends = [slab(rounded(0.16, d, 0.03), 0.26).at(x, -0.06, 0) for x, d in ((-w / 2, 0.8), (w / 2, 0.44))]
    tilt = [rail.turned(y=s * 9).at(0, -0.02, s * 0.2) for s in (-1, 1)]
    return [*bars, *((part, MAIN) for part in (*tilt, *ends))]


@kind("maracas", GROUP, words=("maraca",), natural="red", second="handles", second_natural="yellow")
def maracas(vary: Vary) -> list[Part]:
    """Two round rattles on crossed handles."""
    lean = 20 * vary(0.85, 1.2)
    head = sphere(0.3, 16).scaled(1, 1.15, 1).at(0, 0.4)
    belt = cylinder(0.312, 0.1, segments=18).at(0, 0.4)
    rod = capsule((0, 0.15, 0), (0, -0.62, 0), 0.075, 0.095)
    one = [(head, MAIN), (belt, "white"), (rod, SECOND)]
    left = [(s.turned(z=lean).at(-0.14, 0, 0.07), p) for s, p in one]
    return [*left, *((s.turned(z=-lean).at(0.14, 0, -0.07), p) for s, p in one)]


@kind("tambourine", GROUP, natural="green", second="jingles", second_natural="yellow")
def tambourine(vary: Vary) -> list[Part]:
    """A shallow hoop with a skin and jingles, facing +z."""
    r = 0.6 * vary(0.92, 1.08)
    spots = [(r * np.sin(a), r * np.cos(a)) for a in np.arange(6) * np.pi / 3]
    hoop = hollow([(r, -0.16), (r, 0.16)], 0.1, 0.1, 28).turned(x=90)
    jingles = [cylinder(0.13, 0.09, segments=12).at(x, y, -0.02) for x, y in spots]
    return [
        (hoop, MAIN),
        (cylinder(0.9 * r, 0.06, segments=24).turned(x=90).at(0, 0, 0.14), "cream"),
        *((j, SECOND) for j in jingles),
    ]
