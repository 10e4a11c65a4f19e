"""Marching tetrahedra: the surface where a signed distance on lattice points is zero.

"Deep Marching Tetrahedra: a Hybrid Representation for High-Resolution 3D Shape Synthesis", Shen, Gao, Yin, Liu and
Fidler, NeurIPS 2021, arXiv 2111.04276, §3.1.2: on an edge with ends a, b of different sign the vertex lies at

    v = (x_a s_b - x_b s_a) / (s_b - s_a)

Each cube is cut into six tetrahedra, one for each order in which the axes can be walked from corner 0 to corner 7
(Kuhn's subdivision). Neighbouring cubes cut their common square along the same diagonal, so that the tetrahedra fit.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations, permutations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..lattice import OFFSETS, Lattice, crossed_cubes

EDGES = tuple(combinations(range(4), 2))
"""The six edges of a tetrahedron as pairs of its corners."""


@cache
def kuhn() -> Int[Tensor, "6 4"]:
    """(6, 4) cube corners of the tetrahedra, each turned so that det(b - a, c - a, d - a) > 0."""
    tetrahedra = []
    for order in permutations(range(3)):
        path = [0]
        for axis in order:
            path.append(path[-1] | 1 << axis)
        position = torch.tensor([OFFSETS[c] for c in path], dtype=torch.float64)
        if torch.linalg.det(position[1:] - position[0]) < 0:
            path[1], path[2] = path[2], path[1]
        tetrahedra.append(path)
    return torch.tensor(tetrahedra)


@cache
def triangle_table() -> Int[Tensor, "16 2 3"]:
    """(16, 2, 3) edges of EDGES that a case's triangles have their vertices on; -1 for no triangle.

    Bit i of a case is set where corner i is inside. One corner apart from the three others is cut off by a triangle
    through its three edges; two apart from two by a quadrilateral, whose corners go round as the pairs
    (a, c), (a, d), (b, d), (b, c) do: each shares an end with the next. Which way round is outward is read off a
    sample tetrahedron: the normal points from the inside corners' mean to the outside corners' mean.
    """
    sample = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    table = torch.full((16, 2, 3), -1)
    for case in range(1, 15):
        inside = [i for i in range(4) if case >> i & 1]
        outside = [i for i in range(4) if not case >> i & 1]
        if len(inside) == 2:
            (a, b), (c, d) = inside, outside
            ring = [(a, c), (a, d), (b, d), (b, c)]
        else:
            ring = [(i, o) for i in inside for o in outside]
        middle = torch.stack([(sample[i] + sample[o]) / 2 for i, o in ring])
        normal = torch.linalg.cross(middle[1] - middle[0], middle[2] - middle[0])
        if torch.dot(normal, sample[outside].mean(0) - sample[inside].mean(0)) < 0:
            ring.reverse()
        edge = [EDGES.index((min(pair), max(pair))) for pair in ring]
        table[case, 0] = torch.tensor(edge[:3])
        if len(edge) == 4:
            table[case, 1] = torch.tensor([edge[0], edge[2], edge[3]])
    return table


def march_tetrahedra(
    points: Float[Tensor, "v 3"], sdf: Float[Tensor, " v"], lattice: Lattice
) -> tuple[Float[Tensor, "m 3"], Int[Tensor, "f 3"]]:
    """The zero surface as a closed, oriented, manifold mesh; differentiable in points and distances.

    A distance of exactly 0 counts as outside. The surface is closed where no point on the lattice's border is inside.

    Args:
        points: (V, 3) positions of the lattice's points, deformed or not. sdf: (V,) negative inside.

    Returns:
        (M, 3) vertices and (F, 3) int64 faces, counter-clockwise seen from outside.
    """
    cubes, _ = crossed_cubes(sdf, lattice)
    tetrahedra = lattice.corners(cubes)[:, kuhn().to(sdf.device)].reshape(-1, 4)
    bits = torch.tensor([1, 2, 4, 8], device=sdf.device)
    case = ((sdf.detach() < 0)[tetrahedra] * bits).sum(1)
    on_edge = triangle_table().to(sdf.device)[case]
    which, number = (on_edge[:, :, 0] >= 0).nonzero(as_tuple=True)
    ends = torch.tensor(EDGES, device=sdf.device)[on_edge[which, number]]
    ends = tetrahedra[which[:, None, None], ends].sort(dim=2).values
    # an edge is known by its two points, whichever tetrahedron it is seen from
    key, faces = torch.unique(ends[..., 0] * lattice.size + ends[..., 1], return_inverse=True)
    a, b = key // lattice.size, key % lattice.size
    return zero_between(points[a], points[b], sdf[a], sdf[b]), faces


def zero_between(
    a: Float[Tensor, "m 3"], b: Float[Tensor, "m 3"], sdf_a: Float[Tensor, " m"], sdf_b: Float[Tensor, " m"]
) -> Float[Tensor, "m 3"]:
    """Where a distance that is linear between two points of different sign is zero."""
    share = (sdf_a / (sdf_a - sdf_b))[:, None]
    return a + share * (b - a)
