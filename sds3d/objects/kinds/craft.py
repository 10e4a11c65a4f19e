"""Ships, aircraft and spacecraft; they head for +z."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import box, capsule, cone, cylinder, dome, join, lathe, plate, sphere, tube
from ..vary import Vary
from ._forms import profile, rounded, slab, tapered

GROUP = "vehicles"


@kind("helicopter", GROUP, natural="red", second="blades", second_natural="gray")
def helicopter(vary: Vary) -> list[Part]:
    """A round cabin with a glass nose, a tail boom, rotor and skids."""
    span, turn = 1.4 * vary(0.89, 1.11), vary(25, 65)
    blades = join(*(box(span, 0.06, 0.13).turned(y=turn + extra) for extra in (0, 90)))
    skid = capsule((0.26, -0.46, -0.32), (0.26, -0.46, 0.46), 0.05)
    struts = [(capsule((0.17, -0.2, z), (0.26, -0.45, z), 0.045), "dark") for z in (-0.12, 0.2)]
    return [
        (sphere(1, 18).scaled(0.36, 0.37, 0.5).at(0, 0, 0.1), MAIN),
        (sphere(1, 14).scaled(0.3, 0.27, 0.3).at(0, 0.07, 0.34), "glass"),
        (capsule((0, 0.08, -0.2), (0, 0.16, -0.8), 0.18, 0.09), MAIN),
        (profile([(-0.9, 0.42), (-0.72, 0.42), (-0.6, 0.12), (-0.78, 0.1)], 0.07), MAIN),
        (cylinder(0.15, 0.22).turned(z=90).at(0, 0.22, -0.8), SECOND),
        (cylinder(0.07, 0.2).at(0, 0.4, 0.05), "dark"),
        (blades.at(0, 0.5, 0.05), SECOND),
        *both_sides((skid, "dark"), *struts),
    ]


@kind("airplane", GROUP, words=("plane", "aeroplane"), natural="white", second="wings", second_natural="red")
def airplane(vary: Vary) -> list[Part]:
    """A fat fuselage with broad wings and a tail."""
    span, sweep = 0.78 * vary(0.89, 1.11), 0.2 * vary(0.7, 1.4)
    wing = slab([(0, 0.22), (span, 0.16 - sweep), (span, -sweep), (0, -0.12)], 0.07)
    tail = slab([(0, 0.12), (0.34, -0.02), (0.34, -0.16), (0, -0.14)], 0.06).at(0, 0.05, -0.6)
    fin = profile([(-0.72, 0.46), (-0.58, 0.46), (-0.4, 0.08), (-0.72, 0.08)], 0.07)
    hull = lathe(
        [
            (0, -0.74),
            (0.07, -0.72),
            (0.16, -0.45),
            (0.22, -0.1),
            (0.23, 0.35),
            (0.2, 0.55),
            (0.12, 0.68),
            (0, 0.73),
        ]
    )
    return [
        (hull.turned(x=90), MAIN),
        (sphere(1, 12).scaled(0.15, 0.13, 0.2).at(0, 0.16, 0.4), "glass"),
        (fin, MAIN),
        *((box(0.465, 0.09, 0.09).at(0, 0.05, z), "glass") for z in (0.16, 0, -0.16)),
        *both_sides((wing.at(0, -0.05, 0.04), SECOND), (tail, MAIN)),
    ]


@kind("rocket", GROUP, words=("spaceship",), natural="white", second="nose", second_natural="red")
def rocket(vary: Vary) -> list[Part]:
    """An upright hull with a pointed nose, four fins, a window and a flame."""
    r, h = 0.25 * vary(0.89, 1.16), 0.84 * vary(0.92, 1.1)
    fin = plate([(0, 0.12), (0.3, -0.2), (0.3, -0.42), (0, -0.26)], 0.08).at(0.8 * r, -0.26, 0)
    hull = [(0, -0.42), (0.75 * r, -0.42), (r, -0.1), (r, 0.2), (0.9 * r, h - 0.44), (0, h - 0.44)]
    tip = [(0, 0), (0.96 * r, 0), (0.8 * r, 0.14), (0.45 * r, 0.3), (0.04, 0.42), (0, 0.43)]
    return [
        (lathe(hull), MAIN),
        (lathe(tip).at(0, h - 0.46), SECOND),
        *((fin.turned(y=45 + turn), SECOND) for turn in (0, 90, 180, 270)),
        (cylinder(0.11, 0.06).turned(x=90).at(0, 0.14, r - 0.01), "steel"),
        (cylinder(0.08, 0.07).turned(x=90).at(0, 0.14, r), "glass"),
        (cylinder(0.14, 0.1, 0.1).at(0, -0.44), "dark"),
        (cone(0.12, 0.26, 12).turned(x=180).at(0, -0.58), "orange"),
    ]


@kind("boat", GROUP, words=("sailboat",), natural="red", second="sail")
def boat(vary: Vary) -> list[Part]:
    """A pointed hull with a mast and a sail."""
    long, tall = 0.62 * vary(0.89, 1.11), 0.86 * vary(0.87, 1.13)
    deck = [
        (-0.24, -long),
        (0.24, -long),
        (0.3, -0.1),
        (0.24, 0.25),
        (0, long + 0.08),
        (-0.24, 0.25),
        (-0.3, -0.1),
    ]
    jib = [(0.12, 0.02), (long - 0.04, 0.0), (0.12, 0.7 * tall)]
    return [
        (tapered(slab(deck, 0.3), 0.62).at(0, -0.3, 0), MAIN),
        (slab(deck, 0.07).scaled(1.05, 1, 1.03).at(0, -0.16, 0), MAIN),
        (cylinder(0.05, tall + 0.2, segments=10).at(0, tall / 2 - 0.1, 0.08), "brown"),
        (profile([(0.06, -0.04), (0.06, tall), (0.6 - 1.9 * long, -0.04)], 0.08), SECOND),
        (profile(jib, 0.08), SECOND),
    ]


@kind("ship", GROUP, words=("steamboat",), natural="blue", second="funnels", second_natural="red")
def ship(vary: Vary) -> list[Part]:
    """A steamer: pointed hull, white decks, funnels."""
    long, count = 0.75 * vary(0.9, 1.1), vary.pick((2, 3))
    line = [
        (-0.22, -long),
        (0.22, -long),
        (0.28, 0),
        (0.22, 0.35),
        (0, long + 0.06),
        (-0.22, 0.35),
        (-0.28, 0),
    ]
    places = np.linspace(-0.36, 0.18, count)
    return [
        (tapered(slab(line, 0.34), 0.78).at(0, -0.24, 0), MAIN),
        (box(0.4, 0.18, 1.0).at(0, 0, -0.1), "white"),
        (box(0.43, 0.07, 0.9).at(0, 0.01, -0.1), "glass"),
        (box(0.34, 0.16, 0.74).at(0, 0.16, -0.1), "white"),
        *((cylinder(0.1, 0.34).at(0, 0.36, z), SECOND) for z in places),
        *((cylinder(0.11, 0.09).at(0, 0.5, z), "black") for z in places),
    ]


@kind("submarine", GROUP, natural="yellow", second="propeller", second_natural="red")
def submarine(vary: Vary) -> list[Part]:
    """A long round hull with a tower, periscope, portholes and a screw."""
    r, half = 0.3 * vary(0.92, 1.1), 0.4 * vary(0.92, 1.13)
    port = cylinder(0.09, 2 * r + 0.03, segments=14).turned(z=90)
    tower = slab(rounded(0.26, 0.44, 0.12), 0.3).at(0, r + 0.05, 0)
    bend = ((0, -0.02), (0.34, -0.02), (0.43, 0.03), (0.46, 0.12), (0.46, 0.2))
    periscope = tube([(0, r + y, z) for y, z in bend], 0.055)
    fin = slab([(0, 0.1), (0.24, 0.0), (0.24, -0.12), (0, -0.12)], 0.06).at(0.16, 0, -half - 0.1)
    return [
        (capsule((0, 0, -half), (0, 0, half), r, around=18), MAIN),
        (tower, MAIN),
        (periscope, "dark"),
        *((port.at(0, 0.04, z), "glass") for z in (-0.3, 0, 0.3)),
        (profile([(0, 0), (-0.26, 0), (-0.26, 0.2), (-0.16, 0.2)], 0.07).at(0, r - 0.1, -half), MAIN),
        (cylinder(0.09, 0.14).turned(x=90).at(0, 0, -half - r), SECOND),
        *((box(0.12, 0.5, 0.07).turned(z=t).at(0, 0, -half - r - 0.04), SECOND) for t in (45, -45)),
        *both_sides((fin, MAIN)),
    ]


@kind("hot air balloon", GROUP, natural="red", second="basket", second_natural="brown", fronted=False)
def hot_air_balloon(vary: Vary) -> list[Part]:
    """A great drop-shaped envelope above a small basket."""
    r, belt = 0.52 * vary(0.92, 1.08), vary.chance(0.6)
    y = np.array([-0.5, -0.36, -0.22, -0.05, 0.14, 0.32, 0.46, 0.54, 0.57])
    radius = np.array([0.3, 0.52, 0.74, 0.93, 1.0, 0.9, 0.64, 0.34, 0.0]) * r
    ropes = [
        capsule((0.13 * x, -0.48, 0.13 * z), (0.1 * x, -0.7, 0.1 * z), 0.03, around=6)
        for x in (-1, 1)
        for z in (-1, 1)
    ]
    parts: list[Part] = [
        (lathe([(0, -0.5), *zip(radius, y, strict=True)], 24), MAIN),
        (slab(rounded(0.32, 0.32, 0.06), 0.24).at(0, -0.76, 0), SECOND),
        *((rope, "dark") for rope in ropes),
    ]
    stripe = lathe(
        [(0, 0.02), (0.985 * r + 0.02, 0.02), (r + 0.02, 0.14), (0.96 * r + 0.02, 0.24), (0, 0.24)], 24
    )
    return [*parts, (stripe, "yellow")] if belt else parts


@kind(
    "ufo",
    GROUP,
    words=("flying saucer",),
    natural="gray",
    second="dome",
    second_natural="cyan",
    fronted=False,
)
def ufo(vary: Vary) -> list[Part]:
    """A saucer with a dome and a ring of lights."""
    tall = 0.36 * vary(0.9, 1.15)
    saucer = [(0, -0.2), (0.3, -0.19), (0.6, -0.06), (0.74, 0.02), (0.6, 0.1), (0.34, 0.19), (0, 0.2)]
    lights = [sphere(0.075, 8).at(0.6 * np.sin(a), 0.09, 0.6 * np.cos(a)) for a in np.arange(8) * np.pi / 4]
    return [
        (lathe(saucer, 28), MAIN),
        (dome(0.33, tall).at(0, 0.15), SECOND),
        (cylinder(0.26, 0.12, 0.34).at(0, -0.22), "dark"),
        *((light, "yellow") for light in lights),
    ]
