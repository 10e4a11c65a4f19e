"""Buildings; the door is at +z."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import Solid, arc, box, capsule, cone, cylinder, dome, lathe, plate, pyramid, torus
from ..vary import Vary

GROUP = "buildings"


def _gable(width: float, height: float, depth: float) -> Solid:
    """A saddle roof with its ridge along z; it stands on y = 0."""
    return plate([(-width / 2, 0), (width / 2, 0), (0, height)], depth)


def _arch(width: float, height: float, depth: float) -> Solid:
    """A door with a round top that stands on y = 0."""
    bow = arc(width / 2, 0, 180, 7) + np.array([0, height - width / 2])
    return plate([(-width / 2, 0), (width / 2, 0), *bow], depth)


@kind("house", GROUP, words=("home",), natural="white", second="roof", second_natural="red", roles=("top",))
def house(vary: Vary) -> list[Part]:
    """Walls with a saddle roof, a door between two windows, a chimney."""
    w, h, pitch = 0.95 * vary(0.92, 1.1), 0.68 * vary(0.88, 1.12), 0.42 * vary(0.85, 1.2)
    front = 0.42
    return [
        (box(w, h, 2 * front).at(0, h / 2, 0), MAIN),
        (plate([(-w / 2, 0), (w / 2, 0), (0, 0.85 * pitch)], 2 * front).at(0, h, 0), MAIN),
        (_gable(1.18 * w, 1.08 * pitch, 2.2 * front).at(0, h - 0.02, 0), SECOND),
        (box(0.15, 0.36, 0.15).at(0.26 * w, h + 0.55 * pitch, -0.12), "brown"),
        (box(0.2, 0.36, 0.06).at(0, 0.18, front), "brown"),
        *both_sides(
            (box(0.18, 0.18, 0.06).at(0.31 * w, 0.58 * h, front), "glass"),
            (box(0.06, 0.18, 0.34).at(w / 2, 0.58 * h, 0), "glass"),
        ),
    ]


@kind(
    "castle", GROUP, words=("fortress",), natural="gray", second="roof", second_natural="blue", roles=("top",)
)
def castle(vary: Vary) -> list[Part]:
    """Four round towers with pointed roofs around a gate."""
    tower, roof, h = 0.9 * vary(0.9, 1.12), 0.36 * vary(0.85, 1.2), 0.52
    corners = [(x, z) for x in (-0.42, 0.42) for z in (-0.42, 0.42)]
    return [
        (box(0.84, h, 0.84).at(0, h / 2, 0), MAIN),
        *((box(0.13, 0.13, 0.86).at(x, h + 0.05, 0), MAIN) for x in (-0.14, 0.14)),
        *((cylinder(0.18, tower, segments=14).at(x, tower / 2, z), MAIN) for x, z in corners),
        *((cone(0.25, roof, 14).at(x, tower + roof / 2, z), SECOND) for x, z in corners),
        (_arch(0.26, 0.36, 0.06).at(0, 0, 0.43), "brown"),
    ]


@kind("tower", GROUP, natural="gray", second="roof", second_natural="red", roles=("top",))
def tower(vary: Vary) -> list[Part]:
    """A round tower with a wider top floor, a pointed roof and windows."""
    h, r, roof = 1.0 * vary(0.9, 1.1), 0.27 * vary(0.92, 1.1), 0.5 * vary(0.85, 1.2)
    return [
        (cylinder(1.08 * r, h, r).at(0, h / 2, 0), MAIN),
        (cylinder(1.28 * r, 0.26).at(0, h, 0), MAIN),
        (cone(1.5 * r, roof).at(0, h + 0.12 + roof / 2, 0), SECOND),
        (_arch(0.22, 0.34, 0.12).at(0, 0, r), "brown"),
        *((box(0.12, 0.18, 0.1).at(0, 0.62 * h, r - 0.02).turned(y=a), "dark") for a in (0, 90, 180, 270)),
    ]


@kind("lighthouse", GROUP, natural="white", second="stripes", second_natural="red", roles=("top",))
def lighthouse(vary: Vary) -> list[Part]:
    """A tapering striped tower with a lamp room and a red cap."""
    h, r = 1.15 * vary(0.92, 1.1), 0.3 * vary(0.92, 1.1)

    def at(t: float) -> float:
        return r * (1 - 0.4 * t)

    bands = ((0.24, 0.4), (0.62, 0.77))
    return [
        (cylinder(r, h, at(1)).at(0, h / 2, 0), MAIN),
        *(
            (cylinder(at(a) + 0.012, (b - a) * h, at(b) + 0.012).at(0, (a + b) / 2 * h, 0), SECOND)
            for a, b in bands
        ),
        (cylinder(at(1) + 0.09, 0.07).at(0, h, 0), "dark"),
        (cylinder(0.15, 0.2).at(0, h + 0.12, 0), "yellow"),
        (dome(0.2, 0.2, 16).at(0, h + 0.2, 0), SECOND),
        (_arch(0.18, 0.24, 0.12).at(0, 0, r - 0.03), "brown"),
    ]


@kind("windmill", GROUP, natural="white", second="sails", second_natural="red")
def windmill(vary: Vary) -> list[Part]:
    """A tapering tower with a cap and four broad sails in front."""
    h, start, long = 0.95 * vary(0.92, 1.08), vary(0, 30), vary(0.92, 1.08)
    sail = plate(
        [(-0.04, 0.0), (0.05, 0.0), (0.05, 0.14), (0.2, 0.14), (0.2, 0.66 * long), (-0.04, 0.66 * long)], 0.08
    )
    hub = (0, h + 0.02, 0.36)
    return [
        (cylinder(0.38, h, 0.25).at(0, h / 2, 0), MAIN),
        (dome(0.29, 0.26, 18).at(0, h, 0), "brown"),
        (capsule((0, h + 0.02, 0.1), hub, 0.08), "brown"),
        *((sail.turned(z=start + 90 * k).at(*hub), SECOND) for k in range(4)),
        (_arch(0.24, 0.34, 0.1).at(0, 0, 0.34), "brown"),
        *((box(0.14, 0.16, 0.1).at(0, 0.55 * h, 0.28).turned(y=a), "dark") for a in (90, 180, 270)),
    ]


@kind(
    "church", GROUP, words=("chapel",), natural="white", second="roof", second_natural="gray", roles=("top",)
)
def church(vary: Vary) -> list[Part]:
    """A nave with a saddle roof behind a steeple with a cross."""
    h, tower, spire = 0.54 * vary(0.9, 1.12), 0.95 * vary(0.92, 1.08), 0.4 * vary(0.88, 1.15)
    top = tower + spire
    return [
        (box(0.62, h, 0.9).at(0, h / 2, -0.22), MAIN),
        (_gable(0.74, 0.32, 0.96).at(0, h - 0.01, -0.22), SECOND),
        (box(0.4, tower, 0.4).at(0, tower / 2, 0.32), MAIN),
        (pyramid(0.48, spire).at(0, tower + spire / 2, 0.32), SECOND),
        (box(0.07, 0.32, 0.07).at(0, top + 0.06, 0.32), "gold"),
        (box(0.22, 0.07, 0.07).at(0, top + 0.1, 0.32), "gold"),
        (_arch(0.2, 0.32, 0.06).at(0, 0, 0.52), "brown"),
        (cylinder(0.1, 0.06, segments=14).turned(x=90).at(0, 0.72 * tower, 0.52), "glass"),
        *both_sides(
            *((_arch(0.14, 0.26, 0.06).turned(y=90).at(0.31, 0.12, z), "glass") for z in (-0.06, -0.4))
        ),
    ]


@kind("tent", GROUP, natural="orange", second="door", second_natural="dark", roles=("top",))
def tent(vary: Vary) -> list[Part]:
    """A ridge tent with an open front."""
    w, h, d = 1.1 * vary(0.92, 1.1), 0.85 * vary(0.9, 1.1), 1.05 * vary(0.9, 1.1)
    return [
        (_gable(w, h, d), MAIN),
        (_gable(0.5 * w, 0.72 * h, 0.06).at(0, 0.01, d / 2), SECOND),
        (box(1.12 * w, 0.06, 1.08 * d), "brown"),
        *((capsule((0, 0.05, z), (0, h + 0.08, z), 0.05, around=8), "wood") for z in (-d / 2, d / 2)),
    ]


@kind("igloo", GROUP, natural="white", second="entrance", second_natural="cyan", roles=("top",))
def igloo(vary: Vary) -> list[Part]:
    """A dome of snow with courses of blocks and a tunnel in front."""
    high, long = 0.62 * vary(0.9, 1.12), vary(0.9, 1.2)
    tunnel = lathe([(0, 0), (0.3, 0), (0.3, 0.45 * long), (0.2, 0.45 * long), (0.2, 0.3), (0, 0.3)], 18)
    seams = [(0.68 * np.cos(a), high * np.sin(a)) for a in np.deg2rad([20, 45, 68])]
    return [
        (dome(0.68, high, 24), MAIN),
        *((torus(r, 0.025, 24, 6).at(0, y, 0), "gray") for r, y in seams),
        (tunnel.turned(x=90).at(0, 0.12, 0.48), SECOND),
        (cylinder(0.21, 0.04, segments=16).turned(x=90).at(0, 0.12, 0.46 + 0.32), "dark"),
        (cylinder(0.74, 0.1, segments=24).at(0, -0.04, 0), MAIN),
    ]


@kind(
    "barn", GROUP, words=("farmhouse",), natural="red", second="roof", second_natural="dark", roles=("top",)
)
def barn(vary: Vary) -> list[Part]:
    """A broad barn: a roof with two slopes a side, a white door with a cross."""
    half, h, d = 0.48 * vary(0.93, 1.08), 0.6 * vary(0.9, 1.12), 1.0 * vary(0.92, 1.1)
    right = np.array([(half, h), (0.7 * half, h + 0.24), (0, h + 0.36)])
    outline = np.concatenate([right, (right * [-1, 1])[1::-1]])
    outer = outline * [1.2, 1] + [0, 0.09]
    cross = box(0.07, 0.56, 0.07)
    return [
        (plate([(-half, 0), (half, 0), *outline], d), MAIN),
        (plate(np.concatenate([outer, outline[::-1] - [0, 0.06]]), 1.1 * d), SECOND),
        (box(0.44, 0.42, 0.06).at(0, 0.21, d / 2), "white"),
        *both_sides((cross.turned(z=43).at(0, 0.21, d / 2 + 0.02), "brown")),
        (box(0.2, 0.18, 0.06).at(0, h + 0.12, d / 2), "white"),
        *both_sides(*((box(0.06, 0.17, 0.2).at(half, 0.6 * h, z), "white") for z in (-0.25, 0.25))),
    ]


@kind("temple", GROUP, natural="white", second="roof", second_natural="orange", roles=("top",))
def temple(vary: Vary) -> list[Part]:
    """Columns on steps under a low gable."""
    h, pitch = 0.56 * vary(0.9, 1.12), 0.3 * vary(0.88, 1.15)
    columns = [(x, z) for x in (-0.46, -0.155, 0.155, 0.46) for z in (-0.56, 0.56)]
    columns += [(x, z) for x in (-0.46, 0.46) for z in (-0.19, 0.19)]
    return [
        (box(1.24, 0.09, 1.44).at(0, 0.045, 0), MAIN),
        (box(1.12, 0.09, 1.32).at(0, 0.13, 0), MAIN),
        *((cylinder(0.085, h, segments=10).at(x, 0.16 + h / 2, z), MAIN) for x, z in columns),
        (box(0.6, h, 0.8).at(0, 0.16 + h / 2, 0), "gray"),
        (box(1.12, 0.12, 1.32).at(0, 0.2 + h, 0), MAIN),
        (_gable(1.24, pitch, 1.42).at(0, 0.25 + h, 0), SECOND),
    ]


@kind("bridge", GROUP, natural="gray", second="railing", second_natural="brown")
def bridge(vary: Vary) -> list[Part]:
    """A humped stone bridge over one arch, with walls on both edges."""
    high, width = vary(0.88, 1.15), 0.5 * vary(0.88, 1.15)
    x = np.linspace(-0.85, 0.85, 13)
    road = np.stack([x, high * (0.58 - 0.36 * (x / 0.85) ** 2)], axis=1)
    hole = arc(0.4, 0, 180, 11) * [1, 0.9 * high]
    side = np.concatenate([road[::-1] + np.array([0, 0.13]), road - [0, 0.03]])
    body = plate(np.concatenate([[(0.85, 0)], road[::-1], [(-0.85, 0)], hole[::-1]]), width)
    return [(body, MAIN), *((plate(side, 0.09).at(0, 0, s * width / 2), SECOND) for s in (-1, 1))]


@kind("well", GROUP, words=("wishing well",), natural="gray", second="roof", second_natural="red")
def well(vary: Vary) -> list[Part]:
    """A round wall with water, two posts and a little roof with a bucket."""
    r, h, post = 0.48, 0.42 * vary(0.9, 1.15), 0.62 * vary(0.9, 1.1)
    top = h + post
    wall = lathe([(0, 0), (r, 0), (r, h), (0.74 * r, h), (0.74 * r, 0.3 * h), (0, 0.3 * h)], 20)
    return [
        (wall, MAIN),
        (cylinder(0.74 * r, 0.1).at(0, 0.6 * h, 0), "blue"),
        *both_sides((box(0.1, post + 0.3, 0.1).at(0.42, h + post / 2 - 0.1, 0), "brown")),
        (_gable(1.16, 0.42, 0.8).at(0, top - 0.02, 0), SECOND),
        (cylinder(0.05, 0.8, segments=8).turned(z=90).at(0, top - 0.18, 0), "brown"),
        (cylinder(0.09, 0.2, 0.12, 12).at(0, top - 0.3, 0), "wood"),
    ]


@kind(
    "skyscraper",
    GROUP,
    words=("office building",),
    natural="blue",
    second="windows",
    second_natural="white",
    fronted=False,
)
def skyscraper(vary: Vary) -> list[Part]:
    """A stepped high block with rows of windows and a mast."""
    h, step = 1.0 * vary(0.88, 1.12), 0.3 * vary(0.8, 1.2)
    rows = np.linspace(0.2, h - 0.1, 5)
    return [
        (box(0.56, h, 0.56).at(0, h / 2, 0), MAIN),
        (box(0.4, step, 0.4).at(0, h + step / 2, 0), MAIN),
        *((box(0.44, 0.09, 0.6).at(0, y, 0), SECOND) for y in rows),
        *((box(0.6, 0.09, 0.44).at(0, y, 0), SECOND) for y in rows),
        (cylinder(0.05, 0.36, segments=8).at(0, h + step + 0.16, 0), "steel"),
        (box(0.74, 0.1, 0.74).at(0, 0.05, 0), "gray"),
    ]
