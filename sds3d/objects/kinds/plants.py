"""Plants."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, kind
from ..solids import arc, capsule, cone, cylinder, disc_points, dome, lathe, plate, sphere, tube
from ..vary import Vary
from ._creatures import oval

GROUP = "plants"


@kind(
    "mushroom",
    GROUP,
    words=("toadstool",),
    natural="red",
    second="stem",
    fronted=False,
    roles=("top", "base"),
)
def mushroom(vary: Vary) -> list[Part]:
    """A domed cap on a stem that widens to the ground."""
    r, h, thick = 0.62 * vary(0.9, 1.1), 0.5 * vary(0.85, 1.15), vary(0.9, 1.2)
    stem = lathe([(0, -0.65), (0.25 * thick, -0.65), (0.18 * thick, -0.3), (0.18 * thick, 0.05), (0, 0.05)])
    return [(dome(r, h, 24), MAIN), (stem, SECOND)]


@kind("tree", GROUP, words=("oak",), natural="green", second="trunk", second_natural="brown", fronted=False)
def tree(vary: Vary) -> list[Part]:
    """A cloud of leaves on a trunk."""
    trunk, side = 0.75 * vary(0.85, 1.15), vary(0.26, 0.33)
    low = (
        (sphere(side, 14).at(0.27 * x, 0.1 + 0.06 * (k % 2), 0.27 * z), MAIN)
        for k, (x, z) in enumerate(disc_points(1, 4, 45))
    )
    return [
        (sphere(0.42).at(0, 0.34, 0), MAIN),
        *low,
        (cylinder(0.16, trunk, 0.12, 12).at(0, -trunk / 2, 0), SECOND),
    ]


@kind(
    "christmas tree",
    GROUP,
    words=("fir", "pine tree"),
    natural="green",
    second="star",
    second_natural="yellow",
    fronted=False,
)
def christmas_tree(vary: Vary) -> list[Part]:
    """Three green cones with coloured balls and a star on top."""
    wide = vary(0.9, 1.1)
    tiers = ((0.56 * wide, -0.22), (0.45 * wide, 0.12), (0.32 * wide, 0.44))
    balls = [
        (sphere(0.065, 8).at(0.93 * r * x, y - 0.19, 0.93 * r * z), paint)
        for (r, y), count, start, paint in zip(
            tiers, (6, 5, 3), (90, 60, 90), ("red", "gold", "red"), strict=True
        )
        for x, z in disc_points(1, count, start)
    ]
    star = disc_points(0.17, 10) * np.where(np.arange(10) % 2 == 0, 1, 0.5)[:, None]
    return [
        *((cone(r, 0.46 + 0.1 * (y > 0.4)).at(0, y, 0), MAIN) for r, y in tiers),
        (cylinder(0.13, 0.45, segments=10).at(0, -0.66, 0), "brown"),
        *balls,
        (plate(star, 0.1).at(0, 0.8, 0), SECOND),
    ]


@kind("cactus", GROUP, natural="green", second="pot", second_natural="orange", roles=("top",))
def cactus(vary: Vary) -> list[Part]:
    """A column with two raised arms, in a pot."""
    left, right = vary(0.02, 0.14), vary(0.1, 0.26)
    elbow = arc(0.16, -90, 0, 5) + np.array([0.28, 0.16])
    arms = [
        tube([(0, y, 0), *((s * u, y + v, 0) for u, v in elbow), (s * 0.44, y + 0.34, 0)], 0.105, 10)
        for s, y in ((1, left), (-1, right))
    ]
    tips = [sphere(0.105, 10).at(s * 0.44, y + 0.34, 0) for s, y in ((1, left), (-1, right))]
    return [
        (capsule((0, -0.35, 0), (0, 0.55, 0), 0.2, around=14), MAIN),
        *((part, MAIN) for part in (*arms, *tips)),
        (cylinder(0.26, 0.34, 0.34).at(0, -0.55, 0), SECOND),
        (cylinder(0.38, 0.1).at(0, -0.4, 0), SECOND),
    ]


@kind(
    "flower",
    GROUP,
    words=("daisy",),
    natural="pink",
    second="center",
    second_natural="yellow",
    roles=("top",),
)
def flower(vary: Vary) -> list[Part]:
    """A blossom that looks forward on a stem with two leaves."""
    count, petal, leaf = vary.pick((6, 7, 5)), vary(0.19, 0.23), vary(10, 35)
    petals = ((oval(petal, petal, 0.1, 12).at(x, y + 0.35, 0.06), MAIN) for x, y in disc_points(0.3, count))
    blade = oval(0.22, 0.07, 0.12, 10)
    return [
        *petals,
        (oval(0.18, 0.18, 0.13, 12).at(0, 0.35, 0.12), SECOND),
        (capsule((0, 0.3, 0), (0, -0.72, 0), 0.065, around=8), "leaf"),
        (blade.turned(z=leaf).at(0.2, -0.4, 0), "leaf"),
        (blade.turned(z=-leaf).at(-0.2, -0.3, 0), "leaf"),
    ]


@kind("tulip", GROUP, natural="red", second="leaves", second_natural="green", fronted=False, roles=("top",))
def tulip(vary: Vary) -> list[Part]:
    """A cup of petals on a stem between long leaves."""
    tall, wide = vary(0.9, 1.1), vary(0.9, 1.12)
    bulb = [(0.04, 0), (0.07, 0.14), (0.16, 0.24), (0.29, 0.29), (0.42, 0.27), (0.5 * tall, 0.23)]
    cup = lathe([*((r * wide, y) for y, r in bulb), (0.1, 0.42), (0, 0.4)], 16)
    points = [
        cone(0.15, 0.34 * tall, 8).at(0.15 * wide * x, 0.52 * tall, 0.15 * wide * z)
        for x, z in disc_points(1, 4)
    ]
    leaf = oval(0.11, 0.36, 0.06, 10).turned(x=22).at(0, -0.42, 0.15)
    return [
        (cup, MAIN),
        *((point, MAIN) for point in points),
        (capsule((0, 0.1, 0), (0, -0.72, 0), 0.07, around=8), SECOND),
        *((leaf.turned(y=a), SECOND) for a in (90, 270)),
    ]


@kind("sunflower", GROUP, natural="yellow", second="center", second_natural="brown", roles=("top",))
def sunflower(vary: Vary) -> list[Part]:
    """A large brown disc with pointed petals, on a stem with leaves."""
    long, leaf = vary(0.26, 0.34), vary(10, 35)
    petal = plate(
        [(-0.1, 0.22), (0.1, 0.22), (0.11, 0.22 + 0.5 * long), (0, 0.28 + long), (-0.11, 0.22 + 0.5 * long)],
        0.09,
    )
    blade = oval(0.24, 0.07, 0.13, 10)
    return [
        *((petal.turned(z=30 * k).at(0, 0.3, 0.04 + 0.03 * (k % 2)), MAIN) for k in range(12)),
        (oval(0.28, 0.28, 0.12, 14).at(0, 0.3, 0.08), SECOND),
        (capsule((0, 0.2, -0.03), (0, -0.85, -0.03), 0.075, around=8), "leaf"),
        (blade.turned(z=leaf).at(0.22, -0.5, 0), "leaf"),
        (blade.turned(z=-leaf).at(-0.22, -0.42, 0), "leaf"),
    ]


@kind(
    "palm tree",
    GROUP,
    words=("palm",),
    natural="green",
    second="trunk",
    second_natural="brown",
    fronted=False,
)
def palm_tree(vary: Vary) -> list[Part]:
    """A bent trunk under drooping fronds and coconuts."""
    lean, droop, count = vary(0.08, 0.22), vary(0.85, 1.2), vary.pick((6, 7))
    trunk = tube([(-lean, -0.75, 0), (-0.3 * lean, -0.3, 0), (0, 0.3, 0)], (0.14, 0.11, 0.09), 10)
    fronds = []
    for x, z in disc_points(1, count):
        bow = [(0.28, 0.42), (0.5, 0.36), (0.68, 0.3 - 0.22 * droop)]
        path = [(0, 0.3, 0), *((r * x, y, r * z) for r, y in bow)]
        fronds.append(tube(path, (0.06, 0.12, 0.12, 0.03), 6))
    nuts = [sphere(0.09, 8).at(0.12 * x, 0.22, 0.12 * z) for x, z in disc_points(1, 3)]
    return [*((frond, MAIN) for frond in fronds), (trunk, SECOND), *((nut, "dark") for nut in nuts)]


@kind(
    "bush",
    GROUP,
    words=("shrub",),
    natural="green",
    second="berries",
    second_natural="red",
    fronted=False,
    roles=("top",),
)
def bush(vary: Vary) -> list[Part]:
    """A low mound of leaves with berries."""
    side, high = vary(0.28, 0.36), vary(0.9, 1.12)
    low = [(sphere(side, 12).at(0.34 * x, -0.05, 0.34 * z), MAIN) for x, z in disc_points(1, 6)]
    berries = [
        (sphere(0.065, 8).at(r * x, y, r * z), SECOND)
        for r, y, n in ((0.55, 0.14, 6), (0.3, 0.4 * high, 3))
        for x, z in disc_points(1, n, 60)
    ]
    return [*low, (sphere(0.42, 14).scaled(1, high, 1).at(0, 0.08, 0), MAIN), *berries]


@kind(
    "potted plant",
    GROUP,
    words=("houseplant",),
    natural="green",
    second="pot",
    second_natural="brown",
    fronted=False,
    roles=("top",),
)
def potted_plant(vary: Vary) -> list[Part]:
    """Broad upright leaves that fan out of a pot."""
    spread, long = vary(28, 42), vary(0.9, 1.12)
    leaf = oval(0.15, 0.42 * long, 0.07, 12).at(0, 0.42 * long, 0).turned(x=spread)
    return [
        *((leaf.at(0, -0.25, 0.05).turned(y=72 * k), MAIN) for k in range(5)),
        (oval(0.13, 0.5 * long, 0.08, 12).at(0, 0.15, 0), MAIN),
        (cylinder(0.27, 0.42, 0.36).at(0, -0.5, 0), SECOND),
        (cylinder(0.4, 0.1).at(0, -0.32, 0), SECOND),
    ]
