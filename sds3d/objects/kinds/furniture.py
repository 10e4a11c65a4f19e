"""Furniture and clocks; backs are at -z."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import box, capsule, cylinder, lathe, plate, sphere, tube
from ..vary import Vary
from ._forms import profile, rounded

GROUP = "furniture"


def _legs(width: float, depth: float, height: float, thick: float, paint: str = MAIN) -> list[Part]:
    """Four square legs below y = 0, their outer faces on the sides of a width x depth rectangle."""
    x, z = (width - thick) / 2, (depth - thick) / 2
    ends = [box(thick, height, thick).at(x, -height / 2, side * z) for side in (-1, 1)]
    return both_sides(*((leg, paint) for leg in ends))


@kind("table", GROUP, natural="brown", roles=("base", "cover"))
def table(vary: Vary) -> list[Part]:
    """A thick top on four legs."""
    w, d, h = 1.1 * vary(0.89, 1.11), 0.76 * vary(0.9, 1.15), 0.58 * vary(0.88, 1.12)
    thick = 0.12 * vary(0.84, 1.16)
    return [(box(w, 0.11, d).at(0, 0.05), MAIN), *_legs(w - 0.06, d - 0.06, h, thick)]


@kind("chair", GROUP, natural="brown", roles=("base", "cover"))
def chair(vary: Vary) -> list[Part]:
    """A seat on four legs with a back."""
    w, h, back = 0.64 * vary(0.89, 1.11), 0.5 * vary(0.84, 1.16), 0.72 * vary(0.84, 1.16)
    solid_back = not vary.chance(0.4)
    parts = [(box(w, 0.12, w).at(0, 0.05), MAIN), *_legs(w, w, h, 0.12)]
    z = -w / 2 + 0.055
    if solid_back:
        return [*parts, (box(w, back, 0.11).at(0, back / 2, z), MAIN)]
    posts = both_sides((box(0.11, back, 0.11).at(w / 2 - 0.055, back / 2, z), MAIN))
    rails = [(box(w, 0.17, 0.09).at(0, y * back, z), MAIN) for y in (0.42, 0.87)]
    return [*parts, *posts, *rails]


@kind("stool", GROUP, natural="brown", roles=("base", "cover"))
def stool(vary: Vary) -> list[Part]:
    """A round seat on three spread legs."""
    r, h, spread = 0.42 * vary(0.87, 1.13), 0.78 * vary(0.84, 1.16), vary(0.84, 1.16)
    parts: list[Part] = [(cylinder(r, 0.13, segments=24).at(0, 0.03), MAIN)]
    for degrees in (90, 210, 330):
        x, z = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        foot = 0.4 * spread
        parts.append((tube([(0.24 * x, 0, 0.24 * z), (foot * x, -h, foot * z)], 0.07, 10), MAIN))
    return parts


@kind("sofa", GROUP, words=("couch",), natural="red", roles=("base",))
def sofa(vary: Vary) -> list[Part]:
    """Two cushions between arms, before a back."""
    w, back = 1.3 * vary(0.87, 1.16), 0.62 * vary(0.87, 1.13)
    seat = w - 0.36
    cushion = profile(rounded(0.5, 0.17, 0.06), seat / 2 - 0.015).at(seat / 4, 0.06, 0.08)
    arm = plate(rounded(0.22, 0.5, 0.1), 0.68).at(w / 2 - 0.11, 0.02, 0)
    foot = box(0.11, 0.12, 0.11).at(w / 2 - 0.12, -0.29, 0.24)
    return [
        (box(w - 0.1, 0.26, 0.66).at(0, -0.12, 0), MAIN),
        (profile(rounded(0.24, back, 0.1), w - 0.1).at(0, back / 2 - 0.24, -0.25), MAIN),
        *both_sides((cushion, MAIN), (arm, MAIN), (foot, "brown"), (foot.at(0, 0, -0.48), "brown")),
    ]


@kind("armchair", GROUP, natural="green", roles=("base",))
def armchair(vary: Vary) -> list[Part]:
    """A wide soft seat with round arms and a high back."""
    w, back = 0.8 * vary(0.92, 1.13), 0.86 * vary(0.87, 1.13)
    arm = plate(rounded(0.22, 0.46, 0.1), 0.66).at(w / 2 - 0.06, 0.0, 0.02)
    foot = cylinder(0.07, 0.14, segments=10).at(w / 2 - 0.12, -0.29, 0.25)
    return [
        (box(w - 0.1, 0.28, 0.64).at(0, -0.11, 0), MAIN),
        (profile(rounded(0.56, 0.2, 0.08), w - 0.3).at(0, 0.08, 0.08), MAIN),
        (plate(rounded(w - 0.12, back, 0.2), 0.22).turned(x=-8).at(0, back / 2 - 0.22, -0.26), MAIN),
        *both_sides((arm, MAIN), (foot, "brown"), (foot.at(0, 0, -0.5), "brown")),
    ]


@kind("bed", GROUP, natural="blue", second="pillow", roles=("base", "cover"))
def bed(vary: Vary) -> list[Part]:
    """A blanket over a wooden frame; pillow and headboard at the back."""
    w, length, board = 0.86 * vary(0.87, 1.19), 1.3 * vary(0.9, 1.1), 0.62 * vary(0.88, 1.12)
    two = vary.chance(0.35)
    size = (0.2, 0.1, 0.15) if two else (0.33, 0.11, 0.17)
    spots = (-0.22 * w, 0.22 * w) if two else (0.0,)
    blanket = plate(rounded(w + 0.1, 0.36, 0.1), 0.74 * length).at(0, -0.01, 0.13 * length)
    return [
        (blanket, MAIN),
        (plate(rounded(w - 0.02, 0.24, 0.06), length - 0.06).at(0, -0.01, 0), "white"),
        (box(w + 0.04, 0.14, length).at(0, -0.17, 0), "brown"),
        (plate(rounded(w + 0.06, board, 0.12), 0.1).at(0, board / 2 - 0.36, -length / 2), "brown"),
        *both_sides((box(0.12, 0.2, 0.12).at(w / 2 - 0.05, -0.26, length / 2 - 0.06), "brown")),
        *((sphere(1, 12).scaled(*size).at(x, 0.17, -0.36 * length), SECOND) for x in spots),
    ]


@kind("lamp", GROUP, natural="yellow", second="base", second_natural="gray", fronted=False)
def lamp(vary: Vary) -> list[Part]:
    """A wide shade on a foot."""
    top, h = 0.24 * vary(0.85, 1.15), 0.5 * vary(0.84, 1.16)
    shade = lathe([(0, 0.16), (0.48, 0.16), (top, 0.16 + h), (0, 0.16 + h)], 24)
    foot = lathe([(0, -0.6), (0.3, -0.6), (0.3, -0.52), (0.1, -0.44), (0.075, -0.3), (0.075, 0.2), (0, 0.2)])
    return [(shade, MAIN), (foot, SECOND)]


@kind("bench", GROUP, natural="brown", roles=("base", "cover"))
def bench(vary: Vary) -> list[Part]:
    """A long seat with a slatted back on two supports."""
    w, h = 1.4 * vary(0.89, 1.13), 0.36 * vary(0.84, 1.16)
    support = box(0.12, h, 0.44).at(0.38 * w, -h / 2, 0)
    post = box(0.12, 0.5, 0.1).at(0.38 * w, 0.2, -0.22)
    seat = [(box(w, 0.1, 0.2).at(0, 0.02, z), MAIN) for z in (-0.12, 0.13)]
    slats = [(box(w, 0.15, 0.09).at(0, y, -0.19), MAIN) for y in (0.2, 0.4)]
    return [*seat, *slats, *both_sides((support, "dark"), (post, "dark"))]


@kind("bookshelf", GROUP, words=("bookcase",), natural="brown", roles=("base",))
def bookshelf(vary: Vary) -> list[Part]:
    """A tall case with rows of coloured books."""
    w, h, rows = 0.84 * vary(0.87, 1.16), 1.3 * vary(0.92, 1.08), vary.pick((3, 4))
    parts: list[Part] = [(box(w, h, 0.06).at(0, 0, -0.16), MAIN)]
    parts += both_sides((box(0.09, h, 0.36).at(w / 2 - 0.045, 0, 0), MAIN))
    bay = (h - 0.09) / rows
    covers = ("red", "blue", "yellow", "green", "orange", "purple")
    for row in range(rows + 1):
        parts.append((box(w, 0.09, 0.36).at(0, -h / 2 + 0.045 + row * bay, 0), MAIN))
    inner = w - 0.18
    for row in range(rows):
        for k in range(4):
            tall = (bay - 0.09) * (0.72 + 0.2 * ((k + row) % 2))
            book = box(0.2 * inner, tall, 0.24)
            x = (-0.4 + 0.2 * k + 0.2 * (row % 2)) * inner
            y = -h / 2 + 0.09 + row * bay + tall / 2
            parts.append((book.at(x, y, -0.01), covers[(2 * row + k) % 6]))
    return parts


@kind("wardrobe", GROUP, words=("closet",), natural="brown", roles=("base",))
def wardrobe(vary: Vary) -> list[Part]:
    """A tall cupboard with two doors and knobs."""
    w, h = 0.84 * vary(0.89, 1.16), 1.25 * vary(0.9, 1.1)
    door = box(0.4 * w, 0.8 * h, 0.06).at(0.22 * w, 0.02, 0.24)
    knob = sphere(0.055, 10).at(0.07, 0.0, 0.3)
    return [
        (box(w, h, 0.46), MAIN),
        (box(w + 0.12, 0.1, 0.56).at(0, h / 2, 0), MAIN),
        (box(w + 0.06, 0.12, 0.5).at(0, -h / 2, 0), MAIN),
        (box(0.03, 0.8 * h, 0.02).at(0, 0.02, 0.23), "dark"),
        *both_sides((door, MAIN), (knob, "gold")),
    ]


@kind(
    "dresser",
    GROUP,
    words=("drawers",),
    natural="white",
    second="knobs",
    second_natural="gold",
    roles=("base",),
)
def dresser(vary: Vary) -> list[Part]:
    """A chest of three wide drawers with two knobs each."""
    w, h = 1.0 * vary(0.87, 1.13), 0.86 * vary(0.89, 1.11)
    parts: list[Part] = [
        (box(w, h, 0.48), MAIN),
        (box(w + 0.1, 0.09, 0.56).at(0, h / 2, 0.01), MAIN),
        *_legs(w, 0.48, h / 2 + 0.14, 0.12),
    ]
    for row in (-1, 0, 1):
        y = 0.3 * h * row - 0.02
        parts.append((box(0.9 * w, 0.24 * h, 0.08).at(0, y, 0.23), MAIN))
        parts += both_sides((sphere(0.08, 10).at(0.25 * w, y, 0.29), SECOND))
    return parts


@kind("desk", GROUP, natural="brown", second="drawers", second_natural="wood", roles=("base", "cover"))
def desk(vary: Vary) -> list[Part]:
    """A writing top on a block of drawers and a side wall."""
    w, h = 1.25 * vary(0.89, 1.11), 0.66 * vary(0.87, 1.13)
    x = w / 2 - 0.22
    parts: list[Part] = [
        (box(w, 0.1, 0.66), MAIN),
        (box(0.4, h, 0.58).at(x, -h / 2, 0), MAIN),
        (box(0.11, h, 0.58).at(-w / 2 + 0.08, -h / 2, 0), MAIN),
        (box(w - 0.2, 0.4 * h, 0.07).at(0, -0.2 * h, -0.25), MAIN),
    ]
    for row in range(3):
        y = -(0.22 + 0.29 * row) * h
        parts.append((box(0.32, 0.23 * h, 0.06).at(x, y, 0.29), SECOND))
        parts.append((sphere(0.04, 8).at(x, y, 0.33), "gold"))
    return parts


@kind("clock", GROUP, words=("alarm clock",), natural="red", second="face")
def clock(vary: Vary) -> list[Part]:
    """An alarm clock: a round face with hands, two bells, two feet."""
    r = 0.48 * vary(0.92, 1.08)
    hour, minute = vary(-60, -50), vary(55, 65)
    bell = sphere(0.19, 14).scaled(1, 0.75, 1).turned(z=-35).at(0.32, 0.47, 0)
    foot = capsule((0.25, -0.38, 0), (0.38, -0.58, 0), 0.075)
    hands = [
        box(0.07, long, 0.05).at(0, long / 2).turned(z=turn) for long, turn in ((0.22, hour), (0.31, minute))
    ]
    return [
        (cylinder(r, 0.28, segments=28).turned(x=90), MAIN),
        (cylinder(0.82 * r, 0.04, segments=28).turned(x=90).at(0, 0, 0.135), SECOND),
        *((hand.at(0, 0, 0.16), "black") for hand in hands),
        *(
            (box(0.06, 0.06, 0.03).at(0.68 * r * x, 0.68 * r * y, 0.15), "black")
            for x, y in ((0, 1), (0, -1), (1, 0), (-1, 0))
        ),
        (cylinder(0.05, 0.16, segments=10).at(0, 0.52), "dark"),
        *both_sides((bell, MAIN), (foot, "dark")),
    ]
