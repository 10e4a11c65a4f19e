"""Wild and small animals of the land; all look to +z."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import capsule, cone, cylinder, dome, sphere, torus, tube
from ..vary import Vary
from ._creatures import eyes, legs, oval

GROUP = "animals"


@kind("bear", GROUP, natural="brown", second="muzzle", second_natural="cream", roles=("top",))
def bear(vary: Vary) -> list[Part]:
    """A heavy bear on four thick legs, round ears, hardly a tail."""
    fat, hump = vary(0.93, 1.08), vary(0.9, 1.12)
    return [
        (oval(0.37 * fat, 0.36 * fat, 0.52).at(0, 0, -0.1), MAIN),
        (sphere(0.28 * hump, 14).at(0, 0.14, 0.1), MAIN),
        (sphere(0.29).at(0, 0.24, 0.42), MAIN),
        (capsule((0, 0.16, 0.6), (0, 0.15, 0.74), 0.14, 0.11), SECOND),
        (sphere(0.065, 8).at(0, 0.21, 0.83), "black"),
        *both_sides(
            (oval(0.11, 0.11, 0.07, 10).at(0.22, 0.48, 0.36), MAIN),
            (oval(0.06, 0.06, 0.05, 8).at(0.22, 0.48, 0.41), SECOND),
        ),
        (sphere(0.1, 10).at(0, 0.12, -0.62), MAIN),
        *legs(0.2, (0.22, -0.36), -0.1, -0.56, 0.15),
        *eyes(0.12, 0.32, 0.66, 0.05),
    ]


@kind("panda", GROUP, natural="white", second="ears", second_natural="black", roles=("top",))
def panda(vary: Vary) -> list[Part]:
    """A sitting panda: dark ears, eye patches, arms and legs."""
    fat, ear = vary(0.94, 1.08), vary(0.9, 1.12)
    return [
        (oval(0.4 * fat, 0.42, 0.36).at(0, -0.2, 0), MAIN),
        (oval(0.35, 0.31, 0.3).at(0, 0.38, 0.05), MAIN),
        (sphere(0.1, 10).at(0, -0.46, -0.34), MAIN),
        (oval(0.13, 0.1, 0.1, 10).at(0, 0.28, 0.32), MAIN),
        (oval(0.065, 0.05, 0.05, 8).at(0, 0.33, 0.41), "black"),
        *both_sides(
            (oval(0.13 * ear, 0.13 * ear, 0.09, 12).at(0.26, 0.63, 0.02), SECOND),
            (oval(0.095, 0.12, 0.07, 10).turned(z=-25).at(0.14, 0.42, 0.3), SECOND),
            (sphere(0.04, 8).at(0.13, 0.44, 0.365), "white"),
            (capsule((0.33, 0.0, 0.06), (0.4, -0.26, 0.24), 0.14, 0.13), SECOND),
            (capsule((0.22, -0.48, 0.12), (0.3, -0.5, 0.4), 0.16, 0.16), SECOND),
        ),
    ]


@kind("mouse", GROUP, words=("rat",), natural="gray", second="tail", second_natural="pink", roles=("top",))
def mouse(vary: Vary) -> list[Part]:
    """A small round body, huge round ears, a long pink tail."""
    ear, fat, curl = vary(0.88, 1.12), vary(0.93, 1.08), vary(0.1, 0.35)
    tail = [(0, -0.28, -0.42), (0, -0.32, -0.66), (0, -0.2, -0.86), (0, curl, -0.92)]
    return [
        (oval(0.34 * fat, 0.34, 0.46).at(0, -0.14, -0.12), MAIN),
        (cone(0.29, 0.5, 16).turned(x=96).at(0, 0.03, 0.42), MAIN),
        (sphere(0.28).at(0, 0.05, 0.2), MAIN),
        (sphere(0.075, 8).at(0, 0.01, 0.66), "pink"),
        *both_sides(
            (oval(0.22 * ear, 0.22 * ear, 0.07, 14).turned(y=-12).at(0.27, 0.36, 0.1), MAIN),
            (oval(0.15 * ear, 0.15 * ear, 0.05, 12).turned(y=-12).at(0.275, 0.36, 0.145), "pink"),
            (oval(0.1, 0.07, 0.15, 8).at(0.18, -0.42, 0.2), "pink"),
            (oval(0.12, 0.08, 0.18, 8).at(0.24, -0.42, -0.24), "pink"),
        ),
        (tube(tail, (0.09, 0.075, 0.065, 0.05), 8), SECOND),
        *eyes(0.13, 0.15, 0.42, 0.055),
    ]


@kind("fox", GROUP, natural="orange", second="paws", second_natural="black", roles=("top",))
def fox(vary: Vary) -> list[Part]:
    """Large pointed ears, a sharp white muzzle, a bushy tail with a white tip."""
    long, brush, lift = vary(0.93, 1.08), vary(0.88, 1.12), vary(-8, 18)
    front, back = 0.25 * long, -0.3 * long
    tail = oval(0.19 * brush, 0.19 * brush, 0.3).at(0, 0, -0.28).turned(x=20 + lift).at(0, 0.06, back - 0.12)
    tip = (
        cone(0.14 * brush, 0.26, 12)
        .turned(x=-90)
        .at(0, 0, -0.68)
        .turned(x=20 + lift)
        .at(0, 0.06, back - 0.12)
    )
    return [
        (capsule((0, 0, back), (0, 0.02, front), 0.2, 0.21, 14), MAIN),
        (oval(0.15, 0.19, 0.14, 12).at(0, 0.03, front + 0.13), "white"),
        (oval(0.29, 0.25, 0.24).at(0, 0.36, front + 0.18), MAIN),
        (cone(0.15, 0.32, 12).turned(x=98).at(0, 0.29, front + 0.46), "white"),
        (sphere(0.06, 8).at(0, 0.28, front + 0.62), "black"),
        *both_sides(
            (cone(0.13, 0.32, 8).turned(z=-14).at(0.18, 0.66, front + 0.12), MAIN),
            (cone(0.07, 0.17, 8).turned(z=-14).at(0.195, 0.72, front + 0.13), SECOND),
        ),
        (tail, MAIN),
        (tip, "white"),
        *legs(0.13, (front, back), -0.05, -0.5, 0.09),
        *legs(0.13, (front, back), -0.36, -0.55, 0.098, SECOND),
        *eyes(0.13, 0.42, front + 0.38, 0.055),
    ]


@kind("monkey", GROUP, natural="brown", second="face", second_natural="skin", roles=("top",))
def monkey(vary: Vary) -> list[Part]:
    """A sitting monkey: pale face, ears at the sides, a long curled tail."""
    ear, arm, curl = vary(0.88, 1.12), vary(-0.08, 0.16), vary(0.85, 1.15)
    tail = [(0, -0.5, -0.2), (0, -0.56, -0.5), (0, -0.3, -0.68), (0, 0.02, -0.6), (0, 0.14 * curl, -0.42)]
    return [
        (oval(0.28, 0.36, 0.26).at(0, -0.26, 0), MAIN),
        (oval(0.19, 0.25, 0.14, 12).at(0, -0.28, 0.15), SECOND),
        (sphere(0.31).at(0, 0.3, 0.02), MAIN),
        (oval(0.23, 0.19, 0.16, 14).at(0, 0.21, 0.2), SECOND),
        *both_sides(
            (oval(0.12, 0.12, 0.12, 12).at(0.09, 0.37, 0.23), SECOND),
            (oval(0.13 * ear, 0.15 * ear, 0.07, 12).at(0.35, 0.32, 0), MAIN),
            (oval(0.08 * ear, 0.1 * ear, 0.06, 8).at(0.355, 0.32, 0.03), SECOND),
            (capsule((0.24, -0.06, 0.04), (0.36, -0.3 + arm, 0.26), 0.09, 0.085), MAIN),
            (sphere(0.11, 8).at(0.37, -0.34 + arm, 0.3), SECOND),
            (capsule((0.16, -0.52, 0.08), (0.26, -0.54, 0.36), 0.11, 0.1), MAIN),
            (oval(0.1, 0.12, 0.09, 8).at(0.27, -0.52, 0.46), SECOND),
        ),
        (tube(tail, (0.08, 0.075, 0.07, 0.065, 0.06), 8), MAIN),
        *eyes(0.09, 0.38, 0.33, 0.05),
    ]


@kind("camel", GROUP, natural="wood", second="saddle", second_natural="red")
def camel(vary: Vary) -> list[Part]:
    """Two humps with a saddle between, a deep bent neck, long legs."""
    hump, leg = vary(0.9, 1.15), vary(0.92, 1.08)
    neck = [(0, 0.02, 0.32), (0, 0.0, 0.52), (0, 0.2, 0.62), (0, 0.5, 0.6)]
    return [
        (capsule((0, 0, -0.36), (0, 0, 0.28), 0.25, 0.24, 14), MAIN),
        *((oval(0.17, 0.3 * hump, 0.18, 14).at(0, 0.2, z), MAIN) for z in (-0.32, 0.2)),
        (
            tube([(0.25 * np.sin(a), 0.25 * np.cos(a), -0.06) for a in np.linspace(-1.9, 1.9, 9)], 0.09, 8),
            SECOND,
        ),
        (tube(neck, (0.18, 0.15, 0.12, 0.11), 12), MAIN),
        (capsule((0, 0.54, 0.58), (0, 0.47, 0.84), 0.15, 0.12, 12), MAIN),
        *both_sides((oval(0.06, 0.11, 0.05, 8).turned(z=-20).at(0.13, 0.68, 0.5), MAIN)),
        (capsule((0, 0.08, -0.58), (0, -0.2, -0.68), 0.05, around=8), MAIN),
        (sphere(0.08, 8).at(0, -0.24, -0.69), "brown"),
        *legs(0.15, (0.26, -0.36), -0.05, -0.26 - 0.44 * leg, 0.09),
        *eyes(0.13, 0.6, 0.66, 0.045),
    ]


@kind("hippo", GROUP, words=("hippopotamus",), natural="gray", second="teeth", roles=("top",))
def hippo(vary: Vary) -> list[Part]:
    """A barrel of a body, an enormous muzzle with two teeth, tiny ears."""
    fat, muzzle = vary(0.93, 1.07), vary(0.92, 1.1)
    return [
        (oval(0.42 * fat, 0.38 * fat, 0.56).at(0, 0, -0.14), MAIN),
        (oval(0.28, 0.28, 0.3).at(0, 0.16, 0.38), MAIN),
        (oval(0.32 * muzzle, 0.21, 0.24).at(0, 0.02, 0.66), MAIN),
        *both_sides(
            (sphere(0.07, 8).at(0.13, 0.2, 0.78), "dark"),
            (cylinder(0.05, 0.14, segments=8).at(0.16 * muzzle, -0.14, 0.8), SECOND),
            (sphere(0.085, 8).at(0.19, 0.42, 0.28), MAIN),
            (sphere(0.09, 8).at(0.14, 0.37, 0.5), MAIN),
        ),
        (capsule((0, 0.1, -0.68), (0, -0.08, -0.78), 0.06, around=8), MAIN),
        *legs(0.22, (0.2, -0.4), -0.2, -0.56, 0.14),
        *eyes(0.14, 0.39, 0.56, 0.055),
    ]


@kind("frog", GROUP, words=("toad",), natural="green", second="belly", second_natural="cream", roles=("top",))
def frog(vary: Vary) -> list[Part]:
    """A crouching frog: eyes on top of the head, a wide mouth, folded hind legs."""
    wide, eye = vary(0.93, 1.1), vary(0.9, 1.12)
    return [
        (oval(0.38 * wide, 0.28, 0.46).turned(x=-22).at(0, -0.16, -0.08), MAIN),
        (oval(0.34 * wide, 0.2, 0.28).at(0, 0.0, 0.18), MAIN),
        (oval(0.27 * wide, 0.24, 0.26, 12).at(0, -0.24, 0.17), SECOND),
        (oval(0.35 * wide, 0.035, 0.29, 18).at(0, -0.04, 0.18), "dark"),
        *both_sides(
            (sphere(0.14 * eye, 12).at(0.2, 0.19, 0.16), MAIN),
            (sphere(0.105 * eye, 10).at(0.205, 0.21, 0.225), "white"),
            (sphere(0.065 * eye, 8).at(0.21, 0.215, 0.29), "black"),
            (oval(0.16, 0.2, 0.3, 12).turned(x=-20).at(0.4 * wide, -0.28, -0.2), MAIN),
            (oval(0.16, 0.06, 0.24, 10).turned(y=25).at(0.46 * wide, -0.45, 0.08), MAIN),
            (capsule((0.26, -0.14, 0.22), (0.3, -0.42, 0.34), 0.08, 0.07, 8), MAIN),
            (oval(0.11, 0.05, 0.14, 8).at(0.31, -0.46, 0.4), MAIN),
        ),
    ]


@kind(
    "turtle",
    GROUP,
    words=("tortoise",),
    natural="green",
    second="shell",
    second_natural="brown",
    roles=("top",),
)
def turtle(vary: Vary) -> list[Part]:
    """A domed shell, a raised head, four flat feet, a pointed tail."""
    high, neck = vary(0.88, 1.12), vary(0.9, 1.15)
    top = 0.1 + 0.16 * neck
    knob = [(0.2 * np.sin(a), 0.32 * high, 0.2 * np.cos(a)) for a in np.arange(6) * np.pi / 3]
    return [
        (dome(0.46, 0.44 * high, 18).scaled(1, 1, 1.1).at(0, -0.14, -0.1), SECOND),
        *((sphere(0.1, 8).scaled(1, 0.5, 1).at(x, y - 0.16, 1.1 * z - 0.1), MAIN) for x, y, z in knob),
        (sphere(0.13, 8).scaled(1, 0.4, 1).at(0, 0.44 * high - 0.15, -0.1), MAIN),
        (torus(0.43, 0.1, 20, 8).scaled(1, 0.9, 1.1).at(0, -0.14, -0.1), MAIN),
        (cylinder(0.42, 0.12, segments=16).scaled(1, 1, 1.1).at(0, -0.2, -0.1), MAIN),
        (capsule((0, -0.1, 0.34), (0, top - 0.06, 0.6), 0.13, 0.13), MAIN),
        (oval(0.2, 0.18, 0.22, 14).at(0, top, 0.68), MAIN),
        *both_sides(
            (capsule((0.32, -0.22, 0.24), (0.44, -0.34, 0.36), 0.12, 0.11, 8), MAIN),
            (capsule((0.32, -0.22, -0.44), (0.42, -0.34, -0.54), 0.12, 0.11, 8), MAIN),
        ),
        (cone(0.1, 0.32, 8).turned(x=-105).at(0, -0.22, -0.7), MAIN),
        *eyes(0.12, top + 0.06, 0.82, 0.055),
    ]


@kind("snail", GROUP, natural="orange", second="body", second_natural="cream", roles=("top",))
def snail(vary: Vary) -> list[Part]:
    """An upright coiled shell on a creeping foot, two eyes on stalks."""
    big, stalk = vary(0.92, 1.08), vary(0.85, 1.15)
    whorls = [(0.5, 0.18, 0.04, 0.0), (0.33, 0.25, 0.04, 0.06), (0.21, 0.31, 0.06, 0.08)]
    shell = [
        (oval(half, r * big, r * big, 14).at(0, 0.06 + y, z - 0.1), "brown" if k == 1 else MAIN)
        for k, (r, half, y, z) in enumerate(whorls)
    ]
    foot = [(0, -0.42, -0.72), (0, -0.4, -0.4), (0, -0.38, 0.2), (0, -0.3, 0.46), (0, -0.02, 0.6)]
    return [
        *shell,
        (tube(foot, (0.05, 0.13, 0.15, 0.15, 0.12), 10), SECOND),
        (sphere(0.18, 12).at(0, 0.04, 0.6), SECOND),
        *both_sides(
            (capsule((0.08, 0.12, 0.62), (0.16, 0.26 + 0.12 * stalk, 0.7), 0.05, around=8), SECOND),
            (sphere(0.085, 10).at(0.17, 0.32 + 0.12 * stalk, 0.72), "white"),
            (sphere(0.05, 8).at(0.175, 0.33 + 0.12 * stalk, 0.785), "black"),
        ),
    ]


@kind("snake", GROUP, natural="green", second="stripes", second_natural="yellow", roles=("top",))
def snake(vary: Vary) -> list[Part]:
    """A coiled snake with a raised head and a red tongue."""
    high, coil = vary(0.9, 1.12), vary(0.93, 1.07)
    neck = [(0, -0.16, -0.2), (0, 0.16, -0.26), (0, 0.42 * high, -0.14), (0, 0.56 * high, 0.06)]
    coils = ((0.44, -0.46), (0.33, -0.28), (0.22, -0.12))
    return [
        *((torus(r * coil, 0.13, 22, 10).at(0, y, 0), MAIN) for r, y in coils),
        *((torus((r + 0.055) * coil, 0.085, 22, 8).at(0, y + 0.035, 0), SECOND) for r, y in coils[:2]),
        (tube(neck, (0.13, 0.13, 0.12, 0.12), 10), MAIN),
        (oval(0.18, 0.13, 0.24, 14).at(0, 0.57 * high, 0.16), MAIN),
        (capsule((0, 0.54 * high, 0.36), (0, 0.5 * high, 0.54), 0.04, 0.03, 8), "red"),
        (cone(0.12, 0.4, 10).turned(x=-80).at(0, -0.46, -0.66), MAIN),
        *eyes(0.12, 0.64 * high, 0.26, 0.06),
    ]


@kind("spider", GROUP, natural="black", second="back", second_natural="red", roles=("top",))
def spider(vary: Vary) -> list[Part]:
    """Eight thick bent legs, a round abdomen behind, many eyes."""
    fat, knee = vary(0.92, 1.1), vary(0.2, 0.32)
    parts: list[Part] = []
    for a in np.deg2rad([35, 68, 103, 138]):
        x, z = np.sin(a), np.cos(a)
        path = [(0.1 * x, -0.05, 0.1 * z), (0.44 * x, knee, 0.44 * z), (0.76 * x, -0.36, 0.76 * z)]
        limb = (capsule(p, q, r, r, 8) for p, q, r in zip(path[:2], path[1:], (0.07, 0.06), strict=True))
        parts += both_sides(*((piece, MAIN) for piece in limb))
    return [
        *parts,
        (oval(0.32 * fat, 0.3 * fat, 0.36).at(0, 0.04, -0.4), MAIN),
        (oval(0.13, 0.13, 0.2, 12).at(0, 0.24 * fat, -0.44), SECOND),
        (sphere(0.24).at(0, -0.02, 0.1), MAIN),
        *eyes(0.1, 0.06, 0.27, 0.095, white=True),
        *both_sides(
            (cone(0.05, 0.16, 8).turned(x=180).at(0.07, -0.2, 0.28), "white"),
            (sphere(0.05, 8).at(0.2, 0.13, 0.24), "white"),
        ),
    ]


@kind("caterpillar", GROUP, natural="green", second="head", second_natural="red", roles=("top",))
def caterpillar(vary: Vary) -> list[Part]:
    """A row of balls that arches up, a round face with feelers, small feet."""
    arch, thin = vary(0.12, 0.26), vary(0.9, 1.05)
    z = np.array([0.24, -0.04, -0.32, -0.58])
    y = np.array([0, 0.9, 0.9, 0]) * arch - 0.2
    r = np.array([0.25, 0.26, 0.25, 0.2]) * thin
    feet = both_sides(*((sphere(0.08, 8).at(0.12, y[k] - 0.9 * r[k], z[k]), "dark") for k in range(4)))
    return [
        *((sphere(r[k], 14).at(0, y[k], z[k]), MAIN) for k in range(4)),
        *feet,
        (sphere(0.29).at(0, 0.02, 0.52), SECOND),
        *both_sides(
            (capsule((0.1, 0.24, 0.52), (0.18, 0.46, 0.56), 0.04, around=8), "dark"),
            (sphere(0.075, 8).at(0.19, 0.5, 0.57), "dark"),
        ),
        (sphere(0.06, 8).at(0, 0.0, 0.81), "orange"),
        *eyes(0.12, 0.1, 0.73, 0.09, white=True),
    ]


@kind(
    "dinosaur",
    GROUP,
    words=("dino",),
    natural="green",
    second="spikes",
    second_natural="orange",
    roles=("top",),
)
def dinosaur(vary: Vary) -> list[Part]:
    """An upright hunter: large head, tiny arms, a thick tail and spikes along its back."""
    head, tail = vary(0.92, 1.1), vary(-0.1, 0.15)
    ridge = [(0.88, 0.02, 0), (0.62, -0.2, 35), (0.36, -0.37, 50), (0.12, -0.56, 60), (-0.1, -0.78, 70)]
    back = [(0, -0.2, -0.24), (0, -0.28, -0.6), (0, -0.3 + 0.5 * tail, -0.9), (0, -0.18 + tail, -1.12)]
    return [
        (oval(0.32, 0.44, 0.36).turned(x=15).at(0, 0, -0.1), MAIN),
        (oval(0.22, 0.32, 0.2, 12).turned(x=15).at(0, -0.02, 0.09), "cream"),
        (capsule((0, 0.2, -0.02), (0, 0.6, 0.1), 0.24, 0.2, 12), MAIN),
        (oval(0.26 * head, 0.22, 0.32).at(0, 0.7, 0.28), MAIN),
        (oval(0.22 * head, 0.07, 0.24, 12).at(0, 0.53, 0.34), "cream"),
        (tube(back, (0.3, 0.2, 0.12, 0.04), 12), MAIN),
        *((cone(0.1, 0.24, 8).turned(x=-turn).at(0, y, z), SECOND) for y, z, turn in ridge),
        *both_sides(
            (oval(0.16, 0.24, 0.2, 12).at(0.26, -0.26, -0.06), MAIN),
            (capsule((0.27, -0.34, -0.04), (0.28, -0.56, 0.02), 0.12, 0.11, 8), MAIN),
            (oval(0.14, 0.08, 0.2, 10).at(0.28, -0.62, 0.1), MAIN),
            (capsule((0.24, 0.12, 0.16), (0.26, 0.04, 0.36), 0.07, 0.06, 8), MAIN),
            (sphere(0.04, 8).at(0.1, 0.74, 0.58), "dark"),
        ),
        *eyes(0.2 * head, 0.82, 0.38, 0.075, white=True),
    ]
