"""Things that people wear or carry."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import arc, box, capsule, cylinder, dome, lathe, plate, sphere, torus, tube
from ..vary import Vary
from ._forms import hollow, profile, rounded, slab

GROUP = "wear"


@kind(
    "hat",
    GROUP,
    words=("top hat",),
    natural="black",
    second="band",
    second_natural="red",
    fronted=False,
    roles=("top",),
)
def hat(vary: Vary) -> list[Part]:
    """A top hat with a band."""
    r, h = 0.38 * vary(0.92, 1.1), 0.74 * vary(0.85, 1.12)
    crown = lathe([(0, 0), (r, 0), (0.94 * r, 0.5 * h), (1.08 * r, h), (0, h)], 24)
    return [
        (crown, MAIN),
        (lathe([(0, -0.04), (0.66, -0.04), (0.72, 0.05), (0.66, 0.05), (0.4, 0.04), (0, 0.04)], 28), MAIN),
        (cylinder(r + 0.03, 0.2, segments=24).at(0, 0.14), SECOND),
    ]


@kind(
    "cap", GROUP, words=("baseball cap",), natural="blue", second="brim", second_natural="red", roles=("top",)
)
def cap(vary: Vary) -> list[Part]:
    """A round cap with a brim over the front and a button."""
    h = 0.5 * vary(0.87, 1.16)
    brim = [
        (-0.44, 0),
        *(arc(1, 180, 0, 11) * [0.44, 0.5 * vary(0.84, 1.16)] + np.array([0, 0.2])),
        (0.44, 0),
    ]
    return [
        (dome(0.52, h).scaled(0.96, 1, 1.04), MAIN),
        (sphere(0.07, 10).at(0, h, 0), SECOND),
        (slab(brim, 0.09).turned(x=9).at(0, 0.06, 0.28), SECOND),
    ]


@kind(
    "wizard hat",
    GROUP,
    words=("witch hat",),
    natural="purple",
    second="band",
    second_natural="yellow",
    roles=("top",),
)
def wizard_hat(vary: Vary) -> list[Part]:
    """A tall pointed hat, its tip bent, with a broad brim."""
    bend = 0.2 * vary(0.6, 1.3)
    path = [(0, -0.02, 0), (0, 0.3, 0), (0.04, 0.6, 0), (0.12 * bend / 0.2, 0.86, 0), (bend + 0.1, 1.06, 0)]
    star = plate(
        np.array(
            [
                (0, 1),
                (0.24, 0.3),
                (0.95, 0.3),
                (0.38, -0.12),
                (0.6, -0.8),
                (0, -0.4),
                (-0.6, -0.8),
                (-0.38, -0.12),
                (-0.95, 0.3),
                (-0.24, 0.3),
            ]
        )
        * 0.13,
        0.08,
    )
    return [
        (tube(path, (0.42, 0.31, 0.2, 0.11, 0.03), 20), MAIN),
        (cylinder(0.74, 0.08, 0.68, 28), MAIN),
        (cylinder(0.425, 0.16, 0.39, 22).at(0, 0.11), SECOND),
        (star.turned(x=-20).at(0, 0.4, 0.29), SECOND),
    ]


@kind("crown", GROUP, natural="yellow", second="gems", second_natural="red", fronted=False, roles=("top",))
def crown(vary: Vary) -> list[Part]:
    """A flaring ring with six points, each with a ball, and gems."""
    r, tall = 0.5 * vary(0.92, 1.08), 0.42 * vary(0.88, 1.12)
    parts: list[Part] = [
        (hollow([(0.9 * r, -0.3), (r, 0.08)], 0.09, -0.28), MAIN),
        (torus(0.9 * r, 0.07).at(0, -0.28), MAIN),
    ]
    tooth = plate([(-0.26, -0.12), (0.26, -0.12), (0, tall)], 0.09).turned(x=8).at(0, 0.1, r - 0.06)
    for turn in range(0, 360, 60):
        parts.append((tooth.turned(y=turn), MAIN))
        parts.append((sphere(0.085, 10).at(0, tall + 0.12, r + 0.02).turned(y=turn), MAIN))
        parts.append((sphere(0.095, 10).at(0, -0.1, r - 0.04).turned(y=turn), SECOND))
    return parts


@kind("boot", GROUP, words=("rain boot",), natural="red", second="sole", second_natural="black")
def boot(vary: Vary) -> list[Part]:
    """A tall boot, its toe towards +z."""
    tall = 0.74 * vary(0.87, 1.16)
    sole = slab(
        [*(arc(0.23, 180, 0, 8) + np.array([0, 0.46])), *(arc(0.21, 0, -180, 8) + np.array([0, -0.18]))], 0.13
    )
    return [
        (hollow([(0.23, -0.36), (0.23, 0.0), (0.28, tall)], 0.07, 0.2, 20).at(0, -0.1, -0.16), MAIN),
        (torus(0.26, 0.06, 22, 8).at(0, tall - 0.1, -0.16), MAIN),
        (capsule((0, -0.33, -0.12), (0, -0.36, 0.44), 0.25, 0.22, 14), MAIN),
        (sole.at(0, -0.56, 0), SECOND),
        (box(0.38, 0.1, 0.28).at(0, -0.64, -0.22), SECOND),
    ]


@kind("shoe", GROUP, words=("sneaker",), natural="blue", second="sole")
def shoe(vary: Vary) -> list[Part]:
    """A low shoe with a thick sole and laces, its toe towards +z."""
    long = vary(0.9, 1.13)
    side = [
        (-0.6, -0.12),
        (0.62, -0.12),
        (0.68, 0.02),
        (0.54, 0.15),
        (0.2, 0.24),
        (-0.08, 0.44),
        (-0.2, 0.44),
        (-0.34, 0.34),
        (-0.5, 0.48),
        (-0.62, 0.46),
        (-0.66, 0.1),
    ]
    sole = slab(
        [*(arc(0.3, 180, 0, 8) + np.array([0, 0.46])), *(arc(0.26, 0, -180, 8) + np.array([0, -0.46]))], 0.17
    )
    lace = capsule((-0.19, 0, 0), (0.19, 0, 0), 0.05)
    spots = ((0.3, 0.24), (0.16, 0.3), (0.04, 0.39))
    upper = [
        (profile(side, 0.4), MAIN),
        (sphere(1, 14).scaled(0.28, 0.25, 0.32).at(0, -0.06, 0.42), MAIN),
        (sphere(1, 14).scaled(0.25, 0.34, 0.24).at(0, 0.02, -0.46), MAIN),
        (box(0.26, 0.06, 0.22).at(0, 0.37, -0.35), "dark"),
        (sole.at(0, -0.18, 0), SECOND),
        *((lace.at(0, y, z), "white") for z, y in spots),
    ]
    return [(part.scaled(1, 1, long), paint) for part, paint in upper]


@kind("sock", GROUP, natural="red", second="cuff")
def sock(vary: Vary) -> list[Part]:
    """A hanging sock, its toe towards the right."""
    tall, toe = 0.8 * vary(0.89, 1.13), 0.44 * vary(0.89, 1.16)
    tip = arc(0.22, 90, -90, 8) + np.array([toe, -0.38])
    heel = arc(0.24, 270, 180, 6) + np.array([0.0, -0.36])
    outline = [(-0.24, tall - 0.3), (0.24, tall - 0.3), (0.24, -0.1), *tip, *heel]
    return [(plate(outline, 0.3), MAIN), (box(0.58, 0.24, 0.38).at(0, tall - 0.26), SECOND)]


@kind("shirt", GROUP, words=("tshirt", "jersey"), natural="green", second="collar")
def shirt(vary: Vary) -> list[Part]:
    """A shirt with short sleeves, spread out."""
    w, h = 0.4 * vary(0.9, 1.13), 0.66 * vary(0.89, 1.11)
    half = [(0.16, 0.6), (0.36, 0.58), (0.76, 0.22), (0.55, 0.02), (w, 0.18), (w, -h), (0.0, -h)]
    outline = [*half, *((-x, y) for x, y in half[-2::-1]), (0, 0.48)]
    ring = torus(0.15, 0.055, 18, 8).scaled(1.1, 1.3, 1.0).turned(x=25)
    return [(plate(outline, 0.26), MAIN), (ring.at(0, 0.56, 0.02), SECOND)]


@kind("mitten", GROUP, words=("glove",), natural="red", second="cuff")
def mitten(vary: Vary) -> list[Part]:
    """A mitten, its thumb on the right."""
    w, tall = 0.3 * vary(0.9, 1.13), 0.5 * vary(0.89, 1.13)
    top = arc(1, 0, 180, 11) * [w, 0.3] + np.array([0, tall - 0.12])
    thumb = capsule((w - 0.1, -0.16, 0), (w + 0.16, 0.16, 0), 0.14, 0.13, 12)
    return [
        (plate([(-0.24, -0.42), (0.24, -0.42), (w, -0.1), *top, (-w, -0.1)], 0.3), MAIN),
        (thumb.scaled(1, 1, 1.05), MAIN),
        (plate(rounded(0.62, 0.26, 0.08), 0.38).at(0, -0.5), SECOND),
    ]


@kind("diamond ring", GROUP, natural="yellow", second="stone", second_natural="cyan")
def diamond_ring(vary: Vary) -> list[Part]:
    """A thick ring, upright, with a great stone."""
    r = 0.38 * vary(0.9, 1.1)
    stone = lathe([(0, -0.24), (0.3, 0.06), (0.2, 0.17), (0, 0.17)], 8)
    return [
        (torus(r, 0.1, 26, 12).turned(x=90).at(0, -0.2), MAIN),
        (cylinder(0.12, 0.16, 0.2, 12).at(0, r - 0.1), MAIN),
        (stone.scaled(vary(0.95, 1.15)).at(0, r + 0.14), SECOND),
    ]


@kind("backpack", GROUP, words=("rucksack",), natural="blue", second="pocket", second_natural="yellow")
def backpack(vary: Vary) -> list[Part]:
    """A tall bag with a pocket in front and straps behind."""
    w, h = 0.74 * vary(0.9, 1.1), 0.98 * vary(0.9, 1.1)
    strap = tube(
        [(0.2, 0.4 * h, -0.2), (0.24, 0.3 * h, -0.36), (0.24, -0.1 * h, -0.36), (0.22, -0.4 * h, -0.2)], 0.065
    )
    bow = [(x, h / 2 - 0.02 + y, -0.08) for x, y in arc(0.13, 0, 180, 9)]
    side = plate(rounded(0.2, 0.4, 0.08), 0.3).at(w / 2 + 0.02, -0.2, 0)
    return [
        (plate(rounded(w, h, 0.24), 0.42), MAIN),
        (plate(rounded(w - 0.16, 0.42, 0.1), 0.2).at(0, -0.2, 0.24), SECOND),
        (plate(rounded(w - 0.06, 0.12, 0.05), 0.06).at(0, 0.16, 0.21), "dark"),
        (tube(bow, 0.05), "dark"),
        *both_sides((strap, "dark"), (side, MAIN)),
    ]


@kind("handbag", GROUP, words=("purse",), natural="pink", second="handle", second_natural="brown")
def handbag(vary: Vary) -> list[Part]:
    """A bag, wider below, with a clasp and a high handle."""
    w, h = 0.5 * vary(0.9, 1.11), 0.6 * vary(0.89, 1.11)
    bow = arc(1, 0, 180, 13) * [0.3, 0.4 * vary(0.9, 1.15)]
    handle = tube(np.stack([bow[:, 0], bow[:, 1] + h / 2 - 0.06, 0 * bow[:, 0]], axis=1), 0.06)
    outline = [
        (-w, -h / 2 + 0.08),
        (0.08 - w, -h / 2),
        (w - 0.08, -h / 2),
        (w, -h / 2 + 0.08),
        (0.78 * w, h / 2),
        (-0.78 * w, h / 2),
    ]
    return [
        (plate(outline, 0.36), MAIN),
        (
            plate(
                [
                    (-0.8 * w, h / 2 + 0.02),
                    (0.8 * w, h / 2 + 0.02),
                    (0.6 * w, 0.06),
                    (0, -0.04),
                    (-0.6 * w, 0.06),
                ],
                0.42,
            ),
            MAIN,
        ),
        (sphere(0.09, 12).at(0, 0.02, 0.21), "gold"),
        (handle, SECOND),
    ]


@kind(
    "glasses",
    GROUP,
    words=("sunglasses", "spectacles"),
    natural="red",
    second="lenses",
    second_natural="black",
)
def glasses(vary: Vary) -> list[Part]:
    """Two lenses in thick rims, with earpieces towards -z."""
    r = 0.29 * vary(0.9, 1.1)
    rim = torus(r, 0.085, 22, 10).turned(x=90).at(0.38, 0, 0)
    lens = cylinder(r, 0.06, segments=22).turned(x=90).at(0.38, 0, 0)
    piece = tube([(0.38 + r, 0.06, 0), (0.4 + r, 0.06, -0.6), (0.4 + r, -0.12, -0.82)], 0.07)
    bridge = tube([(x, 0.06 + 0.05 * np.cos(np.pi * x / 0.3), 0) for x in np.linspace(-0.14, 0.14, 5)], 0.07)
    return [(bridge, MAIN), *both_sides((rim, MAIN), (lens, SECOND), (piece, MAIN))]
