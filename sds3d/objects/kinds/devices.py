"""Devices with a screen, a lens or a dial."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import box, capsule, cylinder, plate, tube
from ..vary import Vary
from ._forms import profile, rounded, slab, tapered

GROUP = "devices"


@kind("camera", GROUP, natural="black", second="lens ring", second_natural="gray", roles=("top",))
def camera(vary: Vary) -> list[Part]:
    """A box with a big lens, a viewfinder hump, a button and a flash."""
    w, h, r = 1.1 * vary(0.9, 1.1), 0.66 * vary(0.9, 1.1), 0.29 * vary(0.89, 1.11)
    return [
        (plate(rounded(w, h, 0.09), 0.36), MAIN),
        (box(w + 0.01, 0.14, 0.37).at(0, h / 2 - 0.13), "steel"),
        (plate([(-0.24, 0), (0.24, 0), (0.15, 0.16), (-0.15, 0.16)], 0.32).at(0, h / 2 - 0.02), MAIN),
        (cylinder(r, 0.24, segments=22).turned(x=90).at(0, -0.04, 0.26), SECOND),
        (cylinder(0.76 * r, 0.26, segments=22).turned(x=90).at(0, -0.04, 0.27), "glass"),
        (cylinder(0.09, 0.1, segments=14).at(-0.36 * w, h / 2 + 0.03), "red"),
        (box(0.2, 0.14, 0.04).at(0.34 * w, 0.2, 0.185), "white"),
    ]


@kind(
    "television",
    GROUP,
    words=("tv",),
    natural="brown",
    second="screen",
    second_natural="cyan",
    roles=("base",),
)
def television(vary: Vary) -> list[Part]:
    """An old set: a box with a round-cornered screen, two knobs, aerials and feet."""
    w, h = 1.1 * vary(0.9, 1.1), 0.78 * vary(0.9, 1.1)
    aerial = capsule((0.03, h / 2, 0), (0.34, h / 2 + 0.4 * vary(0.84, 1.16), 0), 0.04)
    foot = capsule((0.34 * w, -h / 2, 0), (0.42 * w, -h / 2 - 0.16, 0.0), 0.06)
    return [
        (plate(rounded(w, h, 0.08), 0.56), MAIN),
        (
            tapered(slab(rounded(0.66, 0.5, 0.06), 0.24).turned(x=180), 0.7).turned(x=90).at(0, 0, -0.34),
            "dark",
        ),
        (plate(rounded(0.68 * w, 0.78 * h, 0.1), 0.06).at(-0.1 * w, 0, 0.28), SECOND),
        *(
            (cylinder(0.07, 0.08, segments=14).turned(x=90).at(0.36 * w, y, 0.3), "gold")
            for y in (0.08, 0.26)
        ),
        (box(0.14, 0.2, 0.03).at(0.36 * w, -0.17, 0.28), "dark"),
        *both_sides((aerial, "steel"), *((foot.at(0, 0, z), "dark") for z in (-0.18, 0.18))),
    ]


@kind("telephone", GROUP, words=("phone",), natural="red", second="dial", roles=("top",))
def telephone(vary: Vary) -> list[Part]:
    """An old telephone: a sloping body, a dial with holes, the handset on top."""
    w = 0.84 * vary(0.9, 1.1)
    body = profile([(-0.34, -0.3), (0.42, -0.3), (0.42, -0.2), (0.06, 0.22), (-0.24, 0.22), (-0.34, -0.1)], w)
    slope = np.rad2deg(np.arctan2(0.42, 0.36))
    spots = np.deg2rad(np.arange(8) * 45)
    dial = [(cylinder(0.25, 0.08, segments=22), SECOND), (cylinder(0.09, 0.1, segments=14), MAIN)]
    dial += [
        (cylinder(0.045, 0.09, segments=8).at(0.175 * np.cos(a), 0.01, 0.175 * np.sin(a)), "black")
        for a in spots
    ]
    grip = [(x, 0.3 + 0.14 * np.cos(1.5 * x), -0.09) for x in np.linspace(-0.5, 0.5, 9)]
    cup = cylinder(0.16, 0.2, 0.12, segments=16).turned(x=0).at(0.48, 0.28, -0.09)
    return [
        (body, MAIN),
        *((solid.turned(x=slope).at(0, 0.03, 0.25), paint) for solid, paint in dial),
        (tube(grip, 0.09), MAIN),
        *both_sides((cup, MAIN), (box(0.12, 0.16, 0.14).at(0.22, 0.28, -0.09), MAIN)),
    ]


@kind("laptop", GROUP, words=("computer",), natural="gray", second="screen", second_natural="blue")
def laptop(vary: Vary) -> list[Part]:
    """An open laptop: keyboard towards +z, the screen leaning back."""
    w, d, lean = 1.1 * vary(0.92, 1.08), 0.72 * vary(0.92, 1.08), vary(-28, -12)
    lid = [
        (plate(rounded(w, 0.74, 0.05), 0.08).at(0, 0.37), MAIN),
        (box(w - 0.14, 0.58, 0.03).at(0, 0.38, 0.035), SECOND),
    ]
    return [
        (slab(rounded(w, d, 0.05), 0.1), MAIN),
        *((box(w - 0.2, 0.03, 0.085).at(0, 0.05, z), "dark") for z in (-0.24 * d, -0.08 * d, 0.08 * d)),
        (box(0.3, 0.02, 0.15).at(0, 0.05, 0.32 * d), "dark"),
        *((part.turned(x=lean).at(0, 0.02, -d / 2 + 0.03), paint) for part, paint in lid),
    ]
