"""Where an edit may change things, in the file's own units and names.

    box:x0,y0,z0,x1,y1,z1    sphere:x,y,z,r    material:NAME    part:NAME    colour:RRGGBB or colour:RRGGBB,0.2
    mask:FILE.png@azimuth,elevation    text:WORDS    auto    and any of them joined: part:body & colour:c01020

Names may be patterns such as wheel*. A colour takes what is about as red, green and blue (sRGB in [0, 1]; by default
0.25 apart at most). A mask is a picture painted over that view of the object, white where changes are allowed; several
of one selector, with ; between, vote (see Ballot). text: and auto are what the prior finds: the words in what the
object shows now, and what the edit's two sentences disagree about. Several selectors are one region, all that any of
them holds; without any, everything may change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sds3d.config.suggest import nearest
from sds3d.core.cameras import Cameras

FORMS: Mapping[str, str] = MappingProxyType(
    {
        "box": "box:x0,y0,z0,x1,y1,z1",
        "sphere": "sphere:x,y,z,r",
        "material": "material:NAME",
        "part": "part:NAME",
        "colour": "colour:RRGGBB",
        "mask": "mask:FILE.png@azimuth,elevation",
        "text": "text:WORDS",
        "auto": "auto",
    }
)
"""First word of a selector -> how it is written."""
TOLERANCE = 0.25
"""How far a colour may lie from the one that is named, sRGB, where nothing is said."""
SEEN = 0.1
"""Share of what the best view shows of an element from which another sees it too."""


@dataclass(frozen=True)
class Asked:
    """Rows that are asked whether they may change.

    Args:
        points: (N, 3) in the file's space. colors: (N, 3) sRGB, or None where they have none of their own.
        part, material: names of what they belong to, or None.
        elements: which of the asset's elements they are: the name of these and (N,) numbers, as in a Ballot's.
    """

    points: Float[Tensor, "n 3"]
    colors: Float[Tensor, "n 3"] | None = None
    part: str | None = None
    material: str | None = None
    elements: tuple[str, Int[Tensor, " n"]] | None = None


Elements = Mapping[str, Bool[Tensor, " n"]]
"""Name of a set of elements, such as "splats", "vertices" or "texels0" -> which of them."""


@dataclass(frozen=True)
class Ballot:
    """What B views say of N elements of an asset: splats, vertices or texels.

    Args:
        values: (B, N) mean over what a view shows of the element, in [0, 1]. shares: (B, N) how much it shows of it.
    """

    values: Float[Tensor, "b n"]
    shares: Float[Tensor, "b n"]

    def seen(self) -> Bool[Tensor, "b n"]:
        """Which views see which elements: those that show at least a tenth as much of it as the best of them."""
        most = self.shares.amax(0, keepdim=True)
        return (self.shares > SEEN * most) & (most > 0)

    def mean(self) -> Float[Tensor, " n"]:
        """(N,) mean value over the views that see an element; 0 where none does."""
        seen = self.seen()
        return (self.values * seen).sum(0) / seen.sum(0).clamp_min(1)

    def majority(self) -> Bool[Tensor, " n"]:
        """(N,) elements of which more than half of the views that see them say more than one half; a tie is a no."""
        seen = self.seen()
        return 2 * ((self.values > 0.5) & seen).sum(0) > seen.sum(0)


Test = Callable[[Asked], Bool[Tensor, " n"]]
"""(N,) which of the rows are inside."""


@dataclass(frozen=True)
class View:
    """A painted mask of a `mask:` selector: its file, and where the camera stands, degrees."""

    file: str
    azimuth_deg: float
    elevation_deg: float


class Vote(Protocol):
    """Asks views of an asset about its elements."""

    def __call__(self, cameras: Cameras, maps: Float[Tensor, "b h w"]) -> Mapping[str, Ballot]:
        """What each view's map says of every element, by the name of the set."""
        ...


Told = Callable[[str], Elements | None]
"""A selector that pictures tell, `is_told`, -> the elements it holds; None: not looked for yet, all count."""


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


def atoms(selectors: Sequence[str]) -> list[str]:
    """The parts of selectors that `&` joins, each once."""
    return list(dict.fromkeys(t.strip() for selector in selectors for t in selector.split("&")))


def is_told(atom: str) -> bool:
    """Whether a part of a selector speaks of what pictures tell: mask:, text: or auto."""
    kind, _, body = atom.partition(":")
    return atom == "auto" or (kind in ("mask", "text") and bool(body.strip()))


def well_formed(selector: str) -> str:
    """The selector itself, whose form is right; neither files nor priors are asked.

    Raises:
        ValueError: it has none of the forms; the text says which are expected.
    """
    parse_region([selector], lambda atom: None)
    for atom in atoms([selector]):
        if atom.startswith("mask:"):
            views_of(atom)
    return selector


def parse_region(selectors: Sequence[str], told: Told) -> Region:
    """The region of a list of selectors; see the module docstring.

    Raises:
        ValueError: a selector has not one of the forms; the text says which and what is expected.
    """
    return Region(tuple(tuple(_test(t.strip(), told) for t in selector.split("&")) for selector in selectors))


def _test(text: str, told: Told) -> Test:
    kind, _, body = text.partition(":")
    body = body.strip()
    if kind in ("material", "part") and body:
        return lambda asked: torch.full((len(asked.points),), _matches(getattr(asked, kind), body))
    if kind == "box":
        return _box(_numbers(text, body, 6))
    if kind == "sphere":
        return _sphere(_numbers(text, body, 4))
    if kind in ("colour", "color") and body:
        return _colour(text, body)
    if is_told(text):
        return _among(told(text))
    close = None if kind in FORMS else nearest(kind, FORMS)
    raise ValueError(
        f"{text!r} is no region: write {', '.join([*FORMS.values()][:-1])} or auto"
        + (f". Did you mean {FORMS[close]}?" if close else "")
    )


def views_of(atom: str) -> list[View]:
    """The painted masks of a `mask:` selector.

    Raises:
        ValueError: it has not that form.
    """
    out = []
    for one in atom.partition(":")[2].split(";"):
        file, at, place = one.strip().rpartition("@")
        if not at or not file:
            raise ValueError(
                f"{atom!r}: a mask says over which view it is painted: mask:FILE.png@azimuth,elevation"
            )
        azimuth, elevation = _numbers(atom, place, 2)
        out.append(View(file, azimuth, elevation))
    return out


def _among(chosen: Elements | None) -> Test:
    def inside(asked: Asked) -> Tensor:
        if chosen is None:
            return torch.ones(len(asked.points), dtype=torch.bool)
        if asked.elements is None:
            raise ValueError("rows that are no elements of an asset have no picture")
        name, rows = asked.elements
        return chosen[name][rows]

    return inside


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
