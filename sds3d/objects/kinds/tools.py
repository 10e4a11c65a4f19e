"""Tools and arms, upright, their flat side towards +z."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import arc, box, capsule, cone, cylinder, lathe, plate, sphere, torus, tube
from ..vary import Vary
from ._forms import rounded, slab, tapered

GROUP = "tools"


@kind("hammer", GROUP, natural="gray", second="handle", second_natural="brown")
def hammer(vary: Vary) -> list[Part]:
    """A heavy head across a thick handle."""
    w, h = 0.8 * vary(0.89, 1.13), 0.95 * vary(0.9, 1.1)
    return [
        (box(0.42 * w, 0.31, 0.3).at(0, 0.42), MAIN),
        (cylinder(0.19, 0.34 * w).turned(z=90).at(0.36 * w, 0.42), MAIN),
        (plate([(-0.1 * w, 0.56), (-0.1 * w, 0.28), (-0.62 * w, 0.4), (-0.62 * w, 0.48)], 0.26), MAIN),
        (capsule((0, 0.5, 0), (0, 0.5 - h, 0), 0.1, 0.13), SECOND),
    ]


@kind("sword", GROUP, natural="gray", second="handle", second_natural="brown")
def sword(vary: Vary) -> list[Part]:
    """A broad pointed blade, a cross guard, a grip with a pommel."""
    w, h = 0.16 * vary(0.9, 1.15), 0.9 * vary(0.92, 1.1)
    blade = [(w, -0.3), (w, h - 0.5), (0, h - 0.28), (-w, h - 0.5), (-w, -0.3)]
    return [
        (plate(blade, 0.12), MAIN),
        (plate(rounded(0.64 * vary(0.87, 1.16), 0.13, 0.06), 0.15).at(0, -0.3), "gold"),
        (cylinder(0.09, 0.36, segments=12).at(0, -0.48), SECOND),
        (sphere(0.13, 12).at(0, -0.68), "gold"),
    ]


@kind("axe", GROUP, words=("hatchet",), natural="gray", second="handle", second_natural="brown")
def axe(vary: Vary) -> list[Part]:
    """A flaring blade on the right of a handle."""
    reach, h = 0.5 * vary(0.89, 1.16), 0.32 * vary(0.89, 1.16)
    edge = [(reach + 0.07 * np.cos(t), 0.4 + h * np.sin(t)) for t in np.linspace(-1.25, 1.25, 7)]
    head = plate([(-0.13, 0.3), (0.1, 0.28), *edge, (0.1, 0.54), (-0.13, 0.52)], 0.15)
    return [(head, MAIN), (capsule((0, 0.58, 0), (0, -0.66, 0), 0.08, 0.1), SECOND)]


@kind("pickaxe", GROUP, natural="gray", second="handle", second_natural="brown")
def pickaxe(vary: Vary) -> list[Part]:
    """A bowed head with two points on a handle."""
    bow = arc(0.8 * vary(0.92, 1.16), 45, 135, 9) * [1, 1]
    path = np.stack([bow[:, 0], bow[:, 1] - bow[4, 1] + 0.52, 0 * bow[:, 0]], axis=1)
    head = tube(path, 0.12 - 0.085 * np.abs(np.linspace(-1, 1, 9)) ** 1.5, 10)
    return [
        (head.scaled(1, 1, 1.2), MAIN),
        (box(0.24, 0.22, 0.26).at(0, 0.5), MAIN),
        (capsule((0, 0.6, 0), (0, -0.62, 0), 0.075, 0.095), SECOND),
    ]


@kind("saw", GROUP, natural="gray", second="handle", second_natural="orange")
def saw(vary: Vary) -> list[Part]:
    """A hand saw, teeth below, its handle on the right."""
    long = 1.02 * vary(0.9, 1.1)
    xs = np.linspace(0.34, 0.34 - long, 10)
    teeth = [(x + d, y) for x in xs[:-1] for d, y in ((0.0, -0.22), (-0.09, -0.12))]
    blade = plate([(0.34, 0.26), *teeth, (0.34 - long, -0.14), (0.34 - long, 0.02)], 0.08)
    grip = tube(
        [(0.4, 0.2, 0), (0.66, 0.3, 0), (0.78, 0.02, 0), (0.66, -0.24, 0), (0.4, -0.16, 0), (0.36, 0.02, 0)],
        0.09,
        10,
        closed=True,
    )
    return [(blade, MAIN), (grip, SECOND)]


@kind("screwdriver", GROUP, natural="red", second="blade", second_natural="gray")
def screwdriver(vary: Vary) -> list[Part]:
    """A fat grip above a rod with a flat tip."""
    r, long = 0.22 * vary(0.89, 1.16), 0.44 * vary(0.89, 1.16)
    grip = lathe(
        [(0, 0.05), (0.6 * r, 0.05), (0.75 * r, 0.14), (r, 0.24), (r, 0.56), (0.75 * r, 0.66), (0, 0.68)], 8
    )
    tip = plate([(-0.07, -long), (-0.15, -long - 0.16), (0.15, -long - 0.16), (0.07, -long)], 0.11)
    return [
        (grip, MAIN),
        (cylinder(0.085, long + 0.1, segments=12).at(0, 0.05 - long / 2), SECOND),
        (tip, SECOND),
    ]


@kind("wrench", GROUP, words=("spanner",), natural="gray")
def wrench(vary: Vary) -> list[Part]:
    """An open jaw above, a ring below."""
    gap, r = 0.13 * vary(0.9, 1.15), 0.32
    jaw = arc(r, -235, 55, 15)
    notch = [(gap, 0.26), (gap, 0.03), (-gap, 0.03), (-gap, 0.26)]
    head = plate([*jaw, *notch], 0.17).at(0, 0.45)
    return [
        (head, MAIN),
        (plate(rounded(0.19, 0.9, 0.05), 0.13).at(0, -0.1), MAIN),
        (torus(0.18, 0.085, 20, 8).turned(x=90).at(0, -0.62), MAIN),
    ]


@kind("shovel", GROUP, words=("spade",), natural="gray", second="handle", second_natural="brown")
def shovel(vary: Vary) -> list[Part]:
    """A pointed blade below a shaft with a cross grip."""
    w, deep = 0.29 * vary(0.89, 1.16), 0.54 * vary(0.89, 1.13)
    blade = [
        (-w, -0.2),
        (-w, -0.2 - 0.6 * deep),
        (-0.6 * w, -0.2 - 0.88 * deep),
        (0, -0.2 - deep),
        (0.6 * w, -0.2 - 0.88 * deep),
        (w, -0.2 - 0.6 * deep),
        (w, -0.2),
    ]
    return [
        (plate(blade, 0.12), MAIN),
        (cone(0.12, 0.3, 12).at(0, -0.12, 0), MAIN),
        (cylinder(0.08, 0.74, segments=10).at(0, 0.17), SECOND),
        (capsule((-0.2, 0.54, 0), (0.2, 0.54, 0), 0.085), SECOND),
    ]


@kind("key", GROUP, natural="yellow")
def key(vary: Vary) -> list[Part]:
    """A ring above a shaft with two teeth on the right."""
    r, long = 0.24 * vary(0.89, 1.13), 0.78 * vary(0.89, 1.11)
    teeth = [box(0.26, 0.13, 0.15).at(0.16, y - long, 0) for y in (0.18, 0.42)]
    return [
        (torus(r, 0.1, 22, 10).turned(x=90).at(0, 0.45), MAIN),
        (cylinder(0.09, long, segments=12).at(0, 0.24 - long / 2), MAIN),
        (cylinder(0.14, 0.1, segments=14).at(0, 0.14), MAIN),
        *((tooth.at(0, 0.2, 0), MAIN) for tooth in teeth),
    ]


@kind("anvil", GROUP, natural="gray", roles=("base",))
def anvil(vary: Vary) -> list[Part]:
    """A block with a horn on the left, a waist and a wide foot."""
    w = 0.9 * vary(0.9, 1.1)
    waist = tapered(slab(rounded(0.4, 0.34, 0.05), 0.36), 1.35, 1.0)
    horn = cone(0.15, 0.46, 14).turned(z=90).scaled(1, 0.8, 1.1)
    return [
        (box(w, 0.26, 0.4).at(0.1, 0.25), MAIN),
        (horn.at(0.1 - w / 2 - 0.22, 0.26), MAIN),
        (waist.at(0, -0.05), MAIN),
        (box(0.8, 0.16, 0.5).at(0, -0.28), MAIN),
    ]


@kind("ladder", GROUP, natural="brown")
def ladder(vary: Vary) -> list[Part]:
    """Two posts with thick rungs."""
    w, count = 0.5 * vary(0.89, 1.16), vary.pick((5, 4))
    post = box(0.12, 1.5, 0.14).at(w / 2, 0, 0)
    rungs = [box(w, 0.11, 0.1).at(0, y, 0) for y in np.linspace(-0.56, 0.56, count)]
    return [*both_sides((post, MAIN)), *((rung, MAIN) for rung in rungs)]


@kind("umbrella", GROUP, words=("parasol",), natural="red", second="handle", second_natural="brown")
def umbrella(vary: Vary) -> list[Part]:
    """An open dome of eight gores over a stick with a hook."""
    r, h = 0.72 * vary(0.92, 1.08), 0.42 * vary(0.84, 1.19)
    half = np.linspace(0, np.pi / 2, 7)
    shell = [(r * np.cos(a), h * np.sin(a)) for a in half]
    under = [(0.92 * x, 0.85 * y) for x, y in shell[::-1]]
    hook = [(x + 0.12, y - 0.6, 0) for x, y in arc(0.12, 180, 350, 7)]
    return [
        (lathe([*under, *shell], 8).at(0, 0.15), MAIN),
        (cylinder(0.05, 0.75 + h, segments=10).at(0, (h - 0.45) / 2), SECOND),
        (tube(hook, 0.055, 10), SECOND),
        (cylinder(0.05, 0.14, segments=8).at(0, 0.17 + h), SECOND),
    ]


@kind("magnet", GROUP, natural="red", second="tips", second_natural="gray")
def magnet(vary: Vary) -> list[Part]:
    """A horseshoe, its poles upwards."""
    r, wide, leg = 0.4, 0.25 * vary(0.84, 1.16), 0.34 * vary(0.9, 1.15)
    outer, inner = arc(r + wide / 2, 180, 360, 13), arc(r - wide / 2, 360, 180, 13)
    shoe = plate(
        [(-r - wide / 2, leg), *outer, (r + wide / 2, leg), (r - wide / 2, leg), *inner, (wide / 2 - r, leg)],
        0.26,
    )
    return [(shoe, MAIN), *both_sides((box(wide, 0.22, 0.26).at(r, leg + 0.1), SECOND))]


@kind("shield", GROUP, natural="blue", second="cross", second_natural="yellow")
def shield(vary: Vary) -> list[Part]:
    """A knight's shield with a cross."""
    w, h = 0.5 * vary(0.92, 1.1), 0.66 * vary(0.92, 1.1)
    side = np.array([(1, 1), (1, 0.15), (0.88, -0.3), (0.6, -0.68), (0, -1.0)]) * [w, h]
    outline = np.concatenate([side, side[-2::-1] * [-1, 1]])
    return [
        (plate(outline * 1.08, 0.12), "steel"),
        (plate(outline * 0.98, 0.2), MAIN),
        (box(0.17, 1.6 * h, 0.16).at(0, 0.08 * h, 0.08), SECOND),
        (box(1.7 * w, 0.17, 0.16).at(0, 0.3 * h, 0.08), SECOND),
    ]


@kind("pencil", GROUP, natural="yellow", second="eraser", second_natural="pink")
def pencil(vary: Vary) -> list[Part]:
    """A thick six-sided pencil, point down."""
    r, h = 0.2 * vary(0.84, 1.16), 0.74 * vary(0.92, 1.08)
    return [
        (lathe([(0, -0.35), (r, -0.35), (r, h - 0.35), (0, h - 0.35)], 6), MAIN),
        (lathe([(0, -0.68), (0.33 * r, -0.57), (r, -0.34), (0, -0.34)], 12), "cream"),
        (lathe([(0, -0.72), (0.42 * r, -0.54), (0, -0.54)], 12), "black"),
        (cylinder(1.05 * r, 0.1).at(0, h - 0.31), "steel"),
        (capsule((0, h - 0.26, 0), (0, h - 0.2, 0), 0.95 * r), SECOND),
    ]


@kind("paintbrush", GROUP, words=("brush",), natural="blue", second="handle", second_natural="brown")
def paintbrush(vary: Vary) -> list[Part]:
    """Bristles full of paint above a handle."""
    w = 0.24 * vary(0.87, 1.16)
    bristles = [
        (-w, 0.1),
        (w, 0.1),
        (1.12 * w, 0.42),
        (0.8 * w, 0.62),
        (0, 0.72),
        (-0.8 * w, 0.62),
        (-1.12 * w, 0.42),
    ]
    return [
        (plate(bristles, 0.26), MAIN),
        (box(2.15 * w, 0.2, 0.3).at(0, 0.06), "steel"),
        (plate([(-w, 0), (-0.09, -0.2), (-0.1, -0.68), (0.1, -0.68), (0.09, -0.2), (w, 0)], 0.16), SECOND),
    ]


@kind("magnifying glass", GROUP, words=("magnifier",), natural="black", second="lens", second_natural="cyan")
def magnifying_glass(vary: Vary) -> list[Part]:
    """A lens in a thick ring on a handle that slants to the right."""
    r = 0.38 * vary(0.9, 1.1)
    rod = capsule((0, -r - 0.02, 0), (0, -r - 0.58, 0), 0.085, 0.11)
    lens = cylinder(r, 0.07, segments=24).turned(x=90)
    ring = torus(r, 0.09, 24, 10).turned(x=90)
    return [(part.turned(z=35), paint) for part, paint in ((ring, MAIN), (lens, SECOND), (rod, MAIN))]


@kind("anchor", GROUP, natural="blue")
def anchor(vary: Vary) -> list[Part]:
    """A shank with a ring, a stock, two flukes on a bow."""
    r = 0.5 * vary(0.9, 1.1)
    bow = [(x, y - 0.16, 0) for x, y in arc(r, 190, 350, 13)]
    fluke = plate([(0, 0.2), (0.19, -0.06), (-0.17, -0.1)], 0.18).turned(z=-12).at(0.98 * r, -0.2)
    return [
        (torus(0.14, 0.065, 18, 8).turned(x=90).at(0, 0.62), MAIN),
        (cylinder(0.085, 1.12, segments=12).at(0, -0.06), MAIN),
        (capsule((-0.3, 0.34, 0), (0.3, 0.34, 0), 0.08), MAIN),
        (tube(bow, 0.09, 10), MAIN),
        *both_sides((fluke, MAIN)),
    ]


@kind("scissors", GROUP, words=("shears",), natural="gray", second="handles", second_natural="red")
def scissors(vary: Vary) -> list[Part]:
    """Two crossed blades, points up, with two rings."""
    spread = 17 * vary(0.85, 1.2)
    blade = plate([(-0.09, -0.14), (0.12, -0.14), (0.13, 0.3), (-0.09, 0.82)], 0.09).turned(z=-spread)
    ring = torus(0.17, 0.06, 18, 8).turned(x=90).scaled(0.9, 1.1, 1).at(-0.21, -0.38)
    arm = capsule((0.0, -0.04, 0), (-0.13, -0.26, 0), 0.07)
    front, back = (blade.at(0, 0, 0.04), MAIN), (blade.mirrored().at(0, 0, -0.04), MAIN)
    return [
        front,
        back,
        *both_sides((ring, SECOND), (arm, SECOND)),
        (cylinder(0.07, 0.2).turned(x=90), "dark"),
    ]


@kind("bow", GROUP, words=("bow and arrow",), natural="brown", second="arrow", second_natural="red")
def bow(vary: Vary) -> list[Part]:
    """A bent bow with its string and an arrow to the right."""
    r = 0.66 * vary(0.92, 1.08)
    bend = arc(r, -75, 75, 13)
    wood = tube([(x - 0.3, y, 0) for x, y in bend], 0.05 + 0.05 * np.cos(np.linspace(-1.4, 1.4, 13)), 10)
    tip = bend[-1]
    string = cylinder(0.035, 2 * tip[1], segments=8).at(tip[0] - 0.3, 0)
    head = cone(0.13, 0.24, 10).turned(z=-90).at(0.66, 0, 0)
    feather = plate([(-0.42, 0.0), (-0.2, 0.0), (-0.3, 0.15), (-0.48, 0.15)], 0.07)
    below = plate([(-0.42, 0.0), (-0.2, 0.0), (-0.3, -0.15), (-0.48, -0.15)], 0.07)
    shaft = capsule((-0.42, 0, 0), (0.6, 0, 0), 0.05)
    return [(wood, MAIN), (string, "cream"), *((part, SECOND) for part in (shaft, head, feather, below))]
