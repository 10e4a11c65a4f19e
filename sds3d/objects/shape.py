"""An object that is put together: triangles with paints, scaled into its ball, and the mesh of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..core.assets import Mesh
from ..core.streams import Streams
from .colours import FIXED
from .kind import MAIN, SECOND, Kind, Part
from .vary import Vary

BALL_RADIUS = 0.75
"""An object fills a ball of this radius about the origin; the world's own limit is 0.8."""


@dataclass(frozen=True)
class Shape:
    """Triangles with paints.

    Args:
        triangles, normals: (F, 3, 3) corners and their unit normals.
        paint: (F,) index into `paints`; paints: "main", "second", … or a fixed colour's name.
    """

    triangles: np.ndarray
    normals: np.ndarray
    paint: np.ndarray
    paints: tuple[str, ...]

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """(3,) low and high corners."""
        points = self.triangles.reshape(-1, 3)
        return points.min(0), points.max(0)

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Shape:
        """The shape elsewhere."""
        return replace(self, triangles=self.triangles + np.array([x, y, z]))

    def scaled(self, factor: float) -> Shape:
        """The shape larger or smaller."""
        return replace(self, triangles=self.triangles * factor)

    def repainted(self, names: Mapping[str, str]) -> Shape:
        """Paints renamed; those not named stay."""
        return replace(self, paints=tuple(names.get(paint, paint) for paint in self.paints))

    def fitted(self, radius: float = BALL_RADIUS) -> Shape:
        """Centred by its box and scaled so that its farthest point lies at `radius`."""
        low, high = self.bounds()
        centred = self.moved(*(-(low + high) / 2))
        return centred.scaled(radius / np.linalg.norm(centred.triangles.reshape(-1, 3), axis=1).max())

    def mesh(self, colours: Mapping[str, Sequence[float]], name: str = "object") -> Mesh:
        """A mesh with vertex colours, corner by corner so that creases stay sharp.

        Args:
            colours: sRGB of "main", "second" … ; fixed paints have their own.
        """
        table = np.array([colours.get(paint, FIXED.get(paint, (0.7, 0.7, 0.7))) for paint in self.paints])
        count = 3 * len(self.triangles)
        return Mesh(
            vertices=torch.from_numpy(self.triangles.reshape(-1, 3)).float(),
            faces=torch.arange(count).reshape(-1, 3),
            colors=torch.from_numpy(np.repeat(table[self.paint], 3, axis=0)).float(),
            normals=torch.from_numpy(self.normals.reshape(-1, 3).copy()).float(),
            name=name,
        )


def join(*shapes: Shape) -> Shape:
    """Several shapes as one."""
    paints = tuple(dict.fromkeys(paint for shape in shapes for paint in shape.paints))
    index = {paint: i for i, paint in enumerate(paints)}
    return Shape(
        np.concatenate([s.triangles for s in shapes]),
        np.concatenate([s.normals for s in shapes]),
        np.concatenate([np.array([index[p] for p in s.paints])[s.paint] for s in shapes]),
        paints,
    )


def from_parts(parts: Sequence[Part]) -> Shape:
    """The parts of a kind's function as one shape, unscaled."""
    return join(
        *(
            Shape(solid.triangles, solid.normals, np.zeros(len(solid.triangles), dtype=int), (paint,))
            for solid, paint in parts
        )
    )


def build(kind: Kind, streams: Streams | None = None, number: int = 0) -> Shape:
    """One build of a kind, in its ball.

    Args:
        streams: random streams, or None for the typical shape, which results are compared with.
        number: the build's number.
    """
    return from_parts(kind.build(Vary(streams, kind.name, number))).fitted()


def natural_colours(kind: Kind) -> dict[str, tuple[float, float, float]]:
    """sRGB of "main" and "second" where a caption names no colour."""
    return {MAIN: FIXED[kind.natural or "gray"], SECOND: FIXED[kind.second_natural]}
