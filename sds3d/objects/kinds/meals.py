"""Meals, sweets and more of the garden."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import (
    arc,
    capsule,
    cone,
    cylinder,
    disc_points,
    dome,
    lathe,
    plate,
    rounded_box,
    sphere,
    tube,
)
from ..vary import Vary
from ._creatures import oval
from ._forms import slab

GROUP = "food"


@kind(
    "hamburger",
    GROUP,
    words=("burger",),
    natural="wood",
    second="lettuce",
    second_natural="green",
    fronted=False,
    roles=("top",),
)
def hamburger(vary: Vary) -> list[Part]:
    """A bun with seeds, lettuce, tomato, cheese and a patty."""
    high, meat = vary(0.85, 1.15), vary(0.85, 1.2)
    patty = 0.15 * meat
    y = 0.1 + patty
    seeds = (
        (sphere(0.04, 6).at(r * x, y + 0.17 + h * high, r * z), "cream")
        for r, h, n in ((0.2, 0.36, 4), (0.4, 0.26, 8))
        for x, z in disc_points(1, n)
    )
    frill = ((oval(0.17, 0.05, 0.17, 8).at(x, y + 0.09, z), SECOND) for x, z in disc_points(0.52, 10))
    return [
        (lathe([(0, -0.2), (0.5, -0.2), (0.6, -0.1), (0.6, 0.02), (0, 0.02)], 22), MAIN),
        (cylinder(0.63, patty, segments=22).at(0, 0.02 + patty / 2, 0), "brown"),
        (slab([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)], 0.05).at(0, y - 0.04, 0), "yellow"),
        (cylinder(0.57, 0.08, segments=22).at(0, y + 0.02, 0), "red"),
        *frill,
        (dome(0.62, 0.4 * high, 22).at(0, y + 0.12, 0), MAIN),
        *seeds,
    ]


@kind(
    "pizza",
    GROUP,
    words=("slice of pizza", "pizza slice"),
    natural="yellow",
    second="crust",
    second_natural="brown",
    roles=("top",),
)
def pizza(vary: Vary) -> list[Part]:
    """A thick upright slice, its point down, with salami and a crust."""
    wide, big = 0.5 * vary(0.88, 1.12), vary(0.9, 1.15)
    x = np.linspace(-1, 1, 7) * wide
    bow = [(t, 0.5 + 0.1 * np.cos(t / wide * np.pi / 2)) for t in x]
    salami = [(0.0, -0.26), (0.14, 0.06), (-0.18, 0.18), (0.16, 0.36)]
    return [
        (plate([(0, -0.75), *bow[::-1]], 0.2), MAIN),
        (tube([(t, y, 0.03) for t, y in bow], 0.16, 10), SECOND),
        *((sphere(0.16, 8).at(t, y, 0.03), SECOND) for t, y in (bow[0], bow[-1])),
        *((cylinder(0.13 * big, 0.1, segments=12).turned(x=90).at(t, y, 0.09), "red") for t, y in salami),
    ]


@kind("cheese", GROUP, natural="yellow", second="holes", second_natural="orange", roles=("top",))
def cheese(vary: Vary) -> list[Part]:
    """A wedge with round holes, its point to the front."""
    high, wide, hole = 0.5 * vary(0.85, 1.15), vary(0.88, 1.12), vary(0.85, 1.2)
    wedge = slab([(0, 0.7), (-0.48 * wide, -0.4), (0, -0.52), (0.48 * wide, -0.4)], high)
    dent = sphere(0.12 * hole, 10).scaled(0.35, 1, 1).turned(y=-66 + 180)
    pits = [(0.15, 0.08, 0.34), (0.29, -0.1, 0.0), (0.4, 0.1, -0.24)]
    return [
        (wedge, MAIN),
        *both_sides(*((dent.at(x * wide, y * high * 2, z), SECOND) for x, y, z in pits)),
        *(
            (oval(r, 0.04, r, 10).at(x, high / 2, z), SECOND)
            for x, z, r in ((0.02, 0.2, 0.08), (-0.16, -0.2, 0.11), (0.17, -0.14, 0.08))
        ),
        *((oval(0.11, 0.11, 0.04, 10).at(x, y, -0.48), SECOND) for x, y in ((0.18, 0.06), (-0.18, -0.06))),
    ]


@kind("egg", GROUP, natural="white", second="cup", second_natural="blue", fronted=False, roles=("top",))
def egg(vary: Vary) -> list[Part]:
    """An egg in an egg cup."""
    tall, a = vary(0.92, 1.1), np.linspace(-np.pi / 2, np.pi / 2, 15)
    body = np.stack([0.42 * np.cos(a) * (1 - 0.14 * np.sin(a)), 0.55 * tall * np.sin(a)], axis=1)
    cup = lathe(
        [
            (0, -0.82),
            (0.3, -0.82),
            (0.12, -0.64),
            (0.2, -0.5),
            (0.44, -0.26),
            (0.46, -0.1),
            (0.4, -0.1),
            (0, -0.4),
        ]
    )
    return [(lathe(body, 20), MAIN), (cup, SECOND)]


@kind(
    "cupcake",
    GROUP,
    words=("muffin",),
    natural="pink",
    second="wrapper",
    second_natural="blue",
    fronted=False,
    roles=("top",),
)
def cupcake(vary: Vary) -> list[Part]:
    """A swirl of frosting with a cherry in a pleated wrapper."""
    tall, wide = vary(0.88, 1.12), vary(0.93, 1.08)
    tiers = ((0.46, 0.17, 0.08), (0.36, 0.16, 0.28), (0.22, 0.15, 0.46))
    ridges = disc_points(0.36, 12)
    return [
        (cylinder(0.34, 0.5, 0.48).at(0, -0.25, 0), SECOND),
        *(
            (capsule((0.92 * x, -0.46, 0.92 * z), (1.28 * x, -0.02, 1.28 * z), 0.05, around=6), SECOND)
            for x, z in ridges
        ),
        *((dome(r * wide + 0.08, h * 1.7 * tall, 18).at(0, y * tall - 0.06, 0), MAIN) for r, h, y in tiers),
        (sphere(0.12, 12).at(0, 0.74 * tall, 0), "red"),
    ]


@kind(
    "lollipop", GROUP, words=("candy",), natural="red", second="swirl", second_natural="white", roles=("top",)
)
def lollipop(vary: Vary) -> list[Part]:
    """A thick disc with a swirl on both faces, on a stick."""
    big, turn = vary(0.92, 1.1), vary(0, 360)
    a = np.linspace(0, 3.5 * np.pi, 26)
    r = 0.03 + 0.36 * big * a / a[-1]
    swirl = np.stack([r * np.cos(a), r * np.sin(a), 0 * a], axis=1)
    line = tube(swirl, 0.055, 6).scaled(1, 1, 0.7).turned(z=turn)
    return [
        (cylinder(0.46 * big, 0.2, segments=24).turned(x=90).at(0, 0.34, 0), MAIN),
        *((line.at(0, 0.34, s * 0.1), SECOND) for s in (-1, 1)),
        (capsule((0, 0.1, 0), (0, -0.85, 0), 0.06), "cream"),
    ]


@kind(
    "popsicle",
    GROUP,
    words=("ice lolly",),
    natural="cyan",
    second="stick",
    second_natural="wood",
    roles=("top",),
)
def popsicle(vary: Vary) -> list[Part]:
    """A block of ice with a round top and two grooves on a stick."""
    wide, tall = 0.27 * vary(0.92, 1.1), vary(0.92, 1.1)
    top = arc(wide, 0, 180, 9) + np.array([0, 0.36 * tall])
    groove = [
        (capsule((x, -0.2, z), (x, 0.3 * tall, z), 0.045, around=8), "white")
        for x in (-0.1, 0.1)
        for z in (-0.13, 0.13)
    ]
    return [
        (plate([(-wide, -0.35), (wide, -0.35), *top], 0.28), MAIN),
        *groove,
        (rounded_box(0.15, 0.5, 0.1, 0.045, 1).at(0, -0.55, 0), SECOND),
    ]


@kind(
    "hot dog",
    GROUP,
    words=("hotdog",),
    natural="wood",
    second="sausage",
    second_natural="red",
    roles=("top",),
)
def hot_dog(vary: Vary) -> list[Part]:
    """A sausage in a split bun with a line of mustard."""
    long, fat = 0.5 * vary(0.9, 1.1), vary(0.92, 1.1)
    x = np.linspace(-0.9, 0.9, 13) * long
    mustard = np.stack([x, 0 * x + 0.2 + 0.1 * fat, 0.06 * np.sin(np.arange(13) * np.pi / 2)], axis=1)
    bun = [capsule((-long, 0, s * 0.2), (long, 0, s * 0.2), 0.2 * fat, around=12) for s in (-1, 1)]
    return [
        *((half, MAIN) for half in bun),
        (capsule((-1.3 * long, 0.15, 0), (1.3 * long, 0.15, 0), 0.155 * fat, around=12), SECOND),
        (tube(mustard, 0.045, 8), "yellow"),
    ]


@kind(
    "cherry",
    GROUP,
    words=("cherries",),
    natural="red",
    second="stems",
    second_natural="green",
    roles=("top",),
)
def cherry(vary: Vary) -> list[Part]:
    """Two cherries whose stalks meet under a leaf."""
    big, apart = 0.32 * vary(0.92, 1.08), 0.36 * vary(0.95, 1.1)
    fruit = lathe(
        [
            (r * big, y * big)
            for r, y in (
                (0, -1),
                (0.5, -0.88),
                (0.88, -0.5),
                (1, 0),
                (0.88, 0.5),
                (0.55, 0.82),
                (0.2, 0.8),
                (0, 0.7),
            )
        ],
        18,
    )
    stalk = tube([(apart, -0.15, 0), (0.8 * apart, 0.2, 0), (0, 0.62, 0)], 0.05, 8)
    return [
        *both_sides((fruit.at(apart, -0.35, 0), MAIN), (stalk, SECOND)),
        (oval(0.26, 0.07, 0.14, 10).turned(z=18).at(0.22, 0.68, 0), SECOND),
        (sphere(0.07, 8).at(0, 0.63, 0), SECOND),
    ]


@kind(
    "grapes",
    GROUP,
    words=("bunch of grapes",),
    natural="purple",
    second="leaf",
    second_natural="green",
    fronted=False,
    roles=("top",),
)
def grapes(vary: Vary) -> list[Part]:
    """A hanging bunch that narrows downwards, with a leaf."""
    r, wide = 0.16 * vary(0.92, 1.08), vary(0.92, 1.1)
    rows = ((0.3, 0.34, 7), (0.31, 0.1, 7), (0.24, -0.13, 5), (0.14, -0.34, 3), (0.0, -0.54, 1))
    berries = (
        (sphere(r, 10).at(d * wide * x, y, d * wide * z), MAIN)
        for k, (d, y, n) in enumerate(rows)
        for x, z in disc_points(1, n, 25 * k)
    )
    return [
        *berries,
        (cone(0.28, 0.8, 10).turned(x=180).at(0, 0.06, 0), MAIN),
        (capsule((0, 0.4, 0), (0.05, 0.72, 0), 0.06, around=8), "brown"),
        (oval(0.3, 0.06, 0.2, 10).turned(z=15).at(0.24, 0.58, 0), SECOND),
    ]


@kind(
    "bread",
    GROUP,
    words=("loaf", "loaf of bread"),
    natural="brown",
    second="crumb",
    second_natural="cream",
    roles=("top",),
)
def bread(vary: Vary) -> list[Part]:
    """A loaf with a domed crust, cut off in front."""
    wide, long = 0.36 * vary(0.93, 1.08), 1.1 * vary(0.9, 1.1)
    crown = arc(1, -20, 200, 13) * [1.2 * wide, 0.24] + np.array([0, 0.24])
    outline = np.concatenate([[(-wide, -0.35), (wide, -0.35)], crown])
    return [
        (plate(outline, long), MAIN),
        (plate(outline * 0.86, 0.1).at(0, 0, long / 2), SECOND),
        *(
            (capsule((-0.2, 0.46, z - 0.1), (0.2, 0.46, z + 0.1), 0.055, around=8), "cream")
            for z in (-0.3, 0.0, 0.3)
        ),
    ]
