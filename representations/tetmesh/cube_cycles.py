"""How a surface crosses a cube: the cycles that it draws on the cube's edges, for every sign of the corners.

On each face of the cube the surface joins crossed edges in pairs. A face with two crossed edges joins these. A face
with four, whose inside corners lie on a diagonal, is ambiguous: either each inside corner is cut off by itself (the
usual way), or each outside corner is (the flipped way). Joined edges form cycles, and every cycle is one patch of the
surface inside the cube. Two cubes agree on their common face as long as they join it the same way.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ..lattice import edge_corners


def face_corners() -> list[tuple[int, int, int, int]]:
    """Corners of the six faces in going round; face 2 a + s lies across axis a, at its low (0) or high (1) end."""
    faces = []
    for axis in range(3):
        b, c = 1 << (axis + 1) % 3, 1 << (axis + 2) % 3
        faces += [(start, start | b, start | b | c, start | c) for start in (0, 1 << axis)]
    return faces


def face_edges() -> list[tuple[int, int, int, int]]:
    """Edges of the six faces; edge i of a face lies between its corners i and i + 1."""
    number = {frozenset(ends): k for k, ends in enumerate(edge_corners())}
    return [
        tuple(number[frozenset((corners[i], corners[(i + 1) % 4]))] for i in range(4))  # type: ignore[misc]
        for corners in face_corners()
    ]


def _is_ambiguous(code: int, corners: tuple[int, ...]) -> bool:
    a, b, c, d = (code >> corner & 1 for corner in corners)
    return a == c != b == d


def _cycles(code: int, flips: int) -> list[int]:
    """The cycle that each of the twelve edges belongs to, numbered from 0 in the order of edges; -1: not crossed."""
    crossed = [code >> a & 1 != code >> b & 1 for a, b in edge_corners()]
    group = list(range(12))
    for face, (corners, edges) in enumerate(zip(face_corners(), face_edges(), strict=True)):
        if _is_ambiguous(code, corners):
            # edges i - 1 and i meet in corner i
            cut = [i for i in range(4) if (code >> corners[i] & 1) != (flips >> face & 1)]
            pairs = [(edges[i - 1], edges[i]) for i in cut]
        else:
            met = [edge for edge in edges if crossed[edge]]
            pairs = [(met[0], met[1])] if met else []
        for first, second in pairs:
            old, new = group[second], group[first]
            group = [new if g == old else g for g in group]
    names = list(dict.fromkeys(group[edge] for edge in range(12) if crossed[edge]))
    return [names.index(group[edge]) if crossed[edge] else -1 for edge in range(12)]


@cache
def ambiguous_faces() -> Bool[Tensor, "256 6"]:
    """(256, 6) whether a face is ambiguous, by the corners' code."""
    return torch.tensor([[_is_ambiguous(code, c) for c in face_corners()] for code in range(256)])


@cache
def cycle_table() -> Int[Tensor, "256 64 12"]:
    """(256, 64, 12) the cycle of each edge, by the corners' code and a bit for each face joined the flipped way.

    Bits of faces that are not ambiguous make no difference. -1 for edges that are not crossed.
    """
    table = torch.full((256, 64, 12), -1)
    every = torch.arange(64)
    for code in range(256):
        open_faces = ambiguous_faces()[code].nonzero()[:, 0].tolist()
        mask = sum(1 << face for face in open_faces)
        for count in range(len(open_faces) + 1):
            for chosen in combinations(open_faces, count):
                flips = sum(1 << face for face in chosen)
                table[code, (every & mask) == flips] = torch.tensor(_cycles(code, flips))
    return table
