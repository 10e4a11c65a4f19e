"""Plain solids."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, Part, kind
from ..solids import box, capsule, cone, cylinder, disc_points, plate, pyramid, sphere, torus
from ..vary import Vary

GROUP = "solids"


@kind("cube", GROUP, words=("box",), fronted=False, roles=("top", "base"))
def cube(vary: Vary) -> list[Part]:
    """A cube."""
    return [(box(1, 1, 1), MAIN)]


@kind("sphere", GROUP, words=("ball",), fronted=False, roles=("top",))
def ball(vary: Vary) -> list[Part]:
    """A sphere."""
    return [(sphere(0.62, 24), MAIN)]


@kind("cylinder", GROUP, fronted=False, roles=("top", "base"))
def upright_cylinder(vary: Vary) -> list[Part]:
    """An upright cylinder."""
    return [(cylinder(0.42 * vary(0.9, 1.1), 1.15 * vary(0.9, 1.1), segments=24), MAIN)]


@kind("cone", GROUP, fronted=False, roles=("top",))
def upright_cone(vary: Vary) -> list[Part]:
    """An upright cone."""
    return [(cone(0.55 * vary(0.9, 1.1), 1.15 * vary(0.9, 1.1), 24), MAIN)]


@kind("pyramid", GROUP, fronted=False, roles=("top",))
def square_pyramid(vary: Vary) -> list[Part]:
    """A pyramid on a square."""
    return [(pyramid(1.15, 1.05 * vary(0.9, 1.1)), MAIN)]


@kind("torus", GROUP, words=("ring",), fronted=False, roles=("top",))
def lying_torus(vary: Vary) -> list[Part]:
    """A lying torus."""
    return [(torus(0.5, 0.2 * vary(0.9, 1.1)), MAIN)]


@kind("capsule", GROUP, words=("pill",), fronted=False)
def upright_capsule(vary: Vary) -> list[Part]:
    """An upright rod with round ends."""
    half = 0.33
    return [(capsule((0, -half, 0), (0, half, 0), 0.33 * vary(0.9, 1.1), around=18), MAIN)]


@kind("star", GROUP, natural="yellow", roles=("top",))
def five_pointed_star(vary: Vary) -> list[Part]:
    """A thick star with five points, upright."""
    points = disc_points(1.0, 10)
    points *= np.where(np.arange(10) % 2 == 0, 0.72, 0.3 * vary(0.95, 1.1))[:, None]
    return [(plate(points, 0.26 * vary(0.9, 1.2)), MAIN)]


@kind("heart", GROUP, natural="red", roles=("top",))
def upright_heart(vary: Vary) -> list[Part]:
    """A thick heart, upright."""
    t = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return [(plate(np.stack([x, y], axis=1) / 25, 0.34 * vary(0.9, 1.2)), MAIN)]
