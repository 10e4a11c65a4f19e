"""Things of the kitchen: vessels and tableware."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import arc, box, capsule, cylinder, lathe, plate, sphere, torus, tube
from ..vary import Vary
from ._forms import hollow, profile, rounded, slab, tapered

GROUP = "kitchen"


@kind("mug", GROUP, words=("cup",), natural="white", roles=("top", "holder"))
def mug(vary: Vary) -> list[Part]:
    """A hollow cylinder with a handle on its right."""
    r, h = 0.42 * vary(0.92, 1.08), 0.9 * vary(0.87, 1.13)
    inside = 0.86 * r
    body = lathe(
        [(0, -h / 2), (r, -h / 2), (r, h / 2), (inside, h / 2), (inside, 0.1 - h / 2), (0, 0.1 - h / 2)]
    )
    bow = arc(0.27, -90, 90)
    handle = tube(np.stack([0.9 * r + bow[:, 0], bow[:, 1], 0 * bow[:, 0]], axis=1), 0.065)
    return [(body, MAIN), (handle, MAIN)]


@kind("teapot", GROUP, natural="blue", second="lid")
def teapot(vary: Vary) -> list[Part]:
    """A round pot: spout on the right, handle on the left, lid with a knob."""
    bow = arc(0.28, 90, 270)
    handle = tube(np.stack([bow[:, 0] - 0.38, 0.93 * bow[:, 1], 0 * bow[:, 0]], axis=1), 0.055)
    spout = tube([(0.35, -0.12, 0), (0.6, 0.05, 0), (0.72 * vary(0.95, 1.08), 0.28, 0)], (0.12, 0.08, 0.06))
    return [
        (sphere(0.46).scaled(1, 0.85 * vary(0.92, 1.08), 1).at(0, -0.05), MAIN),
        (spout, MAIN),
        (handle, MAIN),
        (sphere(0.27, 12).scaled(1, 0.5, 1).at(0, 0.28), SECOND),
        (sphere(0.07, 8).at(0, 0.46), SECOND),
        (cylinder(0.3, 0.06).at(0, -0.43), MAIN),
    ]


@kind("bowl", GROUP, natural="white", fronted=False, roles=("top", "holder"))
def bowl(vary: Vary) -> list[Part]:
    """A round open bowl on a foot."""
    depth = 0.52 * vary(0.88, 1.12)
    curve = arc(1, -82, 0, 9) * [0.68, depth]
    foot = cylinder(0.3, 0.14, 0.24, segments=24).at(0, 0.03 - depth)
    return [(hollow(curve, 0.08, 0.12 - depth), MAIN), (foot, MAIN)]


@kind("vase", GROUP, natural="blue", fronted=False, roles=("top",))
def vase(vary: Vary) -> list[Part]:
    """A round belly under a neck with a wide lip."""
    y = np.linspace(-0.68, 0.68, 15)
    belly, neck = 0.4 * vary(0.88, 1.12), 0.16 * vary(0.85, 1.15)
    swell = np.exp(-(((y + 0.22) / 0.36) ** 2))
    lip = np.clip((y - 0.4) / 0.28, 0, 1) ** 2
    radius = neck + (belly - neck) * swell + 0.14 * lip
    return [(hollow(np.stack([radius, y], axis=1), 0.06, 0.3), MAIN)]


@kind("bottle", GROUP, natural="green", second="cap", second_natural="gray", fronted=False, roles=("top",))
def bottle(vary: Vary) -> list[Part]:
    """A body with shoulders, a neck and a cap."""
    r, shoulder = 0.28 * vary(0.84, 1.16), 0.08 * vary(-1.0, 1.0)
    body = [(r, -0.72), (r, 0.05), (0.93 * r, 0.15), (0.72 * r, 0.26), (0.12, 0.38)]
    outline = [
        (0, -0.75),
        (0.9 * r, -0.75),
        *((x, y + shoulder * (y > 0)) for x, y in body),
        (0.11, 0.6),
        (0, 0.6),
    ]
    return [(lathe(outline), MAIN), (cylinder(0.14, 0.18).at(0, 0.64), SECOND)]


@kind("pan", GROUP, words=("frying pan", "skillet"), natural="black", second="handle", second_natural="brown")
def pan(vary: Vary) -> list[Part]:
    """A wide shallow pan with one long handle on its right."""
    r, long = 0.5 * vary(0.92, 1.08), 0.62 * vary(0.84, 1.16)
    dish = hollow([(0.84 * r, -0.15), (r, 0.15)], 0.06, -0.08, 28)
    return [(dish, MAIN), (capsule((r - 0.02, 0.07, 0), (r + long, 0.16, 0), 0.075, 0.1), SECOND)]


@kind(
    "pot",
    GROUP,
    words=("saucepan",),
    natural="gray",
    second="handles",
    second_natural="black",
    roles=("holder",),
)
def pot(vary: Vary) -> list[Part]:
    """A deep cooking pot with a handle on either side."""
    r, h = 0.5 * vary(0.92, 1.08), 0.62 * vary(0.84, 1.19)
    body = hollow(
        [
            (0.93 * r, -h / 2),
            (r, 0.06 - h / 2),
            (r, h / 2 - 0.07),
            (r + 0.05, h / 2 - 0.07),
            (r + 0.05, h / 2),
        ],
        0.1,
        0.1 - h / 2,
    )
    bow = arc(0.16, -90, 90, 9)
    handle = tube(
        np.stack([r - 0.03 + 1.2 * bow[:, 0], 0.12 + 0 * bow[:, 0], 1.15 * bow[:, 1]], axis=1), 0.055
    )
    return [(body, MAIN), *both_sides((handle, SECOND))]


@kind("jug", GROUP, words=("pitcher",), natural="yellow", roles=("holder",))
def jug(vary: Vary) -> list[Part]:
    """A bellied pitcher: handle on the right, lip on the left."""
    belly = 0.42 * vary(0.89, 1.11)
    outer = [
        (0.3, -0.62),
        (belly - 0.04, -0.45),
        (belly, -0.25),
        (belly - 0.03, -0.02),
        (0.29, 0.25),
        (0.26, 0.42),
        (0.32, 0.62),
    ]
    bow = arc(0.34, -95, 95, 11)
    handle = tube(np.stack([0.3 + 0.95 * bow[:, 0], 0.14 + bow[:, 1], 0 * bow[:, 0]], axis=1), 0.075)
    lip = tapered(slab([(-0.56, 0), (-0.24, 0.17), (-0.24, -0.17)], 0.26), 0.45).at(0, 0.49)
    return [(hollow(outer, 0.07, -0.5), MAIN), (handle, MAIN), (lip, MAIN)]


@kind("basket", GROUP, natural="brown", roles=("holder",))
def basket(vary: Vary) -> list[Part]:
    """A woven tub with a high handle."""
    r, h, rows = 0.46 * vary(0.87, 1.13), 0.5 * vary(0.84, 1.16), 4
    weave = [
        (0.78 * r + 0.22 * r * k / (2 * rows) + 0.035 * (k % 2), -h / 2 + h * k / (2 * rows))
        for k in range(2 * rows + 1)
    ]
    bow = arc(1, 0, 180, 13) * [r - 0.02, 0.66 * vary(0.84, 1.16)]
    handle = tube(np.stack([bow[:, 0], bow[:, 1] + h / 2 - 0.12, 0 * bow[:, 0]], axis=1), 0.06)
    return [
        (hollow(weave, 0.09, 0.08 - h / 2), MAIN),
        (torus(r - 0.02, 0.06).at(0, h / 2), MAIN),
        (handle, MAIN),
    ]


@kind(
    "bucket",
    GROUP,
    words=("pail",),
    natural="blue",
    second="handle",
    second_natural="gray",
    roles=("holder",),
)
def bucket(vary: Vary) -> list[Part]:
    """A tapered tub with a rim and a bail."""
    r, h = 0.48 * vary(0.9, 1.1), 0.8 * vary(0.87, 1.13)
    rim = r + 0.05
    body = hollow(
        [(0.66 * r, -h / 2), (r, h / 2 - 0.09), (rim, h / 2 - 0.09), (rim, h / 2)], 0.09, 0.1 - h / 2
    )
    bow = arc(1, 0, 180, 13) * [rim, 0.44]
    bail = (
        tube(np.stack([bow[:, 0], bow[:, 1], 0 * bow[:, 0]], axis=1), 0.05)
        .turned(x=vary(-10, 30))
        .at(0, h / 2 - 0.05)
    )
    return [(body, MAIN), (bail, SECOND)]


@kind("wine glass", GROUP, words=("goblet",), natural="cyan", fronted=False, roles=("top",))
def wine_glass(vary: Vary) -> list[Part]:
    """A deep cup on a stem with a round foot."""
    r, deep = 0.36 * vary(0.89, 1.11), 0.62 * vary(0.87, 1.16)
    curve = np.array(
        [(0.12, 0), (0.5, 0.05), (0.8, 0.17), (0.96, 0.34), (1.0, 0.52), (0.96, 0.78), (0.88, 1.0)]
    )
    cup = hollow(curve * [r, deep], 0.06, 0.12).at(0, 0.02)
    stem = lathe(
        [(0, -0.62), (0.34, -0.62), (0.34, -0.56), (0.09, -0.48), (0.07, -0.2), (0.09, 0.06), (0, 0.06)]
    )
    return [(cup, MAIN), (stem, MAIN)]


@kind("plate", GROUP, words=("dish",), natural="white", second="rim", second_natural="blue", fronted=False)
def dinner_plate(vary: Vary) -> list[Part]:
    """A wide flat dish with a coloured rim."""
    r, y = 0.72, 0.16 * vary(0.85, 1.2)
    dish = lathe(
        [(0, -0.06), (0.42, -0.06), (r - 0.05, y - 0.09), (r - 0.05, y), (0.44, 0.03), (0, 0.03)], 28
    )
    return [(dish, MAIN), (torus(r - 0.05, 0.055, 28, 10).at(0, y - 0.04), SECOND)]


@kind("jar", GROUP, natural="orange", second="lid", second_natural="white", fronted=False, roles=("top",))
def jar(vary: Vary) -> list[Part]:
    """A wide round jar with a screw lid."""
    r, h = 0.42 * vary(0.9, 1.1), 0.84 * vary(0.84, 1.16)
    body = [
        (0, -h / 2),
        (0.88 * r, -h / 2),
        (r, 0.08 - h / 2),
        (r, h / 2 - 0.12),
        (0.78 * r, h / 2),
        (0, h / 2),
    ]
    return [(lathe(body, 24), MAIN), (cylinder(0.84 * r, 0.2, segments=24).at(0, h / 2 + 0.06), SECOND)]


@kind("spoon", GROUP, natural="gray")
def spoon(vary: Vary) -> list[Part]:
    """An upright spoon with a hollow bowl on top."""
    w = 0.32 * vary(0.87, 1.13)
    cup = hollow(arc(1, -80, 0, 7) * [1, 0.5], 0.16, -0.3).turned(x=90).scaled(w, 0.4, 0.34)
    return [(cup.at(0, 0.5, 0.05), MAIN), (capsule((0, 0.2, -0.03), (0, -0.66, 0), 0.08, 0.115), MAIN)]


@kind("fork", GROUP, natural="gray")
def fork(vary: Vary) -> list[Part]:
    """An upright fork with three broad tines."""
    w, long = 0.54 * vary(0.9, 1.1), 0.46 * vary(0.84, 1.16)
    tines = [
        (plate(rounded(0.12, long + 0.1, 0.055), 0.12).at(x, 0.3 + long / 2, 0), MAIN)
        for x in (0.06 - w / 2, 0, w / 2 - 0.06)
    ]
    neck = plate(
        [(-w / 2, 0.34), (-w / 2, 0.2), (-0.07, -0.06), (0.07, -0.06), (w / 2, 0.2), (w / 2, 0.34)], 0.1
    )
    return [*tines, (neck, MAIN), (capsule((0, 0.0, 0), (0, -0.6, 0), 0.08, 0.12), MAIN)]


@kind("knife", GROUP, natural="gray", second="handle", second_natural="brown")
def knife(vary: Vary) -> list[Part]:
    """A kitchen knife, point up, edge to the right."""
    w = 0.38 * vary(0.84, 1.16)
    blade = plate([(-0.14, -0.1), (w - 0.14, -0.1), (w - 0.14, 0.3), (0.1, 0.54), (-0.14, 0.7)], 0.1)
    return [(blade, MAIN), (plate(rounded(0.22, 0.52, 0.08), 0.18).at(-0.03, -0.32), SECOND)]


@kind("toaster", GROUP, natural="red", second="toast", second_natural="wood")
def toaster(vary: Vary) -> list[Part]:
    """A round-edged box with two slices of toast."""
    w, h = 0.92 * vary(0.89, 1.11), 0.58 * vary(0.89, 1.11)
    slice_ = plate(rounded(0.62, 0.4, 0.12), 0.11).at(0, h / 2 + 0.04, 0)
    return [
        (profile(rounded(0.52, h, 0.14), w), MAIN),
        (box(w - 0.1, 0.09, 0.46).at(0, -h / 2 - 0.02), "dark"),
        (box(0.1, 0.08, 0.16).at(w / 2 + 0.04, 0.05), "dark"),
        *((slice_.at(0, 0, z), SECOND) for z in (-0.11, 0.11)),
    ]


@kind("rolling pin", GROUP, natural="brown", second="handles", second_natural="red")
def rolling_pin(vary: Vary) -> list[Part]:
    """A thick roller with a handle at either end."""
    r, half = 0.24 * vary(0.89, 1.11), 0.46 * vary(0.89, 1.08)
    handle = capsule((half - 0.02, 0, 0), (half + 0.24, 0, 0), 0.08, 0.115)
    return [(cylinder(r, 2 * half).turned(z=90), MAIN), *both_sides((handle, SECOND))]
