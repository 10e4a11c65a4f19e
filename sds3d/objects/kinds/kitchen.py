"""Things of the kitchen: vessels and tableware."""

from __future__ import annotations

import numpy as np

from ..kind import MAIN, SECOND, Part, kind
from ..solids import arc, cylinder, lathe, sphere, tube
from ..vary import Vary

GROUP = "kitchen"


@kind("mug", GROUP, words=("cup",), natural="white", roles=("top", "holder"))
def mug(vary: Vary) -> list[Part]:
    """A hollow cylinder with a handle on its right."""
    r, h = 0.42 * vary(0.95, 1.05), 0.9 * vary(0.92, 1.08)
    inside = 0.86 * r
    body = lathe(
        [(0, -h / 2), (r, -h / 2), (r, h / 2), (inside, h / 2), (inside, 0.1 - h / 2), (0, 0.1 - h / 2)]
    )
    bow = arc(0.27, -90, 90)
    handle = tube(np.stack([0.9 * r + bow[:, 0], bow[:, 1], 0 * bow[:, 0]], axis=1), 0.065)
    return [(body, MAIN), (handle, MAIN)]


@kind("teapot", GROUP, natural="blue", second="lid")
def teapot(vary: Vary) -> list[Part]:
    """A round pot: spout on the right, handle on the left, lid with a knob."""
    bow = arc(0.28, 90, 270)
    handle = tube(np.stack([bow[:, 0] - 0.38, 0.93 * bow[:, 1], 0 * bow[:, 0]], axis=1), 0.055)
    spout = tube([(0.35, -0.12, 0), (0.6, 0.05, 0), (0.72 * vary(0.97, 1.05), 0.28, 0)], (0.12, 0.08, 0.06))
    return [
        (sphere(0.46).scaled(1, 0.85 * vary(0.95, 1.05), 1).at(0, -0.05), MAIN),
        (spout, MAIN),
        (handle, MAIN),
        (sphere(0.27, 12).scaled(1, 0.5, 1).at(0, 0.28), SECOND),
        (sphere(0.07, 8).at(0, 0.46), SECOND),
        (cylinder(0.3, 0.06).at(0, -0.43), MAIN),
    ]
