"""Figures: people and those who look like them; all look to +z."""

from __future__ import annotations

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import box, capsule, cone, cylinder, disc_points, dome, lathe, plate, rounded_box, sphere
from ..vary import Vary
from ._creatures import eyes, oval

GROUP = "toys"


@kind("snowman", GROUP, natural="white", second="hat", second_natural="black", roles=("top",))
def snowman(vary: Vary) -> list[Part]:
    """Three balls of snow with a carrot nose, buttons and a top hat."""
    fat, tall = vary(0.92, 1.06), vary(0.9, 1.2)
    return [
        (sphere(0.42 * fat).at(0, -0.42, 0), MAIN),
        (sphere(0.31).at(0, 0.1, 0), MAIN),
        (sphere(0.23).at(0, 0.5, 0), MAIN),
        (cone(0.065, 0.28, 10).turned(x=90).at(0, 0.49, 0.33), "orange"),
        *((sphere(0.05, 8).at(0, y, z), "black") for y, z in ((0.22, 0.27), (0.04, 0.3))),
        (cylinder(0.3, 0.06).at(0, 0.66, 0), SECOND),
        (cylinder(0.19, 0.28 * tall).at(0, 0.68 + 0.14 * tall, 0), SECOND),
        *eyes(0.09, 0.57, 0.2, 0.045),
    ]


@kind("robot", GROUP, natural="gray", second="eyes", second_natural="blue", roles=("top",))
def robot(vary: Vary) -> list[Part]:
    """A boxy robot with a screen on its chest and a ball on its aerial."""
    wide, arm, leg = vary(0.92, 1.1), vary(0.85, 1.1), vary(0.85, 1.15)
    x = 0.32 * wide
    return [
        (rounded_box(2 * x, 0.62, 0.46, 0.05, 2).at(0, -0.05, 0), MAIN),
        (rounded_box(0.5, 0.38, 0.42, 0.05, 2).at(0, 0.47, 0), MAIN),
        (box(0.4 * wide, 0.24, 0.06).at(0, 0.0, 0.22), "dark"),
        (cylinder(0.045, 0.2, segments=8).at(0, 0.72, 0), "steel"),
        (sphere(0.085, 10).at(0, 0.84, 0), "red"),
        *both_sides(
            (cylinder(0.09, 0.08, segments=12).turned(x=90).at(0.12, 0.51, 0.21), SECOND),
            (sphere(0.12, 10).at(x + 0.06, 0.16, 0), "steel"),
            (rounded_box(0.16, 0.52 * arm, 0.18, 0.05, 1).at(x + 0.1, 0.15 - 0.26 * arm, 0), MAIN),
            (box(0.2, 0.34 * leg, 0.22).at(0.17, -0.34 - 0.17 * leg, 0), MAIN),
            (box(0.24, 0.1, 0.36).at(0.17, -0.34 - 0.34 * leg, 0.06), "dark"),
        ),
    ]


@kind(
    "teddy bear",
    GROUP,
    words=("teddy",),
    natural="brown",
    second="muzzle",
    second_natural="cream",
    roles=("top",),
)
def teddy_bear(vary: Vary) -> list[Part]:
    """A sitting plush bear with its legs stretched forward."""
    fat, ear, arm = vary(0.94, 1.08), vary(0.88, 1.15), vary(-0.1, 0.12)
    return [
        (oval(0.36 * fat, 0.4, 0.33).at(0, -0.2, 0), MAIN),
        (sphere(0.31).at(0, 0.38, 0.04), MAIN),
        (oval(0.16, 0.13, 0.13, 12).at(0, 0.29, 0.3), SECOND),
        (sphere(0.055, 8).at(0, 0.35, 0.42), "black"),
        (sphere(0.1, 10).at(0, -0.45, -0.3), MAIN),
        *both_sides(
            (oval(0.13 * ear, 0.13 * ear, 0.08, 12).at(0.25, 0.61, 0.02), MAIN),
            (oval(0.075, 0.075, 0.05, 8).at(0.25, 0.61, 0.07), SECOND),
            (capsule((0.3, -0.02, 0.08), (0.48, -0.2 + arm, 0.24), 0.125, 0.12), MAIN),
            (capsule((0.19, -0.48, 0.14), (0.27, -0.5, 0.44), 0.15, 0.15), MAIN),
            (oval(0.1, 0.1, 0.06, 10).at(0.28, -0.5, 0.56), SECOND),
        ),
        *eyes(0.12, 0.46, 0.29, 0.05),
    ]


@kind("doll", GROUP, words=("girl",), natural="pink", second="hair", second_natural="brown", roles=("top",))
def doll(vary: Vary) -> list[Part]:
    """A girl in a wide dress with bunches in her hair."""
    wide, bunch = vary(0.92, 1.1), vary(0.9, 1.15)
    dress = lathe([(0, -0.5), (0.42 * wide, -0.5), (0.34 * wide, -0.2), (0.2, 0.1), (0.15, 0.2), (0, 0.22)])
    return [
        (dress, MAIN),
        (sphere(0.3).at(0, 0.44, 0), "skin"),
        (sphere(0.325).scaled(1, 1, 0.9).at(0, 0.49, -0.07), SECOND),
        *both_sides(
            (oval(0.14 * bunch, 0.2 * bunch, 0.14, 12).at(0.39, 0.42, -0.06), SECOND),
            (capsule((0.15, 0.1, 0), (0.38, -0.16, 0.1), 0.085, 0.075), "skin"),
            (sphere(0.13, 10).at(0.19, 0.1, 0), MAIN),
            (capsule((0.14, -0.46, 0), (0.14, -0.66, 0), 0.08), "skin"),
            (oval(0.1, 0.07, 0.15, 8).at(0.14, -0.73, 0.05), "red"),
        ),
        (oval(0.08, 0.03, 0.05, 8).at(0, 0.33, 0.27), "red"),
        *eyes(0.11, 0.46, 0.26, 0.05),
    ]


@kind(
    "person",
    GROUP,
    words=("man", "boy"),
    natural="blue",
    second="trousers",
    second_natural="dark",
    roles=("top",),
)
def person(vary: Vary) -> list[Part]:
    """A standing toy man in a shirt and trousers."""
    arm, leg, wide = vary(-0.06, 0.14), vary(0.92, 1.1), vary(0.93, 1.08)
    foot = -0.24 - 0.42 * leg
    return [
        (rounded_box(0.58 * wide, 0.54, 0.38, 0.12, 2).at(0, 0.04, 0), MAIN),
        (rounded_box(0.48 * wide, 0.2, 0.32, 0.08, 2).at(0, -0.22, 0), SECOND),
        (sphere(0.24).at(0, 0.49, 0), "skin"),
        (sphere(0.265).scaled(1, 0.92, 0.95).at(0, 0.565, -0.06), "brown"),
        (sphere(0.045, 8).at(0, 0.47, 0.25), "skin"),
        *both_sides(
            (capsule((0.3 * wide, 0.19, 0), (0.44 * wide, -0.08 + arm, 0.06), 0.11, 0.1), MAIN),
            (sphere(0.1, 10).at(0.45 * wide, -0.17 + arm, 0.09), "skin"),
            (capsule((0.13, -0.26, 0), (0.14, foot + 0.14, 0), 0.12, 0.11), SECOND),
            (oval(0.12, 0.08, 0.19, 10).at(0.14, foot, 0.06), "brown"),
        ),
        *eyes(0.09, 0.53, 0.215, 0.045),
    ]


@kind(
    "astronaut",
    GROUP,
    words=("spaceman",),
    natural="white",
    second="visor",
    second_natural="blue",
    roles=("top",),
)
def astronaut(vary: Vary) -> list[Part]:
    """A thick suit, a round helmet with a visor, a pack on the back."""
    arm, fat = vary(-0.1, 0.12), vary(0.94, 1.08)
    return [
        (rounded_box(0.54 * fat, 0.54, 0.4, 0.14, 2).at(0, 0, 0), MAIN),
        (sphere(0.32).at(0, 0.48, 0.02), MAIN),
        (oval(0.25, 0.2, 0.17, 14).at(0, 0.48, 0.21), SECOND),
        (rounded_box(0.44, 0.52, 0.2, 0.06, 1).at(0, 0.1, -0.28), "steel"),
        (box(0.24, 0.15, 0.06).at(0, 0.06, 0.2), "red"),
        *both_sides(
            (capsule((0.3, 0.16, 0), (0.46, -0.12 + arm, 0.08), 0.13, 0.12), MAIN),
            (sphere(0.125, 10).at(0.49, -0.22 + arm, 0.1), "orange"),
            (capsule((0.15, -0.24, 0), (0.17, -0.52, 0), 0.15, 0.14), MAIN),
            (oval(0.15, 0.1, 0.21, 10).at(0.17, -0.66, 0.05), "orange"),
        ),
    ]


@kind("ghost", GROUP, natural="white", second="mouth", second_natural="dark", roles=("top",))
def ghost(vary: Vary) -> list[Part]:
    """A sheet with two arms, a wavy hem, dark eyes and an open mouth."""
    tall, wide = vary(0.92, 1.1), vary(0.94, 1.06)
    r = 0.4 * wide
    hem = (
        (sphere(0.15, 10).scaled(1, 1.2, 1).at(x, -0.55, z), MAIN) for x, z in disc_points(0.86 * r, 8, 67.5)
    )
    return [
        (dome(r, 0.42 * tall, 20).at(0, 0.22 * tall, 0), MAIN),
        (cylinder(1.08 * r, 0.22 * tall + 0.56, r).at(0, 0.11 * tall - 0.28, 0), MAIN),
        *hem,
        *both_sides((capsule((0.3, 0.04, 0.1), (0.54, 0.1, 0.26), 0.13, 0.09), MAIN)),
        (oval(0.1, 0.13, 0.09, 10).at(0, 0.02, r - 0.02), SECOND),
        *both_sides((oval(0.08, 0.11, 0.08, 10).at(0.16, 0.28 * tall, 0.87 * r), "black")),
    ]


@kind(
    "jack-o-lantern",
    GROUP,
    words=("halloween pumpkin",),
    natural="orange",
    second="face",
    second_natural="yellow",
    roles=("top",),
)
def jack_o_lantern(vary: Vary) -> list[Part]:
    """A pumpkin with a cut face: three triangles and a toothed grin."""
    rib, eye = sphere(0.34, 14).scaled(1, 1.2 * vary(0.9, 1.1), 1), vary(0.9, 1.15)
    triangle = plate(disc_points(0.14 * eye, 3), 0.16)
    grin = [
        (-0.36, 0.02),
        (-0.2, -0.06),
        (-0.12, 0.03),
        (-0.04, -0.08),
        (0.04, -0.08),
        (0.12, 0.03),
        (0.2, -0.06),
        (0.36, 0.02),
    ]
    mouth = plate([*grin, (0.2, -0.2), (0, -0.24), (-0.2, -0.2)], 0.2)
    return [
        *((rib.at(x, 0, z), MAIN) for x, z in disc_points(0.3, 8)),
        (capsule((0, 0.28, 0), (0.0, 0.56, 0), 0.1, 0.08), "green"),
        *both_sides((triangle.at(0.21, 0.12, 0.55), SECOND)),
        (triangle.scaled(0.6, 0.6, 1).at(0, 0.0, 0.6), SECOND),
        (mouth.at(0, -0.1, 0.53), SECOND),
    ]
