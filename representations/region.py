"""Where an edit may change things, in the file's own units and names.

    box:x0,y0,z0,x1,y1,z1    sphere:x,y,z,r    material:NAME    part:NAME    colour:RRGGBB or colour:RRGGBB,0.2
    mask:FILE.png@azimuth,elevation    and any of them joined: part:body & colour:c01020

Names may be patterns such as wheel*. A colour takes what is about as red, green and blue (sRGB in [0, 1]; by default
0.25 apart at most). A mask is a picture painted over that view of the object, white where changes are allowed; see
painted_mask. Several selectors are one region, all that any of them holds; without any, everything may change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

TOLERANCE = 0.25
"""How far a colour may lie from the one that is named, sRGB, where nothing is said."""


@dataclass(frozen=True)
class Asked:
    """Rows that are asked whether they may change.

    Args:
        points: (N, 3) in the file's space. colors: (N, 3) sRGB, or None where they have none of their own.
        part, material: names of what they belong to, or None.
    """

    points: Float[Tensor, "n 3"]
    colors: Float[Tensor, "n 3"] | None = None
    part: str | None = None
    material: str | None = None


Test = Callable[[Asked], Bool[Tensor, " n"]]
"""(N,) which of the rows are inside."""


@dataclass(frozen=True)
class View:
    """A painted mask of a `mask:` selector: its file, and where the camera stands, degrees."""

    file: str
    azimuth_deg: float
    elevation_deg: float


class Lift(Protocol):
    """Makes a test of points out of a painted mask."""

    def __call__(self, view: View) -> Test:
        """The test; AssetError or ConfigError where the picture cannot be used."""
        ...


@dataclass(frozen=True)
class Region:
    """What may change: rows for which all tests of any of `choices` hold; everything where there are none."""

    choices: tuple[tuple[Test, ...], ...] = ()

    def holds(self, asked: Asked) -> Bool[Tensor, " n"]:
        """(N,) which rows may change."""
        count = len(asked.points)
        found = torch.full((count,), not self.choices)
        for tests in self.choices:
            inside = torch.ones(count, dtype=torch.bool)
            for test in tests:
                inside &= test(asked)
            found |= inside
        return found


def parse_region(selectors: Sequence[str], lift: Lift) -> Region:
    """The region of a list of selectors; see the module docstring.

    Raises:
        ValueError: a selector has not one of the forms; the text says which and what is expected.
    """
    return Region(tuple(tuple(_test(t.strip(), lift) for t in selector.split("&")) for selector in selectors))


def _test(text: str, lift: Lift) -> Test:
    kind, _, body = text.partition(":")
    body = body.strip()
    if kind in _NAMED and body:
        return lambda asked: torch.full((len(asked.points),), _matches(getattr(asked, _NAMED[kind]), body))
    if kind == "box":
        return _box(_numbers(text, body, 6))
    if kind == "sphere":
        return _sphere(_numbers(text, body, 4))
    if kind in ("colour", "color") and body:
        return _colour(text, body)
    if kind == "mask" and "@" in body:
        file, _, place = body.rpartition("@")
        azimuth, elevation = _numbers(text, place, 2)
        return lift(View(file, azimuth, elevation))
    raise ValueError(
        f"{text!r} is no region: write box:x0,y0,z0,x1,y1,z1, sphere:x,y,z,r, material:NAME, part:NAME, colour:RRGGBB "
        "or mask:FILE.png@azimuth,elevation"
    )


_NAMED: Mapping[str, str] = {"material": "material", "part": "part"}


def _matches(name: str | None, pattern: str) -> bool:
    return name is not None and fnmatchcase(name.lower(), pattern.lower())


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

    def inside(asked: Asked) -> Tensor:
        points = asked.points.double()
        return ((points >= low) & (points <= high)).all(1)

    return inside


def _sphere(values: list[float]) -> Test:
    centre = torch.tensor(values[:3], dtype=torch.float64)
    return lambda asked: (asked.points.double() - centre).norm(dim=1) <= values[3]


def _colour(selector: str, body: str) -> Test:
    word, _, rest = body.partition(",")
    word = word.strip().lstrip("#")
    if len(word) != 6 or any(c not in "0123456789abcdefABCDEF" for c in word):
        raise ValueError(f"{selector!r}: a colour is six hexadecimal digits, such as c01020")
    tolerance = _numbers(selector, rest, 1)[0] if rest else TOLERANCE
    middle = torch.tensor([int(word[k : k + 2], 16) / 255 for k in (0, 2, 4)])

    def near(asked: Asked) -> Tensor:
        if asked.colors is None:
            return torch.zeros(len(asked.points), dtype=torch.bool)
        return (asked.colors.float() - middle).norm(dim=1) <= tolerance

    return near
