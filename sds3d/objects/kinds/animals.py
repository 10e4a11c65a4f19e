"""Birds and animals on four legs; all look to +z."""

from __future__ import annotations

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import capsule, cone, cylinder, sphere, torus, tube
from ..vary import Vary
from ._creatures import eyes, legs, oval

GROUP = "animals"


@kind(
    "duck",
    GROUP,
    words=("rubber duck",),
    natural="yellow",
    second="beak",
    second_natural="orange",
    roles=("top",),
)
def duck(vary: Vary) -> list[Part]:
    """A swimming duck: round body, raised tail, flat beak."""
    plump, head = vary(0.92, 1.08), vary(0.92, 1.1)
    return [
        (oval(0.46 * plump, 0.36, 0.55).at(0, -0.22, -0.08), MAIN),
        (cone(0.22, 0.42, 14).turned(x=-52).at(0, 0.0, -0.56), MAIN),
        (sphere(0.3 * head).at(0, 0.3, 0.26), MAIN),
        *both_sides((oval(0.1, 0.18, 0.3, 12).turned(x=15).at(0.42 * plump, -0.14, -0.12), MAIN)),
        (oval(0.16, 0.06, 0.2, 12).at(0, 0.24, 0.58), SECOND),
        *eyes(0.16, 0.4, 0.48, 0.06),
    ]


@kind(
    "chicken",
    GROUP,
    words=("hen", "rooster"),
    natural="white",
    second="comb",
    second_natural="red",
    roles=("top",),
)
def chicken(vary: Vary) -> list[Part]:
    """A hen: fanned tail, comb and wattle, two orange legs."""
    tail, plump = vary(0.9, 1.15), vary(0.94, 1.06)
    fan = [
        (oval(0.09, 0.34 * tail, 0.13, 10).turned(x=-50).at(0.11 * k, 0.2, -0.5), MAIN) for k in (-1, 0, 1)
    ]
    return [
        (oval(0.36 * plump, 0.38, 0.46).at(0, -0.1, -0.05), MAIN),
        (capsule((0, 0.05, 0.18), (0, 0.42, 0.3), 0.24, 0.18, 14), MAIN),
        *fan,
        *both_sides((oval(0.09, 0.2, 0.28, 10).at(0.33 * plump, -0.06, -0.08), MAIN)),
        (cone(0.09, 0.22, 10).turned(x=90).at(0, 0.44, 0.54), "orange"),
        *((sphere(0.09, 8).at(0, 0.63 - 0.02 * k * k, 0.3 + 0.1 * k), SECOND) for k in (-1, 0, 1)),
        (oval(0.06, 0.11, 0.06, 8).at(0, 0.29, 0.46), SECOND),
        *both_sides(
            (cylinder(0.05, 0.3, segments=8).at(0.15, -0.56, 0), "orange"),
            (oval(0.1, 0.045, 0.16, 8).at(0.15, -0.7, 0.07), "orange"),
        ),
        *eyes(0.14, 0.5, 0.41, 0.05),
    ]


@kind("penguin", GROUP, natural="black", second="belly", roles=("top",))
def penguin(vary: Vary) -> list[Part]:
    """An upright bird in a tailcoat."""
    fat, spread = vary(0.93, 1.08), vary(12, 24)
    return [
        (oval(0.38 * fat, 0.54, 0.36).at(0, -0.14, 0), MAIN),
        (oval(0.31 * fat, 0.47, 0.33).at(0, -0.16, 0.09), SECOND),
        (sphere(0.27).at(0, 0.46, 0.02), MAIN),
        *both_sides(
            (oval(0.08, 0.36, 0.15, 10).turned(z=spread).at(0.42 * fat, -0.12, 0), MAIN),
            (oval(0.12, 0.06, 0.2, 10).at(0.17, -0.67, 0.14), "orange"),
        ),
        (cone(0.2, 0.24, 12).turned(x=-115).at(0, -0.55, -0.34), MAIN),
        (cone(0.09, 0.24, 10).turned(x=90).at(0, 0.44, 0.36), "orange"),
        *eyes(0.12, 0.53, 0.23, 0.075, white=True),
    ]


@kind("owl", GROUP, natural="brown", second="belly", second_natural="cream", roles=("top",))
def owl(vary: Vary) -> list[Part]:
    """A sitting owl: huge eyes, ear tufts, folded wings."""
    fat, tuft = vary(0.94, 1.06), vary(0.85, 1.2)
    return [
        (oval(0.42 * fat, 0.56, 0.38).at(0, -0.1, 0), MAIN),
        (oval(0.38, 0.3, 0.34).at(0, 0.36, 0.0), MAIN),
        (oval(0.3 * fat, 0.38, 0.3).at(0, -0.22, 0.12), SECOND),
        *both_sides(
            (cone(0.12, 0.3 * tuft, 10).turned(z=-18).at(0.25, 0.68, 0), MAIN),
            (oval(0.1, 0.42, 0.26, 12).turned(z=8).at(0.4 * fat, -0.14, -0.06), MAIN),
            (oval(0.11, 0.07, 0.14, 8).at(0.15, -0.63, 0.2), "orange"),
        ),
        (cone(0.2, 0.4, 10).turned(x=-150).at(0, -0.52, -0.28), MAIN),
        (cone(0.08, 0.2, 10).turned(x=120).at(0, 0.3, 0.39), "orange"),
        *eyes(0.16, 0.41, 0.27, 0.15, white=True),
    ]


@kind("dog", GROUP, words=("puppy",), natural="brown", second="ears", second_natural="dark", roles=("top",))
def dog(vary: Vary) -> list[Part]:
    """A standing dog: hanging ears, long muzzle, tail up."""
    long, leg, ear = vary(0.92, 1.1), vary(0.9, 1.12), vary(0.85, 1.2)
    front, back = 0.25 * long, -0.35 * long
    return [
        (capsule((0, 0, back), (0, 0.02, front), 0.23, 0.25, 14), MAIN),
        (capsule((0, 0.1, front), (0, 0.36, front + 0.2), 0.18, 0.16), MAIN),
        (sphere(0.27).at(0, 0.43, front + 0.24), MAIN),
        (capsule((0, 0.35, front + 0.4), (0, 0.34, front + 0.56), 0.14, 0.12), MAIN),
        (sphere(0.075, 10).at(0, 0.42, front + 0.67), "black"),
        *both_sides((oval(0.08, 0.22 * ear, 0.13, 10).turned(z=10).at(0.28, 0.38, front + 0.18), SECOND)),
        (capsule((0, 0.12, back - 0.14), (0, 0.5, back - 0.34), 0.085, 0.065), MAIN),
        *legs(0.15, (front, back), -0.1, -0.3 - 0.3 * leg, 0.11),
        *eyes(0.13, 0.53, front + 0.46, 0.065),
    ]


@kind("cat", GROUP, words=("kitten",), natural="orange", second="paws", roles=("top",))
def cat(vary: Vary) -> list[Part]:
    """A standing cat: pointed ears, round face, long tail held high."""
    long, ear, curl = vary(0.92, 1.1), vary(0.85, 1.15), vary(0.0, 0.2)
    front, back = 0.24 * long, -0.34 * long
    tail = [
        (0, 0.05, back - 0.1),
        (0, 0.15, back - 0.32),
        (0, 0.45, back - 0.36),
        (0, 0.74, back - 0.16 - curl),
    ]
    return [
        (capsule((0, 0, back), (0, 0, front), 0.21, 0.21, 14), MAIN),
        (oval(0.31, 0.28, 0.27).at(0, 0.36, front + 0.2), MAIN),
        *both_sides(
            (cone(0.13, 0.27 * ear, 10).turned(z=-14).at(0.19, 0.65, front + 0.16), MAIN),
            (cone(0.075, 0.18 * ear, 8).turned(z=-14).at(0.185, 0.63, front + 0.24), "pink"),
            (oval(0.1, 0.08, 0.09, 10).at(0.07, 0.26, front + 0.43), "white"),
        ),
        (sphere(0.05, 8).at(0, 0.32, front + 0.5), "pink"),
        (tube(tail, (0.07, 0.075, 0.075, 0.05), 10), MAIN),
        *legs(0.13, (front, back), -0.1, -0.52, 0.095),
        *both_sides(
            *((oval(0.105, 0.09, 0.13, 10).at(0.13, -0.47, z + 0.03), SECOND) for z in (front, back))
        ),
        *eyes(0.13, 0.42, front + 0.42, 0.06),
    ]


def _horse(vary: Vary) -> list[Part]:
    """A standing horse: arched neck, mane, long legs, thick tail."""
    long, leg, tail = vary(0.93, 1.08), vary(0.92, 1.1), vary(0.85, 1.15)
    front, back, ground = 0.28 * long, -0.33 * long, -0.2 - 0.44 * leg
    return [
        (capsule((0, 0.04, back), (0, 0.04, front), 0.23, 0.23, 14), MAIN),
        (capsule((0, 0.14, front + 0.02), (0, 0.58, front + 0.24), 0.18, 0.13, 12), MAIN),
        (capsule((0, 0.62, front + 0.26), (0, 0.44, front + 0.52), 0.15, 0.11, 12), MAIN),
        (tube([(0, 0.26, front - 0.16), (0, 0.54, front + 0.02), (0, 0.8, front + 0.2)], 0.09, 8), SECOND),
        (sphere(0.1, 8).at(0, 0.78, front + 0.26), SECOND),
        (capsule((0, 0.14, back - 0.2), (0, -0.1 - 0.3 * tail, back - 0.34), 0.1, 0.07), SECOND),
        *both_sides((cone(0.06, 0.18, 8).turned(z=-12).at(0.1, 0.82, front + 0.22), MAIN)),
        *legs(0.14, (front, back), 0, ground, 0.085),
        *both_sides(
            *((cylinder(0.1, 0.13, 0.09, 10).at(0.14, ground + 0.06, z), "dark") for z in (front, back))
        ),
        *eyes(0.13, 0.64, front + 0.34, 0.045),
    ]


@kind("horse", GROUP, words=("pony",), natural="brown", second="mane", second_natural="black", roles=("top",))
def horse(vary: Vary) -> list[Part]:
    """A standing horse."""
    return _horse(vary)


@kind("unicorn", GROUP, natural="white", second="mane", second_natural="purple", roles=("top",))
def unicorn(vary: Vary) -> list[Part]:
    """A horse with a golden horn."""
    horn = cone(0.075, 0.4 * vary(0.9, 1.15), 10).turned(x=25).at(0, 0.97, 0.71)
    return [(horn, "gold"), *_horse(vary)]


@kind("pig", GROUP, words=("piglet",), natural="pink", roles=("top",))
def pig(vary: Vary) -> list[Part]:
    """A stout pig: round snout, curled tail."""
    fat, long = vary(0.93, 1.07), vary(0.93, 1.08)
    return [
        (oval(0.4 * fat, 0.39 * fat, 0.53 * long).at(0, 0, -0.08), MAIN),
        (sphere(0.3).at(0, 0.12, 0.42 * long), MAIN),
        (cylinder(0.14, 0.18, 0.13, 14).turned(x=90).at(0, 0.07, 0.42 * long + 0.32), MAIN),
        *both_sides(
            (sphere(0.04, 8).at(0.055, 0.08, 0.42 * long + 0.41), "black"),
            (cone(0.12, 0.24, 8).turned(x=25, z=-20).at(0.19, 0.4, 0.42 * long + 0.04), MAIN),
        ),
        (torus(0.1, 0.045, 14, 8).turned(z=90).at(0, 0.12, -0.13 - 0.53 * long), MAIN),
        *legs(0.2, (0.24, -0.36), -0.2, -0.56, 0.12),
        *eyes(0.13, 0.22, 0.42 * long + 0.25, 0.055),
    ]


@kind("elephant", GROUP, natural="gray", second="tusks", roles=("top",))
def elephant(vary: Vary) -> list[Part]:
    """Large ears, a trunk to the ground, tusks, a small tail."""
    ear, fat, reach = vary(0.88, 1.15), vary(0.94, 1.06), vary(0, 0.14)
    trunk = [(0, 0.22, 0.6), (0, 0.05, 0.78), (0, -0.25, 0.83), (0, -0.45 + reach, 0.97)]
    return [
        (oval(0.42 * fat, 0.42, 0.53).at(0, 0.03, -0.14), MAIN),
        (sphere(0.32).at(0, 0.26, 0.4), MAIN),
        (tube(trunk, (0.16, 0.13, 0.1, 0.08), 12), MAIN),
        *both_sides(
            (oval(0.27 * ear, 0.32 * ear, 0.07, 14).turned(y=-30).at(0.42, 0.28, 0.3), MAIN),
            (capsule((0.14, 0.02, 0.64), (0.17, -0.1, 0.9), 0.06, 0.035, 8), SECOND),
        ),
        (capsule((0, 0.18, -0.62), (0, -0.18, -0.76), 0.05, 0.04, 8), MAIN),
        (sphere(0.07, 8).at(0, -0.22, -0.77), "dark"),
        *both_sides(*((cylinder(0.14, 0.52, 0.15, 12).at(0.2, -0.4, z), MAIN) for z in (0.18, -0.42))),
        *eyes(0.17, 0.38, 0.65, 0.055),
    ]


@kind("rabbit", GROUP, words=("bunny", "hare"), natural="white", second="tail", roles=("top",))
def rabbit(vary: Vary) -> list[Part]:
    """A sitting rabbit: two long ears, a round tail."""
    ear, lean, fat = vary(0.85, 1.15), vary(4, 14), vary(0.93, 1.07)
    outer = oval(0.1, 0.33 * ear, 0.085, 12).turned(z=-lean).at(0.14, 0.42 + 0.26 * ear, 0.08)
    inner = oval(0.055, 0.25 * ear, 0.06, 8).turned(z=-lean).at(0.14, 0.42 + 0.26 * ear, 0.13)
    return [
        (oval(0.34 * fat, 0.38, 0.4).at(0, -0.3, -0.08), MAIN),
        (sphere(0.28).at(0, 0.2, 0.16), MAIN),
        (sphere(0.16, 12).at(0, -0.42, -0.5), SECOND),
        *both_sides(
            (outer, MAIN),
            (inner, "pink"),
            (oval(0.12, 0.22, 0.24, 12).at(0.28, -0.42, 0.02), MAIN),
            (oval(0.11, 0.08, 0.22, 10).at(0.2, -0.62, 0.24), MAIN),
            (capsule((0.13, -0.2, 0.22), (0.12, -0.58, 0.3), 0.09, around=8), MAIN),
            (oval(0.09, 0.07, 0.08, 8).at(0.06, 0.1, 0.39), MAIN),
        ),
        (sphere(0.05, 8).at(0, 0.17, 0.45), "pink"),
        *eyes(0.13, 0.27, 0.37, 0.055),
    ]


@kind("cow", GROUP, natural="white", second="spots", second_natural="black", roles=("top",))
def cow(vary: Vary) -> list[Part]:
    """A stout body with dark patches, horns, a broad pink muzzle and an udder."""
    long, leg, spot = vary(0.93, 1.07), vary(0.9, 1.12), vary(0.85, 1.15)
    front, back = 0.27 * long, -0.38 * long
    return [
        (capsule((0, 0, back), (0, 0.02, front), 0.3, 0.29, 16), MAIN),
        (sphere(0.24).scaled(0.95, 1, 1.05).at(0, 0.34, front + 0.3), MAIN),
        (oval(0.18, 0.14, 0.14, 12).at(0, 0.22, front + 0.5), "pink"),
        *both_sides(
            (sphere(0.035, 8).at(0.07, 0.26, front + 0.62), "black"),
            (cone(0.065, 0.2, 8).turned(z=-30).at(0.16, 0.6, front + 0.22), "cream"),
            (oval(0.16, 0.07, 0.07, 8).turned(z=-12).at(0.3, 0.42, front + 0.22), SECOND),
            (oval(0.12, 0.19 * spot, 0.2 * spot).at(0.21, 0.06, back + 0.08), SECOND),
            (oval(0.1, 0.15 * spot, 0.13 * spot).at(0.21, 0.12, front - 0.1), SECOND),
            (oval(0.1, 0.12, 0.12, 10).at(0.13, 0.43, front + 0.4), SECOND),
        ),
        (oval(0.14, 0.12, 0.16, 10).at(0, -0.28, back + 0.12), "pink"),
        (capsule((0, 0.16, back - 0.26), (0, -0.2, back - 0.38), 0.055, around=8), MAIN),
        (sphere(0.09, 8).at(0, -0.26, back - 0.38), SECOND),
        *legs(0.18, (front, back), -0.1, -0.3 - 0.3 * leg, 0.11),
        *eyes(0.13, 0.43, front + 0.51, 0.05),
    ]


@kind("sheep", GROUP, words=("lamb",), natural="white", second="face", second_natural="black", roles=("top",))
def sheep(vary: Vary) -> list[Part]:
    """A cloud of wool with a dark face and dark legs."""
    puff, leg = vary(0.19, 0.24), vary(0.9, 1.15)
    rings = [(0.3, 0.2, 0.0), (0.32, -0.16, 0.3), (0.3, -0.16, -0.3)]
    wool = [
        (sphere(puff, 10).at(0.27 * side, y, z * 1.2 - 0.08), MAIN)
        for side in (-1, 1)
        for y in (-0.12, 0.16)
        for _, _, z in rings
    ]
    return [
        (oval(0.36, 0.36, 0.5).at(0, 0.02, -0.08), MAIN),
        *wool,
        *((sphere(puff, 10).at(0, 0.27, z), MAIN) for z in (-0.36, -0.05, 0.22)),
        (oval(0.2, 0.24, 0.2, 14).turned(x=-15).at(0, 0.24, 0.54), SECOND),
        (oval(0.22, 0.13, 0.18, 12).at(0, 0.46, 0.45), MAIN),
        (sphere(0.15, 10).at(0, 0.1, -0.66), MAIN),
        *both_sides((oval(0.15, 0.06, 0.08, 8).turned(z=-20).at(0.27, 0.3, 0.48), SECOND)),
        *legs(0.17, (0.2, -0.34), -0.2, -0.34 - 0.26 * leg, 0.095, SECOND),
        *eyes(0.1, 0.3, 0.71, 0.065, white=True),
    ]


@kind("lion", GROUP, natural="yellow", second="mane", second_natural="brown", roles=("top",))
def lion(vary: Vary) -> list[Part]:
    """A thick mane around the face, a tail with a tuft."""
    mane, long = vary(0.92, 1.1), vary(0.92, 1.08)
    front, back = 0.24 * long, -0.38 * long
    tail = [(0, 0.08, back - 0.16), (0, 0.1, back - 0.34), (0, 0.34, back - 0.44)]
    return [
        (capsule((0, 0, back), (0, 0.02, front), 0.23, 0.25, 14), MAIN),
        (oval(0.4 * mane, 0.41 * mane, 0.23).at(0, 0.3, front + 0.16), SECOND),
        (sphere(0.27).at(0, 0.32, front + 0.28), MAIN),
        *both_sides(
            (oval(0.1, 0.1, 0.07, 10).at(0.25, 0.62, front + 0.24), MAIN),
            (oval(0.1, 0.085, 0.1, 10).at(0.075, 0.23, front + 0.5), "white"),
        ),
        (oval(0.07, 0.05, 0.06, 8).at(0, 0.3, front + 0.57), "black"),
        (tube(tail, (0.06, 0.06, 0.05), 8), MAIN),
        (sphere(0.12, 10).at(0, 0.4, back - 0.45), SECOND),
        *legs(0.16, (front, back), -0.1, -0.56, 0.115),
        *eyes(0.12, 0.4, front + 0.5, 0.05),
    ]


@kind("giraffe", GROUP, natural="yellow", second="spots", second_natural="brown")
def giraffe(vary: Vary) -> list[Part]:
    """A very long neck, brown spots, two horns, high legs."""
    neck, leg, spot = vary(0.92, 1.1), vary(0.92, 1.08), vary(0.85, 1.15)
    top = 0.2 + 0.72 * neck
    spots = [(0.19, 0.02, -0.3), (0.2, 0.1, -0.05), (0.19, -0.03, 0.14), (0.15, 0.36, 0.3), (0.13, 0.6, 0.36)]
    return [
        (capsule((0, 0, -0.3), (0, 0.06, 0.16), 0.22, 0.23, 14), MAIN),
        (capsule((0, 0.1, 0.2), (0, top, 0.42), 0.17, 0.11, 12), MAIN),
        (capsule((0, top + 0.06, 0.42), (0, top - 0.04, 0.68), 0.14, 0.11, 12), MAIN),
        (oval(0.11, 0.09, 0.09, 10).at(0, top - 0.06, 0.72), "cream"),
        *both_sides(
            (capsule((0.07, top + 0.1, 0.38), (0.1, top + 0.28, 0.36), 0.045, 0.06, 8), SECOND),
            (oval(0.12, 0.06, 0.06, 8).turned(z=15).at(0.2, top + 0.08, 0.36), MAIN),
            *((oval(0.055, 0.11 * spot, 0.1 * spot, 10).at(x * 0.93, y, z), SECOND) for x, y, z in spots),
        ),
        (capsule((0, 0.08, -0.48), (0, -0.2, -0.58), 0.05, around=8), MAIN),
        (sphere(0.08, 8).at(0, -0.26, -0.58), SECOND),
        *legs(0.13, (0.16, -0.3), -0.05, -0.28 - 0.46 * leg, 0.085),
        *eyes(0.12, top + 0.1, 0.52, 0.05),
    ]
