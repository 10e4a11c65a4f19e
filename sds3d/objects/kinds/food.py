"""Fruit, vegetables, cakes and meals."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import arc, capsule, cone, cylinder, disc_points, dome, lathe, plate, sphere, torus, tube
from ..vary import Vary
from ._creatures import oval

GROUP = "food"


def _leaf(length: float, x: float, y: float, turn: float, paint: str = "leaf") -> Part:
    """A thick leaf that leaves a stalk at (x, y) towards +x, raised by `turn` degrees."""
    blade = sphere(1, 10).scaled(0.5 * length, 0.16 * length, 0.3 * length).at(0.45 * length)
    return (blade.turned(z=turn).at(x, y), paint)


@kind("apple", GROUP, natural="red", second="leaf", second_natural="green", fronted=False, roles=("top",))
def apple(vary: Vary) -> list[Part]:
    """Broad shoulders, a dimple with a stalk and a leaf."""
    a, tall = np.linspace(-np.pi / 2, np.pi / 2, 14), vary(0.92, 1.08)
    dimple = 0.16 * np.exp(-((np.cos(a) / 0.35) ** 2)) * np.sign(a)
    profile = np.stack([0.6 * np.cos(a) * (1 + 0.12 * np.sin(a)), tall * (0.52 * np.sin(a) - dimple)], axis=1)
    stalk = capsule((0, 0.3, 0), (0.04, 0.64, 0), 0.05)
    return [(lathe(profile, 24), MAIN), (stalk, "brown"), _leaf(0.42, 0.02, 0.52, vary(10, 30), SECOND)]


@kind("pear", GROUP, natural="green", second="leaf", second_natural="green", fronted=False, roles=("top",))
def pear(vary: Vary) -> list[Part]:
    """A wide belly and a narrow neck."""
    y = np.linspace(-0.6, 0.5, 14)
    r = np.array([0.02, 0.3, 0.43, 0.47, 0.47, 0.44, 0.39, 0.33, 0.27, 0.23, 0.2, 0.17, 0.12, 0.01])
    body = lathe(np.stack([r * vary(0.94, 1.1), y], axis=1))
    stalk = capsule((0, 0.45, 0), (0.04, 0.7, 0), 0.05)
    return [(body, MAIN), (stalk, "brown"), _leaf(0.36, 0.02, 0.55, vary(5, 30), SECOND)]


@kind(
    "pumpkin", GROUP, natural="orange", second="stem", second_natural="green", fronted=False, roles=("top",)
)
def pumpkin(vary: Vary) -> list[Part]:
    """Eight ribs around a stem."""
    rib, round_ = sphere(0.34, 14).scaled(1, 1.2 * vary(0.88, 1.12), 1), disc_points(0.3, 8)
    return [
        *((rib.at(x, 0, z), MAIN) for x, z in round_),
        (capsule((0, 0.28, 0), (0.07, 0.58, 0), 0.09, 0.07), SECOND),
    ]


@kind("banana", GROUP, natural="yellow", roles=("top",))
def banana(vary: Vary) -> list[Part]:
    """A bent fruit with dark tips, lying on its back."""
    bend = vary(58, 72)
    bow = arc(0.75, 270 - bend, 270 + bend, 14) + np.array([0, 0.5])
    t = np.linspace(-1, 1, 14)
    path = np.concatenate([bow, np.zeros((14, 1))], axis=1)
    body = tube(path, 0.19 * np.sqrt(np.clip(1 - 0.9 * t**4, 0.05, 1)), 10)
    return [(body, MAIN), *((sphere(0.075, 8).at(*path[end]), "dark") for end in (0, -1))]


@kind(
    "ice cream",
    GROUP,
    words=("ice cream cone",),
    natural="pink",
    second="cone",
    second_natural="orange",
    fronted=False,
    roles=("top",),
)
def ice_cream(vary: Vary) -> list[Part]:
    """A scoop in a wafer cone, with a cherry or a second scoop."""
    tall, more = vary(0.9, 1.1), vary.chance(0.4)
    crown = (sphere(0.29).at(0, 0.7, 0), MAIN) if more else (sphere(0.1, 10).at(0, 0.72, 0), "red")
    return [
        (sphere(0.38).at(0, 0.32, 0), MAIN),
        (torus(0.3, 0.11, 20, 8).at(0, 0.17, 0), MAIN),
        (cone(0.34, 0.9 * tall).turned(x=180).at(0, 0.2 - 0.45 * tall, 0), SECOND),
        crown,
    ]


@kind(
    "cake",
    GROUP,
    words=("birthday cake",),
    natural="pink",
    second="frosting",
    second_natural="white",
    fronted=False,
    roles=("top",),
)
def cake(vary: Vary) -> list[Part]:
    """A round cake with a dripping rim of frosting and a candle."""
    h, r = 0.5 * vary(0.85, 1.15), 0.56
    drips = (
        (sphere(0.11, 8).scaled(1, 1.2, 1).at(x, h - 0.09, z), SECOND) for x, z in disc_points(r - 0.03, 8)
    )
    return [
        (cylinder(r, h, segments=24).at(0, h / 2, 0), MAIN),
        (torus(r - 0.04, 0.09, 24, 8).at(0, h, 0), SECOND),
        *drips,
        (cylinder(0.07, 0.3, segments=10).at(0, h + 0.2, 0), "red"),
        (sphere(0.08, 8).scaled(1, 1.6, 1).at(0, h + 0.44, 0), "yellow"),
    ]


@kind(
    "donut",
    GROUP,
    words=("doughnut",),
    natural="pink",
    second="dough",
    second_natural="brown",
    fronted=False,
    roles=("top",),
)
def donut(vary: Vary) -> list[Part]:
    """A ring of dough, its upper half iced."""
    tube_radius = 0.23 * vary(0.9, 1.1)
    icing = torus(0.46, 0.97 * tube_radius).scaled(1.01, 0.9, 1.01).at(0, 0.06, 0)
    return [(torus(0.46, tube_radius), SECOND), (icing, MAIN)]


@kind(
    "strawberry", GROUP, natural="red", second="leaves", second_natural="green", fronted=False, roles=("top",)
)
def strawberry(vary: Vary) -> list[Part]:
    """A pointed berry with pale seeds under a star of leaves."""
    tall = vary(0.92, 1.1)
    rows = [(0.2, -0.42), (0.36, -0.18), (0.46, 0.08), (0.48, 0.26)]
    body = lathe(
        [
            (0, -0.62 * tall),
            (0.12, -0.56 * tall),
            *((r, y * tall) for r, y in rows),
            (0.36, 0.42 * tall),
            (0, 0.48 * tall),
        ]
    )
    seeds = (
        (sphere(0.035, 6).at(0.98 * r * np.sin(a), y * tall, 0.98 * r * np.cos(a)), "yellow")
        for k, (r, y) in enumerate(rows[:3])
        for a in np.arange(4 + 2 * k) * 2 * np.pi / (4 + 2 * k) + 0.4 * k
    )
    leaf = sphere(1, 8).scaled(0.11, 0.05, 0.22).turned(x=20).at(0, 0.45 * tall, 0.22)
    crown = ((leaf.turned(y=60 * k), SECOND) for k in range(6))
    return [(body, MAIN), *seeds, *crown, (capsule((0, 0.45 * tall, 0), (0, 0.62 * tall, 0), 0.06), SECOND)]


@kind(
    "carrot", GROUP, natural="orange", second="leaves", second_natural="green", fronted=False, roles=("top",)
)
def carrot(vary: Vary) -> list[Part]:
    """A tapering root, point down, with a green tuft."""
    fat = vary(0.9, 1.12)
    body = lathe(
        [(0, -0.75), (0.07, -0.68), (0.2 * fat, -0.1), (0.26 * fat, 0.2), (0.2 * fat, 0.32), (0, 0.35)], 16
    )
    tuft = [capsule((0, 0.28, 0), (0.24 * x, 0.72, 0.24 * z), 0.07, 0.09, 8) for x, z in disc_points(1, 4)]
    return [
        (body, MAIN),
        *((blade, SECOND) for blade in tuft),
        (capsule((0, 0.3, 0), (0, 0.8, 0), 0.08), SECOND),
    ]


@kind("watermelon", GROUP, natural="red", second="rind", second_natural="green", roles=("top",))
def watermelon(vary: Vary) -> list[Part]:
    """A half slice with seeds, standing on its rind."""
    thick = 0.34 * vary(0.85, 1.2)
    bow = arc(0.66, 180, 360, 18)
    outer, inner = arc(0.78, 180, 360, 18), arc(0.65, 360, 180, 18)
    pips = [(x, y) for y, xs in ((-0.15, (-0.36, 0, 0.36)), (-0.38, (-0.2, 0.2))) for x in xs]
    seeds = (
        (sphere(0.055, 8).scaled(0.8, 1.2, 0.6).at(x, y, s * thick / 2), "black")
        for x, y in pips
        for s in (-1, 1)
    )
    return [(plate(bow, thick), MAIN), (plate(np.concatenate([outer, inner]), 1.05 * thick), SECOND), *seeds]


@kind("lemon", GROUP, natural="yellow", second="leaf", second_natural="green", roles=("top",))
def lemon(vary: Vary) -> list[Part]:
    """A lying lemon: a nipple at each end, a leaf at one."""
    plump = vary(0.9, 1.08)
    half = [(0.0, 0.72), (0.09, 0.68), (0.13, 0.58), (0.3, 0.46), (0.42, 0.24)]
    profile = [(r, -y) for r, y in half] + [(0.46, 0.0)] + half[::-1]
    return [
        (lathe([(r * plump, y) for r, y in profile]).turned(z=90), MAIN),
        _leaf(0.42, 0.55, 0.16, vary(15, 50), SECOND),
    ]


@kind(
    "pineapple",
    GROUP,
    natural="orange",
    second="leaves",
    second_natural="green",
    fronted=False,
    roles=("top",),
)
def pineapple(vary: Vary) -> list[Part]:
    """A knobbly oval with a crown of pointed leaves."""
    tall, crown = vary(0.94, 1.08), vary(0.85, 1.15)
    rows = [(0.3, -0.5), (0.38, -0.3), (0.4, -0.08), (0.36, 0.12), (0.27, 0.28)]
    knobs = (
        (sphere(0.1, 6).at(r * np.sin(a), y * tall, r * np.cos(a)), MAIN)
        for k, (r, y) in enumerate(rows)
        for a in (np.arange(8) + 0.5 * (k % 2)) * np.pi / 4
    )
    ring = [
        cone(0.1, 0.42 * crown, 6).turned(x=32).at(0, 0.36 * tall + 0.17, 0.16).turned(y=60 * k)
        for k in range(6)
    ]
    heart = cone(0.13, 0.6 * crown, 8).at(0, 0.36 * tall + 0.26 * crown, 0)
    body = sphere(1, 16).scaled(0.4, 0.56 * tall, 0.4).at(0, -0.12 * tall, 0)
    return [(body, MAIN), *knobs, *((leaf, SECOND) for leaf in ring), (heart, SECOND)]


@kind("tomato", GROUP, natural="red", second="stalk", second_natural="green", fronted=False, roles=("top",))
def tomato(vary: Vary) -> list[Part]:
    """A low round fruit under a green star."""
    low, a = 0.46 * vary(0.9, 1.1), np.linspace(-np.pi / 2, np.pi / 2, 14)
    dimple = 0.1 * np.exp(-((np.cos(a) / 0.3) ** 2)) * np.sign(a)
    leaf = cone(0.1, 0.36, 8).scaled(1, 1, 0.5).turned(x=100).at(0, low - 0.06, 0.2)
    return [
        (lathe(np.stack([0.6 * np.cos(a), low * np.sin(a) - dimple], axis=1), 24), MAIN),
        *((leaf.turned(y=72 * k), SECOND) for k in range(5)),
        (capsule((0, low - 0.14, 0), (0.03, low + 0.12, 0), 0.065, around=8), SECOND),
    ]


@kind(
    "corn",
    GROUP,
    words=("corn cob",),
    natural="yellow",
    second="husk",
    second_natural="green",
    roles=("top",),
)
def corn(vary: Vary) -> list[Part]:
    """An upright cob of thick kernels between two husk leaves."""
    tall, fat = vary(0.92, 1.1), vary(0.92, 1.08)
    rows = [(0.2, -0.36), (0.24, -0.18), (0.25, 0.0), (0.24, 0.18), (0.2, 0.36), (0.14, 0.52)]
    kernels = (
        (sphere(0.105, 6).at(fat * r * x, y * tall, fat * r * z), MAIN)
        for k, (r, y) in enumerate(rows)
        for x, z in disc_points(1, 8, 22.5 * (k % 2))
    )
    husk = oval(0.09, 0.46, 0.2, 12).turned(z=-16).at(0.27, -0.34, 0)
    return [
        (oval(0.25 * fat, 0.66 * tall, 0.25 * fat, 14), MAIN),
        *kernels,
        *both_sides((husk, SECOND)),
        (cone(0.26, 0.4, 12).turned(x=180).at(0, -0.56, 0), SECOND),
    ]


@kind(
    "eggplant",
    GROUP,
    words=("aubergine",),
    natural="purple",
    second="cap",
    second_natural="green",
    fronted=False,
    roles=("top",),
)
def eggplant(vary: Vary) -> list[Part]:
    """A heavy drop with a green cap."""
    fat, tall = vary(0.9, 1.1), vary(0.93, 1.08)
    a = np.linspace(-np.pi / 2, np.pi / 2, 14)
    body = np.stack([0.38 * fat * np.cos(a) * (1 - 0.3 * np.sin(a)), 0.62 * tall * np.sin(a)], axis=1)
    top = 0.6 * tall
    point = cone(0.1, 0.3, 8).scaled(1, 1, 0.6).turned(x=128).at(0, top - 0.1, 0.17)
    return [
        (lathe(body, 20), MAIN),
        (dome(0.2, 0.14, 14).at(0, top - 0.07, 0), SECOND),
        *((point.turned(y=72 * k), SECOND) for k in range(5)),
        (capsule((0, top, 0), (0.05, top + 0.2, 0), 0.075, around=8), SECOND),
    ]
