"""Toys and figures."""

from __future__ import annotations

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import box, capsule, cone, cylinder, rounded_box, sphere
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
