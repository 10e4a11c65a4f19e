"""Things of the house: boxes, lights, keepsakes."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import arc, box, capsule, cylinder, join, lathe, plate, sphere, torus, tube
from ..vary import Vary
from ._forms import profile, rounded, tapered

GROUP = "household"


@kind(
    "gift box",
    GROUP,
    words=("present", "gift"),
    natural="red",
    second="ribbon",
    second_natural="yellow",
    roles=("top",),
)
def gift_box(vary: Vary) -> list[Part]:
    """A box with a lid, a ribbon crosswise and a bow of two loops."""
    w, h = 0.86 * vary(0.89, 1.13), 0.68 * vary(0.85, 1.15)
    loop = torus(0.15, 0.06, 16, 8).turned(x=90).scaled(1.25, 1, 1.3).turned(z=-25).at(0.19, h / 2 + 0.2, 0)
    return [
        (box(w, h, w), MAIN),
        (box(w + 0.08, 0.2, w + 0.08).at(0, h / 2 - 0.02), MAIN),
        (join(box(w + 0.12, h + 0.02, 0.2), box(0.2, h + 0.02, w + 0.12)).at(0, 0.01), SECOND),
        (join(box(w + 0.12, 0.22, 0.2), box(0.2, 0.22, w + 0.12)).at(0, h / 2), SECOND),
        (sphere(0.11, 10).at(0, h / 2 + 0.14), SECOND),
        *both_sides((loop, SECOND)),
    ]


@kind(
    "barrel",
    GROUP,
    words=("cask",),
    natural="brown",
    second="bands",
    second_natural="gray",
    fronted=False,
    roles=("top", "base"),
)
def barrel(vary: Vary) -> list[Part]:
    """A bulging tub with two bands."""
    y = np.linspace(-0.6, 0.6, 9)
    swell = 0.12 * vary(0.8, 1.2)

    def radius(at: float) -> float:
        return 0.34 + swell * float(np.cos(at / 0.6 * np.pi / 2))

    staves = [(radius(k), k) for k in y]
    bands = [
        lathe(
            [
                (0, a - 0.07),
                (radius(a - 0.07) + 0.025, a - 0.07),
                (radius(a + 0.07) + 0.025, a + 0.07),
                (0, a + 0.07),
            ],
            24,
        )
        for a in (-0.34, 0.34)
    ]
    inset = [(0.29, 0.6), (0.29, 0.54), (0, 0.54)]
    return [(lathe([(0, -0.6), *staves, *inset], 24), MAIN), *((band, SECOND) for band in bands)]


@kind("candle", GROUP, natural="red", second="flame", second_natural="yellow", fronted=False, roles=("top",))
def candle(vary: Vary) -> list[Part]:
    """A thick candle with drips, a wick and a flame."""
    r, h = 0.28 * vary(0.84, 1.19), 0.84 * vary(0.84, 1.16)
    drips = [
        (a, length) for a, length in zip(np.arange(5) * 1.2566, (0.3, 0.16, 0.24, 0.12, 0.2), strict=True)
    ]
    runs = [
        capsule((r * np.sin(a), h / 2 - 0.05, r * np.cos(a)), (r * np.sin(a), h / 2 - d, r * np.cos(a)), 0.06)
        for a, d in drips
    ]
    flame = lathe([(0, -0.12), (0.1, -0.04), (0.125, 0.04), (0.08, 0.16), (0, 0.3)], 14)
    return [
        (cylinder(r, h, segments=22), MAIN),
        (cylinder(r + 0.17, 0.09, segments=24).at(0, -h / 2), "gold"),
        *((run, MAIN) for run in runs),
        (cylinder(0.035, 0.14, segments=8).at(0, h / 2 + 0.05), "black"),
        (flame.at(0, h / 2 + 0.2), SECOND),
    ]


@kind("book", GROUP, natural="blue", second="pages", roles=("top",))
def book(vary: Vary) -> list[Part]:
    """A thick closed book, upright, its spine on the left."""
    w, h, thick = 0.82 * vary(0.89, 1.13), 1.1 * vary(0.89, 1.1), 0.3 * vary(0.85, 1.2)
    cover = box(w, h, 0.08)
    return [
        *((cover.at(0, 0, z), MAIN) for z in (-thick / 2, thick / 2)),
        (box(0.1, h, thick + 0.08).at(-w / 2, 0, 0), MAIN),
        (box(w - 0.09, h - 0.12, thick).at(-0.02, 0, 0), SECOND),
        (box(0.6 * w, 0.11, 0.02).at(0.02, 0.26 * h, thick / 2 + 0.045), "gold"),
        (box(0.4 * w, 0.08, 0.02).at(0.02, 0.1 * h, thick / 2 + 0.045), "gold"),
    ]


@kind("suitcase", GROUP, words=("luggage",), natural="brown", second="straps", second_natural="cream")
def suitcase(vary: Vary) -> list[Part]:
    """A case with round corners, two straps and a handle."""
    w, h = 1.15 * vary(0.89, 1.13), 0.74 * vary(0.89, 1.13)
    bow = arc(1, 0, 180, 9) * [0.17, 0.15]
    handle = tube(np.stack([bow[:, 0], h / 2 - 0.02 + bow[:, 1], 0 * bow[:, 0]], axis=1), 0.05)
    strap = box(0.12, h + 0.05, 0.43).at(0.27 * w, 0)
    return [
        (plate(rounded(w, h, 0.12), 0.38), MAIN),
        (plate(rounded(w + 0.03, h + 0.03, 0.12), 0.06), "dark"),
        (handle, "dark"),
        *both_sides((strap, SECOND), (box(0.1, 0.12, 0.05).at(0.27 * w, 0.12, 0.21), "gold")),
    ]


@kind("trophy", GROUP, natural="yellow", second="base", second_natural="brown", roles=("top",))
def trophy(vary: Vary) -> list[Part]:
    """A cup with two big handles on a stem and a block."""
    r = 0.36 * vary(0.9, 1.13)
    cup = [
        (0, -0.06),
        (0.1, -0.06),
        (0.55 * r, 0.0),
        (0.88 * r, 0.2),
        (r, 0.44),
        (1.08 * r, 0.62),
        (0.92 * r, 0.62),
        (0.84 * r, 0.42),
        (0, 0.2),
    ]
    bow = arc(0.22, -110, 110, 11) * [0.95, 1.1]
    handle = tube(np.stack([r + 0.02 + bow[:, 0], 0.3 + bow[:, 1], 0 * bow[:, 0]], axis=1), 0.06)
    stem = lathe([(0, -0.42), (0.28, -0.42), (0.24, -0.34), (0.09, -0.24), (0.09, -0.06), (0, -0.02)])
    return [
        (lathe(cup, 24), MAIN),
        (stem, MAIN),
        (box(0.56, 0.26, 0.5).at(0, -0.54), SECOND),
        *both_sides((handle, MAIN)),
    ]


@kind(
    "chest",
    GROUP,
    words=("treasure chest",),
    natural="brown",
    second="bands",
    second_natural="gold",
    roles=("base",),
)
def chest(vary: Vary) -> list[Part]:
    """A wooden chest with a bowed lid, metal bands and a lock."""
    w, h = 1.1 * vary(0.89, 1.11), 0.46 * vary(0.87, 1.13)
    depth = 0.66
    bow = arc(1, 0, 180, 11) * [depth / 2, 0.3]
    around = np.concatenate([[(depth / 2, -h)], bow, [(-depth / 2, -h)]])
    band = profile(around * 1.06 + np.array([0, 0.02]), 0.12)
    return [
        (box(w, h, depth).at(0, -h / 2), MAIN),
        (profile(bow, w), MAIN),
        (box(w + 0.02, 0.08, depth + 0.05), "dark"),
        (box(0.2, 0.24, 0.1).at(0, -0.06, depth / 2 + 0.02), SECOND),
        (box(0.06, 0.1, 0.03).at(0, -0.08, depth / 2 + 0.07), "black"),
        *both_sides((band.at(0.44 * w, 0, 0), SECOND)),
    ]


@kind(
    "lantern", GROUP, natural="black", second="light", second_natural="yellow", fronted=False, roles=("top",)
)
def lantern(vary: Vary) -> list[Part]:
    """A glowing body between a foot and a roof, with a ring on top."""
    w, h = 0.44 * vary(0.9, 1.13), 0.6 * vary(0.87, 1.16)
    posts = [box(0.09, h, 0.09).at(x * w / 2, 0, z * w / 2) for x in (-1, 1) for z in (-1, 1)]
    roof = tapered(box(w + 0.28, 0.26, w + 0.28), 1.0, 0.3)
    return [
        (cylinder(0.46 * w, h, segments=18), SECOND),
        *((post, MAIN) for post in posts),
        (box(w + 0.2, 0.14, w + 0.2).at(0, -h / 2 - 0.05), MAIN),
        (roof.at(0, h / 2 + 0.12), MAIN),
        (torus(0.15, 0.055, 18, 8).turned(x=90).at(0, h / 2 + 0.38), MAIN),
    ]


@kind(
    "light bulb",
    GROUP,
    words=("bulb",),
    natural="yellow",
    second="socket",
    second_natural="gray",
    fronted=False,
)
def light_bulb(vary: Vary) -> list[Part]:
    """A round glass bulb above a threaded socket."""
    r = 0.46 * vary(0.9, 1.1)
    angle = np.linspace(-0.95, np.pi / 2, 11)
    glass = [(0, -0.46), (0.2, -0.46), (0.22, -0.32), *((r * np.cos(a), 0.24 + r * np.sin(a)) for a in angle)]
    threads = [torus(0.18, 0.055, 20, 8).at(0, y, 0) for y in (-0.5, -0.6, -0.7)]
    return [
        (lathe(glass, 22), MAIN),
        (cylinder(0.19, 0.3).at(0, -0.58), SECOND),
        *((thread, SECOND) for thread in threads),
        (cylinder(0.1, 0.1, segments=12).at(0, -0.77), "dark"),
    ]


@kind("globe", GROUP, natural="blue", second="land", second_natural="green")
def globe(vary: Vary) -> list[Part]:
    """The earth with its lands in a bow on a foot."""
    r = 0.46 * vary(0.92, 1.08)
    lands = (
        *((15, 28, 0.22), (345, -28, 0.16), (105, 22, 0.24), (140, -30, 0.14)),
        *((215, 0, 0.2), (285, 30, 0.2), (0, 88, 0.15)),
    )
    blobs = []
    for azimuth, up, size in lands:
        disc = sphere(size, 12).scaled(1, 1, 0.5).at(0, 0, r - 0.05)
        blobs.append(disc.turned(x=-up).turned(y=azimuth + vary(-8, 8)))
    bow = [(x, y, 0) for x, y in arc(r + 0.09, -115, 65, 13)]
    return [
        (sphere(r, 22).at(0, 0.1), MAIN),
        *((blob.at(0, 0.1), SECOND) for blob in blobs),
        (tube(bow, 0.05, 8).at(0, 0.1), "gold"),
        (cylinder(0.06, 0.2, segments=10).at(0, -r - 0.05), "brown"),
        (cylinder(0.34, 0.1, 0.2).at(0, -r - 0.17), "brown"),
    ]


@kind(
    "hourglass", GROUP, natural="brown", second="sand", second_natural="yellow", fronted=False, roles=("top",)
)
def hourglass(vary: Vary) -> list[Part]:
    """Two glass cones with sand between two wooden discs and posts."""
    r, h = 0.4 * vary(0.9, 1.1), 0.52
    half = [(0.07, 0.0), (0.14, 0.1), (0.28, 0.26), (0.31, 0.4), (0.31, h)]
    top = lathe([(0, 0), *half, (0, h)])
    angles = (np.pi / 4, 3 * np.pi / 4, 5 * np.pi / 4, 7 * np.pi / 4)
    posts = [
        cylinder(0.06, 2 * h, segments=10).at(0.92 * r * np.sin(a), 0, 0.92 * r * np.cos(a)) for a in angles
    ]
    return [
        (top, "glass"),
        (lathe([(0, -h), (0.32, -h), (0.325, -0.36), (0.2, -0.2), (0, -0.1)]), SECOND),
        (top.turned(x=180), "glass"),
        *((cylinder(r + 0.06, 0.14, segments=24).at(0, y), MAIN) for y in (-h - 0.04, h + 0.04)),
        *((post, MAIN) for post in posts),
    ]


@kind("diamond", GROUP, words=("gem", "jewel"), natural="cyan", fronted=False, roles=("top",))
def diamond(vary: Vary) -> list[Part]:
    """A cut stone, point down."""
    r, deep = 0.66 * vary(0.92, 1.08), 0.66 * vary(0.87, 1.13)
    return [(lathe([(0, -deep), (r, 0.12), (0.62 * r, 0.4), (0, 0.4)], 8), MAIN)]
