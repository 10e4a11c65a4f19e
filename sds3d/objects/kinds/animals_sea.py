"""Animals of the sea; all look to +z."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import capsule, cone, cylinder, disc_points, sphere, tube
from ..vary import Vary
from ._creatures import eyes, oval
from ._forms import profile

GROUP = "animals"


@kind(
    "fish",
    GROUP,
    words=("goldfish",),
    natural="orange",
    second="fins",
    second_natural="yellow",
    roles=("top",),
)
def fish(vary: Vary) -> list[Part]:
    """A tall flat body with a forked tail, fins and round eyes."""
    tall, tail = vary(0.9, 1.12), vary(0.88, 1.12)
    fork = [
        (-0.34, 0),
        (-0.56, 0.12),
        (-0.88, 0.42 * tail),
        (-0.76, 0),
        (-0.88, -0.42 * tail),
        (-0.56, -0.12),
    ]
    top = [(0.26, 0.26 * tall), (-0.06, 0.54 * tall), (-0.34, 0.48 * tall), (-0.3, 0.2 * tall)]
    low = [(0.1, -0.28 * tall), (-0.12, -0.54 * tall), (-0.28, -0.46 * tall), (-0.22, -0.2 * tall)]
    side = oval(0.05, 0.13, 0.2, 10).turned(x=25, y=-35)
    return [
        (oval(0.29, 0.43 * tall, 0.54, 18).at(0, 0, 0.08), MAIN),
        *((profile(fin, 0.11), SECOND) for fin in (fork, top, low)),
        (oval(0.08, 0.07, 0.06, 8).at(0, -0.06, 0.61), SECOND),
        *both_sides(
            (side.at(0.31, -0.1, 0.0), SECOND),
            (sphere(0.1, 10).at(0.17, 0.12, 0.4), "white"),
            (sphere(0.06, 8).at(0.23, 0.125, 0.44), "black"),
        ),
    ]


@kind("whale", GROUP, natural="blue", second="belly", roles=("top",))
def whale(vary: Vary) -> list[Part]:
    """A great round head, a pale belly, a raised fluke, a spout of water."""
    fat, lift = vary(0.93, 1.08), vary(0.85, 1.15)
    tail = [(0, -0.04, -0.2), (0, -0.02, -0.6), (0, 0.2 * lift, -0.86), (0, 0.4 * lift, -0.96)]
    return [
        (oval(0.45 * fat, 0.42, 0.62, 18).at(0, 0, 0.12), MAIN),
        (oval(0.445 * fat, 0.34, 0.59, 16).at(0, -0.12, 0.15), SECOND),
        (tube(tail, (0.36, 0.19, 0.12, 0.09), 14), MAIN),
        *both_sides(
            (oval(0.26, 0.07, 0.14, 12).turned(z=18, y=25).at(0.2, 0.44 * lift, -1.0), MAIN),
            (oval(0.24, 0.06, 0.13, 12).turned(z=-25, y=25).at(0.52 * fat, -0.24, 0.12), MAIN),
            (capsule((0.03, 0.5, 0.2), (0.15, 0.68, 0.2), 0.06, 0.08, 8), "cyan"),
            (sphere(0.055, 8).at(0.385 * fat, 0.06, 0.5), "black"),
        ),
        (capsule((0, 0.36, 0.2), (0, 0.54, 0.2), 0.06, around=8), "cyan"),
    ]


@kind("dolphin", GROUP, natural="blue", second="belly", roles=("top",))
def dolphin(vary: Vary) -> list[Part]:
    """A leaping dolphin: bent body, beak, curved back fin, flat fluke."""
    bend, fin = vary(0.85, 1.2), vary(0.9, 1.15)
    z = np.array([0.54, 0.4, 0.18, -0.08, -0.38, -0.6, -0.76])
    path = np.stack([0 * z, 0.2 - bend * np.where(z > 0, 0.4, 0.8) * z**2, z], axis=1)
    body = tube(path, (0.14, 0.27, 0.34, 0.34, 0.24, 0.14, 0.09), 14)
    belly = tube(path[:6] - np.array([0, 0.1, 0]), (0.11, 0.235, 0.31, 0.31, 0.19, 0.08), 12)
    head, end = path[1], path[-1]
    back = [(0.16, 0.46), (-0.12, 0.5 + 0.34 * fin), (-0.28, 0.5 + 0.3 * fin), (-0.2, 0.36)]
    return [
        (body, MAIN),
        (belly, SECOND),
        (sphere(0.27, 14).at(0, head[1] + 0.01, head[2] + 0.06), MAIN),
        (capsule((0, head[1] - 0.09, 0.58), (0, head[1] - 0.14, 0.76), 0.11, 0.08, 10), MAIN),
        (profile(back, 0.1), MAIN),
        *both_sides(
            (oval(0.3, 0.07, 0.15, 12).turned(y=25, z=8).at(0.18, end[1] - 0.04, end[2] - 0.02), MAIN),
            (oval(0.22, 0.06, 0.13, 10).turned(z=-35, y=25).at(0.4, 0.0, 0.16), MAIN),
        ),
        *eyes(0.22, head[1] + 0.06, head[2] + 0.18, 0.055),
    ]


@kind("shark", GROUP, natural="gray", second="belly", roles=("top",))
def shark(vary: Vary) -> list[Part]:
    """A spindle with a tall back fin, an upright tail fin and a toothed mouth."""
    fin, fat = vary(0.88, 1.15), vary(0.93, 1.08)
    back = [(0.24, 0.2), (-0.04, 0.34 + 0.3 * fin), (-0.18, 0.32 + 0.3 * fin), (-0.12, 0.2)]
    tail = [
        (-0.62, 0.04),
        (-0.9, 0.46 * fin),
        (-1.06, 0.44 * fin),
        (-0.92, 0.02),
        (-1.0, -0.24),
        (-0.88, -0.26),
    ]
    teeth = [(x, 0.31 - abs(x) * 0.5) for x in (-0.14, -0.05, 0.05, 0.14)]
    return [
        (oval(0.33 * fat, 0.33, 0.72, 18), MAIN),
        (oval(0.335 * fat, 0.27, 0.66, 16).at(0, -0.1, 0.03), SECOND),
        (profile(back, 0.11), MAIN),
        (profile(tail, 0.11), MAIN),
        (oval(0.2, 0.075, 0.12, 12).at(0, -0.13, 0.55), "dark"),
        *((cone(0.05, 0.11, 6).turned(x=180).at(x, -0.1, 0.34 + z), "white") for x, z in teeth),
        *both_sides(
            (oval(0.28, 0.06, 0.15, 12).turned(y=28, z=-22).at(0.46 * fat, -0.14, 0.1), MAIN),
            (sphere(0.06, 8).at(0.2 * fat, 0.11, 0.5), "black"),
        ),
    ]


@kind("octopus", GROUP, natural="purple", second="spots", second_natural="pink", roles=("top",))
def octopus(vary: Vary) -> list[Part]:
    """A high round head on eight curling arms."""
    tall, curl = vary(0.93, 1.12), vary(0.0, 0.14)
    arms = [
        tube(
            [
                (r * x, y, r * z)
                for r, y in ((0.14, -0.14), (0.34, -0.32), (0.56, -0.42), (0.76, -0.28 + curl))
            ],
            (0.15, 0.13, 0.105, 0.06),
            8,
        )
        for x, z in disc_points(1, 8, 67.5)
    ]
    spots = [(0.3, 0.42, -0.12), (0.2, 0.62, 0.02), (0.32, 0.2, -0.2), (0.1, 0.5, -0.34)]
    return [
        (oval(0.4, 0.46 * tall, 0.38, 18).at(0, 0.24 * tall, 0), MAIN),
        *((arm, MAIN) for arm in arms),
        *both_sides(*((sphere(0.1, 8).at(x, y * tall, z), SECOND) for x, y, z in spots)),
        (oval(0.1, 0.05, 0.06, 8).at(0, 0.02, 0.34), "dark"),
        *eyes(0.15, 0.2, 0.32, 0.11, white=True),
    ]


@kind("crab", GROUP, natural="red", second="claws", second_natural="orange", roles=("top",))
def crab(vary: Vary) -> list[Part]:
    """A broad shell, eyes on stalks, two raised claws, six legs."""
    wide, claw = vary(0.93, 1.1), vary(0.88, 1.12)
    parts: list[Part] = []
    for z in (0.14, -0.06, -0.26):
        knee, foot = (0.6 * wide, 0.04, 1.4 * z), (0.68 * wide, -0.32, 1.7 * z)
        parts += both_sides(
            (capsule((0.3, -0.06, z), knee, 0.06, around=8), MAIN),
            (capsule(knee, foot, 0.06, 0.045, 8), MAIN),
        )
    return [
        (oval(0.48 * wide, 0.29, 0.38, 18), MAIN),
        *parts,
        *both_sides(
            (capsule((0.36, 0.02, 0.22), (0.6 * wide, 0.1, 0.44), 0.08, around=8), MAIN),
            (oval(0.17 * claw, 0.2 * claw, 0.12, 12).at(0.6 * wide, 0.24, 0.5), SECOND),
            (cone(0.09, 0.28 * claw, 8).turned(z=22).at(0.51 * wide, 0.47, 0.52), SECOND),
            (cone(0.08, 0.24 * claw, 8).turned(z=-25).at(0.7 * wide, 0.45, 0.52), SECOND),
            (capsule((0.14, 0.12, 0.24), (0.15, 0.34, 0.28), 0.05, around=8), MAIN),
            (sphere(0.095, 10).at(0.15, 0.4, 0.29), "white"),
            (sphere(0.055, 8).at(0.15, 0.41, 0.36), "black"),
        ),
        (oval(0.13, 0.045, 0.05, 8).at(0, -0.03, 0.35), "dark"),
    ]


@kind(
    "starfish",
    GROUP,
    words=("sea star",),
    natural="orange",
    second="dots",
    second_natural="yellow",
    roles=("top",),
)
def starfish(vary: Vary) -> list[Part]:
    """Five round arms around a smiling middle, upright."""
    arm, fat = vary(0.9, 1.1), vary(0.9, 1.12)
    tips = disc_points(0.66 * arm, 5)
    dots = [(0.5 * x * k, 0.5 * y * k) for x, y in tips for k in (1.15, 1.75)]
    smile = [(0.13 * np.sin(a), -0.02 - 0.1 * np.cos(a), 0.2) for a in np.linspace(-1.1, 1.1, 7)]
    return [
        (oval(0.32, 0.32, 0.2, 16), MAIN),
        *((capsule((0, 0, 0), (x, y, 0), 0.22 * fat, 0.1, 12), MAIN) for x, y in tips),
        *(
            (sphere(0.06, 8).at(x, y, s * (0.16 - 0.07 * np.hypot(x, y))), SECOND)
            for x, y in dots
            for s in (-1, 1)
        ),
        (tube(smile, 0.035, 8), "dark"),
        *eyes(0.1, 0.08, 0.17, 0.07, white=True),
    ]


@kind("seal", GROUP, natural="gray", second="ball", second_natural="red", roles=("top",))
def seal(vary: Vary) -> list[Part]:
    """A circus seal: chest raised, a ball on its nose, flippers behind."""
    up, fat = vary(0.9, 1.1), vary(0.93, 1.08)
    body = [(0, -0.5, -0.62), (0, -0.46, -0.34), (0, -0.3, 0.0), (0, 0.0, 0.22), (0, 0.34 * up, 0.24)]
    top = 0.42 * up
    return [
        (tube(body, np.array([0.08, 0.22, 0.32, 0.28, 0.2]) * fat, 14), MAIN),
        (sphere(0.24).at(0, top, 0.28), MAIN),
        (oval(0.15, 0.12, 0.15, 12).turned(x=-25).at(0, top + 0.02, 0.46), MAIN),
        (sphere(0.06, 8).at(0, top + 0.1, 0.58), "black"),
        (sphere(0.2, 16).at(0, top + 0.34, 0.54), SECOND),
        *both_sides(
            (oval(0.28, 0.06, 0.15, 12).turned(z=-20, y=15).at(0.36, -0.46, 0.16), MAIN),
            (oval(0.09, 0.05, 0.22, 10).turned(y=-30).at(0.13, -0.5, -0.74), MAIN),
        ),
        (cylinder(0.1, 0.1, segments=8).turned(x=90).at(0, -0.5, -0.6), MAIN),
        *eyes(0.12, top + 0.1, 0.45, 0.055),
    ]
