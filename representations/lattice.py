"""A regular lattice of cubes, and which of them a surface runs through.

Corner c of a cube lies at the offset (c & 1, c >> 1 & 1, c >> 2 & 1) in x, y, z, so that a corner's number is its
offset in binary. A signed distance is negative inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor

OFFSETS = tuple((c & 1, c >> 1 & 1, c >> 2 & 1) for c in range(8))
"""Corner -> its offset in x, y, z."""


@dataclass(frozen=True)
class Lattice:
    """The cube [-half, half]³ cut into `cells`³ cubes; points are numbered with x fastest.

    Args:
        cells: cubes along an edge, at least 1. half: half the edge, world units.
    """

    cells: int
    half: float

    @property
    def line(self) -> int:
        """Points along an edge."""
        return self.cells + 1

    @property
    def size(self) -> int:
        """Number of points, (cells + 1)³."""
        return self.line**3

    @property
    def cell(self) -> float:
        """Edge of a cube, world units."""
        return 2.0 * self.half / self.cells

    @property
    def strides(self) -> tuple[int, int, int]:
        """What is added to a point's number to go one step along x, y, z."""
        return 1, self.line, self.line**2

    def points(self, device: torch.device | None = None) -> Float[Tensor, "v 3"]:
        """(V, 3) positions of the points at rest."""
        axis = torch.linspace(-self.half, self.half, self.line, device=device)
        z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
        return torch.stack([x, y, z], dim=-1).reshape(-1, 3)

    def corners(self, cubes: Int[Tensor, " n"]) -> Int[Tensor, "n 8"]:
        """(N, 8) point numbers of the corners of cubes; a cube is numbered as the one of its corner 0."""
        steps = [sum(o * s for o, s in zip(offset, self.strides, strict=True)) for offset in OFFSETS]
        return cubes[:, None] + torch.tensor(steps, device=cubes.device)

    def place(self, cubes: Int[Tensor, " n"]) -> Int[Tensor, "n 3"]:
        """(N, 3) x, y, z of each cube's corner 0, counted in cells."""
        n = self.line
        return torch.stack([cubes % n, cubes // n % n, cubes // (n * n)], dim=1)


def crossed_cubes(sdf: Float[Tensor, " v"], lattice: Lattice) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """The cubes whose corners are not all on one side, in the order of their numbers.

    Returns:
        (N,) cubes, and (N,) codes: bit c is set where corner c is inside.
    """
    n, r = lattice.line, lattice.cells
    inside = (sdf.detach() < 0).reshape(n, n, n).to(torch.int16)
    code = torch.zeros(r, r, r, dtype=torch.int16, device=sdf.device)
    for corner, (x, y, z) in enumerate(OFFSETS):
        code += inside[z : z + r, y : y + r, x : x + r] << corner
    at = ((code > 0) & (code < 255)).nonzero()
    cubes = at @ torch.tensor(lattice.strides[::-1], device=sdf.device)
    return cubes, code[at[:, 0], at[:, 1], at[:, 2]].long()


def crossed_edges(sdf: Float[Tensor, " v"], lattice: Lattice) -> tuple[Int[Tensor, " e"], Int[Tensor, " e"]]:
    """Both ends of every lattice edge (along x, y or z) whose ends lie on two sides."""
    n = lattice.line
    inside = (sdf.detach() < 0).reshape(n, n, n)
    lows, highs = [], []
    for axis, stride in zip((2, 1, 0), lattice.strides, strict=True):
        first = inside.narrow(axis, 0, n - 1)
        at = (first != inside.narrow(axis, 1, n - 1)).nonzero()
        low = at @ torch.tensor(lattice.strides[::-1], device=sdf.device)
        lows.append(low)
        highs.append(low + stride)
    return torch.cat(lows), torch.cat(highs)


def edge_corners() -> list[tuple[int, int]]:
    """The twelve edges of a cube as corner pairs, low end first; edge 4 a + k runs along axis a.

    k is the offset of the edge across its axis in binary: of axes a + 1 and a + 2 (counted round).
    """
    edges = []
    for axis, high, low in product(range(3), (0, 1), (0, 1)):
        start = (low << (axis + 1) % 3) | (high << (axis + 2) % 3)
        edges.append((start, start | 1 << axis))
    return edges
