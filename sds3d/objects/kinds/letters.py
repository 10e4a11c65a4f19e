"""A few bold letters, upright, to be read from +z."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..kind import MAIN, Kind, Part, kind
from ..solids import Solid, plate, torus
from ..vary import Vary

GROUP = "letters"

Stroke = tuple[float, float, float, float]
"""A stroke from (x0, y0) to (x1, y1) of its middle line, in a box from (-1, -1) to (1, 1)."""

_STROKES: dict[str, Sequence[Stroke]] = {
    "a": ((-1, -1, 0, 1), (1, -1, 0, 1), (-0.6, -0.42, 0.6, -0.42)),
    "e": ((-1, -1, -1, 1), (-1, 1, 1, 1), (-1, 0, 0.7, 0), (-1, -1, 1, -1)),
    "h": ((-1, -1, -1, 1), (1, -1, 1, 1), (-1, 0, 1, 0)),
    "l": ((-1, -1, -1, 1), (-1, -1, 1, -1)),
    "m": ((-1, -1, -1, 1), (1, -1, 1, 1), (-1, 1, 0, -0.3), (1, 1, 0, -0.3)),
    "t": ((0, -1, 0, 1), (-1, 1, 1, 1)),
    "x": ((-1, -1, 1, 1), (-1, 1, 1, -1)),
    "z": ((-1, 1, 1, 1), (1, 1, -1, -1), (-1, -1, 1, -1)),
}


def _stroke(start: np.ndarray, end: np.ndarray, thick: float, depth: float) -> Solid:
    """A bar that reaches half its thickness beyond the points; one that leans has level ends."""
    (x0, y0), (x1, y1) = sorted((start, end), key=lambda point: point[1])
    half = thick / 2
    if y0 == y1:
        low, high = min(x0, x1) - half, max(x0, x1) + half
        return plate([(low, y0 - half), (high, y0 - half), (high, y0 + half), (low, y0 + half)], depth)
    return plate(
        [(x0 - half, y0 - half), (x0 + half, y0 - half), (x1 + half, y1 + half), (x1 - half, y1 + half)],
        depth,
    )


def _letter(strokes: Sequence[Stroke]) -> Callable[[Vary], list[Part]]:
    def build(vary: Vary) -> list[Part]:
        half = np.array([0.4 * vary(0.87, 1.13), 0.5 * vary(0.92, 1.08)])
        thick, depth = 0.24 * vary(0.84, 1.19), 0.32 * vary(0.85, 1.15)
        bars = [(np.array(s[:2]) * half, np.array(s[2:]) * half) for s in strokes]
        return [(_stroke(start, end, thick, depth), MAIN) for start, end in bars]

    build.__doc__ = "Bars of one thickness."
    return build


letter_a: Kind = kind("letter a", GROUP)(_letter(_STROKES["a"]))
letter_e: Kind = kind("letter e", GROUP)(_letter(_STROKES["e"]))
letter_h: Kind = kind("letter h", GROUP)(_letter(_STROKES["h"]))
letter_l: Kind = kind("letter l", GROUP)(_letter(_STROKES["l"]))
letter_m: Kind = kind("letter m", GROUP)(_letter(_STROKES["m"]))
letter_t: Kind = kind("letter t", GROUP)(_letter(_STROKES["t"]))
letter_x: Kind = kind("letter x", GROUP)(_letter(_STROKES["x"]))
letter_z: Kind = kind("letter z", GROUP)(_letter(_STROKES["z"]))


@kind("letter o", GROUP)
def letter_o(vary: Vary) -> list[Part]:
    """A thick upright oval ring."""
    ring = torus(0.44, 0.15 * vary(0.84, 1.19), 26, 12).turned(x=90)
    return [(ring.scaled(0.86 * vary(0.9, 1.1), 1.1, 1.15), MAIN)]
