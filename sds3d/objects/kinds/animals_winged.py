"""Insects, birds and dragons: animals with wings; all look to +z."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import Solid, capsule, cone, cylinder, dome, plate, sphere, tube
from ..vary import Vary
from ._creatures import eyes, legs, oval

GROUP = "animals"


def _feelers(x: float, y: float, z: float, length: float, paint: str) -> list[Part]:
    """Two feelers with round ends that leave a head at ±x, y, z."""
    end = (x + 0.3 * length, y + 0.9 * length, z + 0.3 * length)
    return both_sides((capsule((x, y, z), end, 0.04, around=8), paint), (sphere(0.07, 8).at(*end), paint))


@kind("butterfly", GROUP, natural="blue", second="spots", second_natural="yellow", roles=("top",))
def butterfly(vary: Vary) -> list[Part]:
    """Four wide wings held up in a V, spots on both of their sides."""
    fore, hind, lift = vary(0.9, 1.1), vary(0.9, 1.12), vary(30, 46)

    def wing(solid: Solid) -> Solid:
        return solid.turned(z=lift).at(0.04, 0.02, 0)

    upper = oval(0.4 * fore, 0.055, 0.3 * fore).turned(y=-25).at(0.44 * fore, 0, 0.2)
    lower = oval(0.3 * hind, 0.055, 0.24 * hind, 14).turned(y=30).at(0.34 * hind, 0, -0.28)
    spots = [
        (oval(0.15, 0.075, 0.13, 10).at(0.52 * fore, 0, 0.24), SECOND),
        (oval(0.12, 0.075, 0.1, 10).at(0.4 * hind, 0, -0.31), SECOND),
    ]
    return [
        *both_sides(
            (wing(upper), MAIN), (wing(lower), MAIN), *((wing(spot), paint) for spot, paint in spots)
        ),
        (capsule((0, 0, -0.45), (0, 0, 0.28), 0.08, 0.1), "dark"),
        (sphere(0.16, 12).at(0, 0.04, 0.42), "dark"),
        *_feelers(0.06, 0.14, 0.46, 0.3, "dark"),
        *eyes(0.085, 0.08, 0.52, 0.07, white=True),
    ]


@kind(
    "bee",
    GROUP,
    words=("bumblebee",),
    natural="yellow",
    second="stripes",
    second_natural="black",
    roles=("top",),
)
def bee(vary: Vary) -> list[Part]:
    """A plump striped body with a sting, two pairs of wings, feelers."""
    fat, wing = vary(0.93, 1.08), vary(0.88, 1.12)
    stripes = []
    for z in (-0.4, -0.14, 0.12):
        r = 0.36 * fat * np.sqrt(1 - ((z + 0.1) / 0.52) ** 2) + 0.02
        stripes.append(cylinder(r, 0.12, segments=18).turned(x=90).at(0, 0, z))
    return [
        (oval(0.36 * fat, 0.36 * fat, 0.52, 18).at(0, 0, -0.1), MAIN),
        *((stripe, SECOND) for stripe in stripes),
        (cone(0.08, 0.22, 8).turned(x=-90).at(0, 0, -0.68), "dark"),
        (sphere(0.27).at(0, 0.06, 0.44), MAIN),
        *_feelers(0.1, 0.26, 0.48, 0.22, "dark"),
        *both_sides(
            (oval(0.3 * wing, 0.05, 0.2 * wing, 12).turned(y=-20, z=38).at(0.34, 0.48, -0.04), "glass"),
            (oval(0.22 * wing, 0.05, 0.15 * wing, 10).turned(y=25, z=30).at(0.3, 0.42, -0.3), "glass"),
        ),
        *eyes(0.12, 0.12, 0.62, 0.09, white=True),
    ]


@kind(
    "ladybug",
    GROUP,
    words=("ladybird", "beetle"),
    natural="red",
    second="dots",
    second_natural="black",
    roles=("top",),
)
def ladybug(vary: Vary) -> list[Part]:
    """A domed back with dots and a seam, a dark head, short feet."""
    high, dot = vary(0.9, 1.12), vary(0.88, 1.15)
    marks = [(0.25, 0.2), (0.36, -0.1), (0.22, -0.38)]
    seam = [(0, 0.5 * high * np.cos(a), 0.56 * np.sin(a) - 0.08) for a in np.linspace(-1.45, 1.45, 11)]
    spots = []
    for x, z in marks:
        y = 0.5 * high * np.sqrt(1 - (x / 0.5) ** 2 - (z / 0.56) ** 2) - 0.16
        spots.append((sphere(0.11 * dot, 10).scaled(1, 0.7, 1).at(x, y, z - 0.08), SECOND))
    return [
        (dome(1, 1, 22).scaled(0.5, 0.5 * high, 0.56).at(0, -0.16, -0.08), MAIN),
        (tube(seam, 0.035, 8).at(0, -0.16, 0), SECOND),
        *both_sides(
            *spots, *((oval(0.1, 0.1, 0.09, 8).at(0.42, -0.22, z), "dark") for z in (0.24, -0.06, -0.36))
        ),
        (sphere(0.26).at(0, -0.04, 0.46), "dark"),
        *_feelers(0.09, 0.16, 0.5, 0.18, "dark"),
        *eyes(0.12, 0.03, 0.63, 0.09, white=True),
    ]


@kind(
    "bird", GROUP, words=("sparrow",), natural="blue", second="belly", second_natural="orange", roles=("top",)
)
def bird(vary: Vary) -> list[Part]:
    """A small round songbird with a raised tail."""
    fat, tail = vary(0.93, 1.08), vary(0.88, 1.15)
    return [
        (oval(0.36 * fat, 0.37, 0.46).turned(x=-20).at(0, -0.1, -0.06), MAIN),
        (oval(0.28 * fat, 0.29, 0.3).at(0, -0.16, 0.14), SECOND),
        (sphere(0.3).at(0, 0.28, 0.16), MAIN),
        (oval(0.13, 0.055, 0.32 * tail, 10).turned(x=28).at(0, 0.06, -0.64), MAIN),
        *both_sides(
            (oval(0.08, 0.2, 0.32, 12).turned(x=15, z=8).at(0.35 * fat, -0.06, -0.1), MAIN),
            (cylinder(0.05, 0.22, segments=8).at(0.14, -0.52, 0.04), "dark"),
            (oval(0.09, 0.04, 0.15, 8).at(0.14, -0.63, 0.1), "dark"),
        ),
        (cone(0.09, 0.22, 10).turned(x=90).at(0, 0.26, 0.54), "yellow"),
        *eyes(0.14, 0.36, 0.39, 0.06),
    ]


@kind("parrot", GROUP, natural="red", second="wings", second_natural="blue", roles=("top",))
def parrot(vary: Vary) -> list[Part]:
    """An upright bird with a hooked beak and a long tail that hangs to the back."""
    fat, tail = vary(0.93, 1.08), vary(0.88, 1.12)
    beak = tube([(0, 0.5, 0.22), (0, 0.47, 0.42), (0, 0.32, 0.47)], (0.13, 0.1, 0.03), 10)
    return [
        (oval(0.3 * fat, 0.44, 0.3).turned(x=18).at(0, -0.06, 0), MAIN),
        (sphere(0.29).at(0, 0.44, 0.08), MAIN),
        (oval(0.13, 0.4 * tail, 0.08, 12).turned(x=35).at(0, -0.52, -0.34), MAIN),
        (oval(0.08, 0.26 * tail, 0.08, 10).turned(x=35).at(0, -0.64, -0.44), "yellow"),
        *both_sides(
            (oval(0.09, 0.42, 0.21, 12).turned(x=20, z=6).at(0.29 * fat, -0.12, -0.08), SECOND),
            (oval(0.1, 0.07, 0.14, 8).at(0.13, -0.46, 0.16), "dark"),
        ),
        (beak, "yellow"),
        *eyes(0.16, 0.52, 0.25, 0.09, white=True),
    ]


@kind(
    "swan", GROUP, words=("goose",), natural="white", second="beak", second_natural="orange", roles=("top",)
)
def swan(vary: Vary) -> list[Part]:
    """A swimming bird with a high neck bent like an S and folded wings."""
    neck, wing = vary(0.9, 1.1), vary(0.9, 1.15)
    bow = [
        (0, -0.15, 0.3),
        (0, 0.02, 0.56),
        (0, 0.25 * neck, 0.5),
        (0, 0.48 * neck, 0.42),
        (0, 0.64 * neck, 0.5),
    ]
    top = 0.66 * neck
    return [
        (oval(0.38, 0.3, 0.56).at(0, -0.22, -0.08), MAIN),
        (tube(bow, (0.2, 0.14, 0.11, 0.11, 0.12), 12), MAIN),
        (oval(0.16, 0.15, 0.19, 14).at(0, top, 0.56), MAIN),
        (cone(0.09, 0.26, 10).turned(x=100).at(0, top - 0.03, 0.82), SECOND),
        *both_sides((oval(0.1, 0.24 * wing, 0.42, 12).turned(x=22, z=-12).at(0.32, -0.06, -0.2), MAIN)),
        (cone(0.18, 0.36, 10).turned(x=-60).at(0, -0.08, -0.66), MAIN),
        *eyes(0.1, top + 0.05, 0.66, 0.05),
    ]


@kind("bat", GROUP, natural="purple", second="body", second_natural="dark", roles=("top",))
def bat(vary: Vary) -> list[Part]:
    """A furry ball with large ears, fangs and scalloped wings spread wide."""
    span, ear = vary(0.92, 1.1), vary(0.88, 1.15)
    edge = [
        (0.15, 0.2),
        (0.5, 0.42),
        (0.95, 0.3),
        (0.82, -0.06),
        (0.68, -0.22),
        (0.55, -0.04),
        (0.4, -0.26),
        (0.15, -0.16),
    ]
    web = plate([(0.86 * x * span, y) for x, y in edge], 0.1)
    return [
        (oval(0.34, 0.37, 0.31), SECOND),
        *both_sides(
            (web.turned(y=12).at(0, 0, -0.05), MAIN),
            (cone(0.14, 0.36 * ear, 8).turned(z=-16).at(0.19, 0.41, 0), MAIN),
            (cone(0.045, 0.13, 6).turned(x=180).at(0.07, -0.14, 0.29), "white"),
            (oval(0.08, 0.06, 0.1, 8).at(0.12, -0.38, 0.06), SECOND),
        ),
        (oval(0.13, 0.04, 0.06, 8).at(0, -0.08, 0.26), "red"),
        (cone(0.12, 0.22, 8).turned(x=-120).at(0, -0.28, -0.28), SECOND),
        *eyes(0.13, 0.1, 0.24, 0.1, white=True),
    ]


@kind("dragon", GROUP, natural="red", second="wings", second_natural="orange", roles=("top",))
def dragon(vary: Vary) -> list[Part]:
    """Raised wings, a long neck, horns, a tail that ends in an arrow."""
    span, neck = vary(0.9, 1.1), vary(0.92, 1.08)
    top = 0.62 * neck
    tail = [(0, -0.06, -0.36), (0, -0.16, -0.66), (0, -0.06, -0.9), (0, 0.16, -1.02)]
    edge = [(0, 0), (0.2, 0.5), (0.72, 0.66), (0.62, 0.3), (0.44, 0.24), (0.36, 0.04), (0.18, 0.02)]
    wing = plate([(x * span, y * span) for x, y in edge], 0.1).turned(y=25).at(0.12, 0.14, -0.1)
    ridge = [(0.28, -0.04, -12), (0.28, -0.3, -25), (0.04, -0.62, -50)]
    return [
        (oval(0.29, 0.29, 0.44).at(0, -0.02, -0.12), MAIN),
        (oval(0.2, 0.2, 0.34, 12).at(0, -0.12, -0.02), "cream"),
        (tube([(0, 0.05, 0.16), (0, 0.3, 0.38), (0, top, 0.38)], (0.2, 0.15, 0.13), 12), MAIN),
        (oval(0.19, 0.18, 0.2, 14).at(0, top + 0.04, 0.44), MAIN),
        (capsule((0, top - 0.02, 0.56), (0, top - 0.05, 0.74), 0.13, 0.11, 12), MAIN),
        (tube(tail, (0.22, 0.14, 0.09, 0.07), 10), MAIN),
        (cone(0.15, 0.26, 8).turned(x=-20).at(0, 0.28, -1.06), SECOND),
        *((cone(0.08, 0.18, 8).turned(x=turn).at(0, y, z), SECOND) for y, z, turn in ridge),
        *both_sides(
            (wing, SECOND),
            (cone(0.055, 0.28, 8).turned(x=-35, z=-12).at(0.11, top + 0.26, 0.32), "cream"),
            (sphere(0.04, 8).at(0.06, top + 0.02, 0.83), "dark"),
        ),
        *legs(0.18, (0.12, -0.34), -0.1, -0.5, 0.11),
        *eyes(0.13, top + 0.12, 0.56, 0.065, white=True),
    ]
