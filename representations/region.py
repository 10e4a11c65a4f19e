"""Where an edit may change things: boxes and spheres in the file's own units, materials and parts by their names.

    box:x0,y0,z0,x1,y1,z1   sphere:x,y,z,r   material:NAME   part:NAME

Several selectors are one region, all that any of them holds; without any, everything may change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Test = Callable[[Float[Tensor, "n 3"]], Bool[Tensor, " n"]]
"""Whether points, in the file's space, float64, are inside."""


@dataclass(frozen=True)
class Region:
    """What may change.

    Args:
        places: tests of points. materials, parts: names, or patterns such as wheel*. everything: no selector was given.
    """

    places: tuple[Test, ...] = ()
    materials: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    everything: bool = True

    def holds(
        self, points: Float[Tensor, "n 3"], part: str | None = None, material: str | None = None
    ) -> Bool[Tensor, " n"]:
        """Whether points in the file's space, of a part of that name and material, may change."""
        named = _matches(part, self.parts) or _matches(material, self.materials)
        found = torch.full((len(points),), self.everything or named)
        for test in self.places:
            found |= test(points.double().cpu())
        return found


def _matches(name: str | None, patterns: tuple[str, ...]) -> bool:
    return name is not None and any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def parse_region(selectors: Sequence[str], lifted: Sequence[Test] = ()) -> Region:
    """The region of a list of selectors; see the module docstring.

    Args:
        lifted: further tests, such as painted masks.

    Raises:
        ValueError: a selector has not one of the forms; the text says which and what is expected.
    """
    places, names = list(lifted), {"material": list[str](), "part": list[str]()}
    for selector in selectors:
        kind, _, body = selector.partition(":")
        if kind in names and body.strip():
            names[kind].append(body.strip())
        elif kind in _SHAPES:
            places.append(_SHAPES[kind](_numbers(selector, body, _COUNTS[kind])))
        else:
            raise ValueError(
                f"{selector!r} is no region: write box:x0,y0,z0,x1,y1,z1, sphere:x,y,z,r, material:NAME or part:NAME"
            )
    return Region(tuple(places), tuple(names["material"]), tuple(names["part"]), not selectors and not lifted)


def _numbers(selector: str, body: str, count: int) -> list[float]:
    try:
        values = [float(word) for word in body.split(",")]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise ValueError(f"{selector!r}: expected {count} numbers with commas between")
    return values


def _box(values: list[float]) -> Test:
    ends = torch.tensor(values, dtype=torch.float64).reshape(2, 3)
    low, high = ends.amin(0), ends.amax(0)
    return lambda points: ((points >= low) & (points <= high)).all(1)


def _sphere(values: list[float]) -> Test:
    centre = torch.tensor(values[:3], dtype=torch.float64)
    return partial(_near, centre=centre, radius=values[3])


def _near(points: Tensor, centre: Tensor, radius: float) -> Tensor:
    return (points - centre).norm(dim=1) <= radius


_SHAPES = {"box": _box, "sphere": _sphere}
_COUNTS = {"box": 6, "sphere": 4}
