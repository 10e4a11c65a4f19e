"""Vehicles on land; they drive towards +z."""

from __future__ import annotations

from ..kind import MAIN, SECOND, Part, both_sides, kind
from ..solids import arc, box, capsule, cylinder, dome, join, lathe, sphere, torus
from ..vary import Vary
from ._forms import hollow, profile, rounded, slab, tapered, wheels

GROUP = "vehicles"


@kind("car", GROUP, natural="red", roles=("top",))
def car(vary: Vary) -> list[Part]:
    """A body with a glass cabin, four wheels, lights."""
    long, roof, w = 1.36 * vary(0.9, 1.1), 0.42 * vary(0.89, 1.11), 0.68
    body = [(-0.5, -0.16), (0.5, -0.16), (0.5, 0.0), (0.47, 0.06), (0.24, 0.11), (-0.47, 0.12), (-0.5, 0.06)]
    cabin = [(0.25, 0.08), (0.1, roof), (-0.28, roof), (-0.42, 0.08)]
    lid = [(0.12, roof - 0.02), (0.09, roof + 0.04), (-0.27, roof + 0.04), (-0.3, roof - 0.02)]
    stretch = (1, 1, long)
    light = sphere(0.08, 10).at(0.22, 0.02, long / 2 - 0.02)
    lamp = box(0.14, 0.07, 0.04).at(0.22, 0.03, -long / 2)
    return [
        (profile(body, w).scaled(*stretch), MAIN),
        (profile(cabin, 0.56).scaled(*stretch), "glass"),
        (profile(lid, 0.6).scaled(*stretch), MAIN),
        (box(0.6, roof, 0.08).at(0, roof / 2, -0.09 * long), MAIN),
        (box(w - 0.1, 0.09, 0.08).at(0, -0.12, long / 2), "steel"),
        (box(w - 0.1, 0.09, 0.08).at(0, -0.12, -long / 2), "steel"),
        *both_sides((light, "yellow"), (lamp, "orange")),
        *wheels(0.2, 0.15, 0.31, -0.17, (0.29 * long, -0.29 * long)),
    ]


@kind("truck", GROUP, words=("lorry",), natural="blue", second="cab")
def truck(vary: Vary) -> list[Part]:
    """A cab in front of a tall cargo box."""
    long, tall = 0.86 * vary(0.87, 1.16), 0.66 * vary(0.87, 1.13)
    z = 0.2 + long / 2
    cab = profile([(-0.22, -0.24), (0.24, -0.24), (0.24, 0.06), (0.14, 0.34), (-0.22, 0.34)], 0.64)
    pane = profile([(-0.08, 0.08), (0.15, 0.08), (0.08, 0.27), (-0.08, 0.27)], 0.66)
    screen = box(0.5, 0.22, 0.04).turned(x=-20).at(0, 0.2, 0.2)
    return [
        (box(0.7, tall, long).at(0, tall / 2 - 0.2, -0.08), MAIN),
        (cab.at(0, 0, z), SECOND),
        (pane.at(0, 0, z), "glass"),
        (screen.at(0, 0, z), "glass"),
        (box(0.56, 0.12, long + 0.5).at(0, -0.24, 0.14), "dark"),
        (box(0.66, 0.1, 0.08).at(0, -0.22, z + 0.24), "steel"),
        *both_sides((sphere(0.07, 10).at(0.22, -0.1, z + 0.23), "yellow")),
        *wheels(0.19, 0.16, 0.29, -0.31, (0.05 - long / 2, 0.45 - long / 2, z)),
    ]


@kind("bus", GROUP, natural="yellow")
def bus(vary: Vary) -> list[Part]:
    """A long box with a row of windows, a door and a windscreen."""
    long, h, count = 1.5 * vary(0.9, 1.1), 0.62 * vary(0.89, 1.11), vary.pick((4, 5))
    pitch = (long - 0.16) / count
    panes = [box(0.66, 0.22, pitch - 0.08).at(0, 0.14, (k - (count - 1) / 2) * pitch) for k in range(count)]
    return [
        (profile(rounded(long, h, 0.1), 0.62), MAIN),
        *((pane, "glass") for pane in panes),
        (box(0.52, 0.28, 0.05).at(0, 0.1, long / 2), "glass"),
        (box(0.5, 0.2, 0.05).at(0, 0.12, -long / 2), "glass"),
        (box(0.65, 0.07, long - 0.2).at(0, -0.1, 0), "black"),
        (box(0.6, 0.09, 0.06).at(0, -h / 2 + 0.06, long / 2), "steel"),
        *both_sides((sphere(0.065, 10).at(0.21, -0.14, long / 2), "white")),
        *wheels(0.18, 0.14, 0.27, -h / 2, (0.3 * long, -0.3 * long)),
    ]


@kind(
    "train",
    GROUP,
    words=("locomotive", "steam engine"),
    natural="blue",
    second="wheels",
    second_natural="red",
)
def train(vary: Vary) -> list[Part]:
    """A steam engine: boiler, chimney, cab behind, big wheels."""
    r, long = 0.27 * vary(0.92, 1.13), 0.8 * vary(0.89, 1.11)
    front = long / 2 + 0.16
    chimney = lathe([(0, 0), (0.08, 0), (0.08, 0.2), (0.15, 0.34), (0.15, 0.4), (0, 0.4)])
    plow = tapered(slab([(-0.32, 0), (0.32, 0), (0.1, 0.22), (-0.1, 0.22)], 0.24), 1.0, 0.8)
    return [
        (cylinder(r, long, segments=22).turned(x=90).at(0, 0.08, front - long / 2), MAIN),
        (cylinder(0.75 * r, 0.06).turned(x=90).at(0, 0.08, front), "dark"),
        (sphere(0.08, 10).at(0, 0.08, front + 0.04), "yellow"),
        (box(0.56, 0.14, long + 0.5).at(0, -0.21, 0), "dark"),
        (box(0.64, 0.6, 0.44).at(0, 0.14, -0.4), MAIN),
        (box(0.66, 0.24, 0.22).at(0, 0.26, -0.4), "glass"),
        (box(0.76, 0.09, 0.56).at(0, 0.47, -0.4), MAIN),
        (chimney.at(0, 0.26, front - 0.16), "dark"),
        (dome(0.12, 0.14, 14).at(0, 0.08 + 0.9 * r, 0.1), "gold"),
        (plow.at(0, -0.28, front - 0.02), SECOND),
        *wheels(0.2, 0.12, 0.33, -0.28, (-0.42, -0.02), SECOND, "gold"),
        *wheels(0.15, 0.12, 0.33, -0.33, (0.34,), SECOND, "gold"),
    ]


@kind("tractor", GROUP, natural="green", second="hubs", second_natural="yellow")
def tractor(vary: Vary) -> list[Part]:
    """Huge rear wheels, a bonnet, a roof on posts, a pipe."""
    big = 0.36 * vary(0.92, 1.08)
    posts = [box(0.07, 0.5, 0.07).at(0.21, 0.38, z) for z in (-0.46, 0.0)]
    return [
        (profile([(-0.05, -0.2), (0.68, -0.2), (0.68, 0.12), (0.6, 0.2), (-0.05, 0.24)], 0.42), MAIN),
        (profile([(-0.56, -0.14), (0.06, -0.2), (0.06, 0.16), (-0.56, 0.16)], 0.46), MAIN),
        (box(0.34, 0.22, 0.04).at(0, -0.02, 0.68), "dark"),
        (box(0.58, 0.1, 0.68).at(0, 0.66, -0.23), MAIN),
        (profile(rounded(0.12, 0.3, 0.05), 0.3).at(0, 0.26, -0.4), "dark"),
        (cylinder(0.05, 0.36, segments=10).at(0, 0.34, 0.42), "dark"),
        *both_sides(*((post, MAIN) for post in posts)),
        *wheels(big, 0.2, 0.34, big - 0.5, (-0.3,), "black", SECOND),
        *wheels(0.21, 0.15, 0.3, -0.29, (0.5,), "black", SECOND),
    ]


@kind("bicycle", GROUP, words=("bike",), natural="red")
def bicycle(vary: Vary) -> list[Part]:
    """Two big wheels, a frame of thick tubes, saddle and handlebar."""
    r, apart = 0.33 * vary(0.92, 1.08), 0.46 * vary(0.92, 1.08)
    crank, seat, head = (0, -0.02, -0.06), (0, 0.46, -0.2), (0, 0.5, 0.3)
    back, front = (0, 0, -apart), (0, 0, apart)
    bars = ((crank, seat), (crank, head), (seat, head), (back, crank), (back, seat), (front, head))
    grip = capsule((0, 0.6, 0.27), (0.24, 0.63, 0.2), 0.055)
    tyre = torus(r, 0.052, 24, 6).turned(z=90)
    hub = cylinder(0.1, 0.13, segments=12).turned(z=90)
    return [
        *(
            (part.at(0, 0, z), paint)
            for z in (-apart, apart)
            for part, paint in ((tyre, "black"), (hub, "steel"))
        ),
        *((capsule(a, b, 0.075, around=8), MAIN) for a, b in bars),
        (capsule(head, (0, 0.6, 0.27), 0.06), MAIN),
        (cylinder(0.09, 0.1, segments=14).turned(z=90).at(*crank), "steel"),
        (sphere(1, 12).scaled(0.11, 0.06, 0.18).at(0, 0.54, -0.23), "brown"),
        *both_sides((grip, "dark")),
    ]


@kind("motorcycle", GROUP, words=("motorbike",), natural="red")
def motorcycle(vary: Vary) -> list[Part]:
    """Two fat wheels under fenders, tank, saddle, engine, handlebar."""
    r = 0.25 * vary(0.92, 1.08)
    tyre = join(torus(r - 0.08, 0.09, 20, 8).turned(z=90), cylinder(0.12, 0.16, segments=12).turned(z=90))
    fender = profile([*arc(r + 0.1, 10, 170, 9), *arc(r, 170, 10, 9)], 0.2)
    body = [
        (-0.62, 0.26),
        (-0.2, 0.12),
        (0.12, 0.12),
        (0.34, 0.3),
        (0.34, 0.44),
        (0.14, 0.52),
        (-0.1, 0.38),
        (-0.66, 0.4),
    ]
    rods = capsule((0.1, 0, 0.5), (0.08, 0.44, 0.3), 0.045)
    pipe = capsule((0.14, -0.1, 0.05), (0.15, -0.06, -0.6), 0.05, 0.075)
    grip = capsule((0.02, 0.48, 0.29), (0.28, 0.51, 0.2), 0.05)
    return [
        *((tyre.at(0, 0, z), "black") for z in (-0.46, 0.5)),
        *((fender.at(0, 0, z), MAIN) for z in (-0.46, 0.5)),
        (profile(body, 0.3), MAIN),
        (box(0.22, 0.26, 0.32).at(0, 0.04, 0.02), "steel"),
        (profile(rounded(0.46, 0.1, 0.045), 0.24).at(0, 0.43, -0.32), "dark"),
        (sphere(0.11, 12).at(0, 0.38, 0.38), "yellow"),
        *both_sides((rods, "steel"), (pipe, "steel"), (grip, "dark")),
    ]


@kind("tank", GROUP, natural="green")
def tank(vary: Vary) -> list[Part]:
    """Two tracks, a hull, a turret with a gun."""
    long, barrel = 1.1 * vary(0.9, 1.1), 0.72 * vary(0.89, 1.16)
    track = profile(rounded(long, 0.32, 0.15), 0.22).at(0.29, -0.24, 0)
    rollers = [
        cylinder(0.1, 0.25, segments=12).turned(z=90).at(0.29, -0.24, z * long)
        for z in (-0.35, -0.12, 0.12, 0.35)
    ]
    return [
        (
            profile(
                [
                    (-0.5 * long, -0.24),
                    (0.42 * long, -0.24),
                    (0.52 * long, -0.08),
                    (0.36 * long, 0.06),
                    (-0.5 * long, 0.06),
                ],
                0.62,
            ),
            MAIN,
        ),
        (tapered(slab(rounded(0.52, 0.56, 0.18), 0.24), 1.0, 0.78).at(0, 0.17, -0.06), MAIN),
        (capsule((0, 0.18, 0.1), (0, 0.2, 0.2 + barrel), 0.07), MAIN),
        (cylinder(0.12, 0.08).at(0, 0.31, -0.12), MAIN),
        *both_sides((track, "dark"), *((roller, "steel") for roller in rollers)),
    ]


@kind("wheelbarrow", GROUP, natural="red", roles=("holder",))
def wheelbarrow(vary: Vary) -> list[Part]:
    """A tray with one wheel in front and two handles behind."""
    w = 0.6 * vary(0.89, 1.11)
    tray = hollow([(0.6, -0.14), (1.0, 0.2)], 0.14, -0.04, 4).turned(y=45).scaled(0.75 * w, 1.0, 0.66)
    handle = capsule((0.14, -0.12, 0.42), (0.3, 0.06, -0.85), 0.055)
    leg = capsule((0.2, -0.05, -0.3), (0.22, -0.42, -0.32), 0.055)
    return [
        (tray, MAIN),
        (
            join(torus(0.15, 0.07, 20, 8).turned(z=90), cylinder(0.12, 0.1).turned(z=90)).at(0, -0.26, 0.5),
            "black",
        ),
        *both_sides(
            (handle, "brown"), (leg, "dark"), (capsule((0.14, -0.12, 0.3), (0.06, -0.26, 0.5), 0.045), "dark")
        ),
    ]


@kind("skateboard", GROUP, natural="purple", second="wheels", second_natural="yellow", roles=("base",))
def skateboard(vary: Vary) -> list[Part]:
    """A board with upturned ends on four wheels."""
    half = 0.46 * vary(0.9, 1.1)
    bend = [(-half - 0.3, 0.12), (-half, 0), (half, 0), (half + 0.3, 0.12)]
    board = profile([*((z, y + 0.05) for z, y in bend), *((z, y - 0.05) for z, y in bend[::-1])], 0.42)
    return [
        (board, MAIN),
        *((box(0.2, 0.14, 0.14).at(0, -0.1, z), "steel") for z in (-half + 0.05, half - 0.05)),
        *wheels(0.12, 0.12, 0.15, -0.18, (-half + 0.05, half - 0.05), SECOND),
    ]
