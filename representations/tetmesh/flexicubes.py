"""FlexiCubes: a dual surface whose vertices are placed by weights that learn.

"Flexible Isosurface Extraction for Gradient-Based Mesh Optimization", Shen, Munkberg, Hasselgren, Yin, Wang, Chen,
Gojcic, Fidler, Sharp and Gao, SIGGRAPH 2023, arXiv 2308.05371, §4.2 and §4.3. Per cube, with weights alpha (its
corners), beta (its edges) and gamma:

    u_e = (x_i s_j alpha_j - x_j s_i alpha_i) / (s_j alpha_j - s_i alpha_i)     on a crossed edge e = (i, j)
    v_d = sum_e beta_e u_e / sum_e beta_e                                       of each patch d of the cube
    every crossed lattice edge is a quad of the patches around it, split where gamma tells

Which edges make a patch follows from cube_cycles. The paper takes Dual Marching Cubes' (Nielson 2004) patches; where
two cubes share an ambiguous face and each runs through it with one patch, two quads would meet in one edge twice.
Here such a face is joined the flipped way on both sides: a cycle that is crossed over at two places falls into two,
and the surface is manifold.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..lattice import Lattice, crossed_cubes, edge_corners
from .cube_cycles import ambiguous_faces, cycle_table, face_edges
from .tetrahedra import zero_between


@dataclass(frozen=True)
class Weights:
    """The weights of all (cells + 1)³ cubes, in the order of their numbers (the last of a line is never used).

    Args:
        alpha: (V, 8) > 0 of the corners. beta: (V, 12) > 0 of the edges. gamma: (V,) > 0.
    """

    alpha: Float[Tensor, "v 8"]
    beta: Float[Tensor, "v 12"]
    gamma: Float[Tensor, " v"]


@dataclass(frozen=True)
class Dual:
    """A dual surface.

    Args:
        vertices: (M, 3). faces: (F, 3) int64, counter-clockwise seen from outside.
        deviation: (K,) | |v_d - u_e| - its mean over the patch |, of every crossed edge of every patch; world units.
    """

    vertices: Float[Tensor, "m 3"]
    faces: Int[Tensor, "f 3"]
    deviation: Float[Tensor, " k"]


def dual_surface(
    points: Float[Tensor, "v 3"],
    sdf: Float[Tensor, " v"],
    weights: Weights,
    lattice: Lattice,
    fans: bool = True,
) -> Dual:
    """The zero surface as a closed, oriented, manifold mesh; differentiable in points, distances and weights.

    A distance of exactly 0 counts as outside. No point on the lattice's border may be inside.

    Args:
        points: (V, 3) positions of the lattice's points, deformed or not. sdf: (V,) negative inside.
        fans: split quads in four around a middle point that gamma moves, as for training; else in two along the
            diagonal of the larger gamma.
    """
    cubes, code = crossed_cubes(sdf, lattice)
    cycles = cycle_table().to(sdf.device)[code, _flips(cubes, code, lattice)]
    first = torch.cumsum(cycles.amax(1) + 1, 0)
    first = torch.cat([first.new_zeros(1), first])
    row, edge = (cycles >= 0).nonzero(as_tuple=True)
    patch = first[row] + cycles[row, edge]
    ends = torch.tensor(edge_corners(), device=sdf.device)[edge]
    point = lattice.corners(cubes)[row[:, None], ends]
    scaled = sdf[point] * weights.alpha[cubes[row][:, None], ends]
    crossing = zero_between(points[point[:, 0]], points[point[:, 1]], scaled[:, 0], scaled[:, 1])
    beta = weights.beta[cubes[row], edge]
    count = int(first[-1])
    total = beta.new_zeros(count).index_add(0, patch, beta)
    vertices = crossing.new_zeros(count, 3).index_add(0, patch, beta[:, None] * crossing) / total[:, None]
    quads = _quads(point[:, 0], edge, patch, sdf, lattice)
    owner = torch.repeat_interleave(cubes, first.diff())
    vertices, faces = _split(vertices, quads, weights.gamma[owner], fans)
    return Dual(vertices, faces, _deviation(vertices[:count], crossing, patch))


def _flips(cubes: Int[Tensor, " n"], code: Int[Tensor, " n"], lattice: Lattice) -> Int[Tensor, " n"]:
    """A bit for each face of each cube that is joined the flipped way.

    Faces are gone through in six rounds, by axis and by even and odd place, so that no cube has two faces in one
    round. A flip splits a cycle and never merges two, hence no round undoes what one before it did.
    """
    flips = torch.zeros_like(code)
    ambiguous = ambiguous_faces().to(code.device)[code]
    place = lattice.place(cubes)
    for axis in range(3):
        for parity in range(2):
            near = (ambiguous[:, 2 * axis + 1] & (place[:, axis] % 2 == parity)).nonzero()[:, 0]
            # the cube beyond shares the face, which makes it a crossed one too
            far = torch.searchsorted(cubes, cubes[near] + lattice.strides[axis])
            both = _one_cycle(code, flips, near, 2 * axis + 1) & _one_cycle(code, flips, far, 2 * axis)
            flips[near[both]] |= 1 << (2 * axis + 1)
            flips[far[both]] |= 1 << (2 * axis)
    return flips


def _one_cycle(
    code: Int[Tensor, " n"], flips: Int[Tensor, " n"], rows: Int[Tensor, " m"], face: int
) -> Bool[Tensor, " m"]:
    """Whether all four edges of an ambiguous face belong to one cycle of each of those cubes."""
    cycles = cycle_table().to(code.device)[code[rows], flips[rows]][:, list(face_edges()[face])]
    return (cycles == cycles[:, :1]).all(1)


def _quads(
    low: Int[Tensor, " k"],
    edge: Int[Tensor, " k"],
    patch: Int[Tensor, " k"],
    sdf: Float[Tensor, " v"],
    lattice: Lattice,
) -> Int[Tensor, "q 4"]:
    """The four patches around each crossed lattice edge, counter-clockwise seen from outside.

    Args:
        low: point at the low end of each cube's crossed edge. edge: its number in the cube. patch: whose it is.
    """
    axis, across = edge // 4, edge % 4
    key, quad = torch.unique(low * 3 + axis, return_inverse=True)
    # seen from the axis' tip the cubes go round as the edge's offset in them does: 00, 10, 11, 01
    place = torch.tensor([0, 1, 3, 2], device=low.device)[across]
    quads = torch.empty(len(key), 4, dtype=torch.int64, device=low.device)
    quads[quad, place] = patch
    rising = sdf.detach()[key // 3] < 0
    return torch.where(rising[:, None], quads, quads.flip(1))


def _split(
    vertices: Float[Tensor, "m 3"], quads: Int[Tensor, "q 4"], gamma: Float[Tensor, " m"], fans: bool
) -> tuple[Float[Tensor, "n 3"], Int[Tensor, "f 3"]]:
    """Triangles of the quads: around the weighted mean of both diagonals' middles, or along the one of larger gamma."""
    a, b, c, d = quads.unbind(1)
    one, two = gamma[a] * gamma[c], gamma[b] * gamma[d]
    if not fans:
        along_ac = torch.stack([a, b, c, a, c, d], dim=1)
        along_bd = torch.stack([b, c, d, b, d, a], dim=1)
        return vertices, torch.where((one >= two)[:, None], along_ac, along_bd).reshape(-1, 3)
    middle = one[:, None] * (vertices[a] + vertices[c]) + two[:, None] * (vertices[b] + vertices[d])
    middle = middle / (2 * (one + two))[:, None]
    new = len(vertices) + torch.arange(len(quads), device=quads.device)
    faces = torch.stack([quads, quads.roll(-1, 1), new[:, None].expand(-1, 4)], dim=2)
    return torch.cat([vertices, middle]), faces.reshape(-1, 3)


def _deviation(
    vertices: Float[Tensor, "m 3"], crossing: Float[Tensor, "k 3"], patch: Int[Tensor, " k"]
) -> Float[Tensor, " k"]:
    """How far each crossing's distance to its patch's vertex is from the patch's mean."""
    # the small number keeps the root's slope finite where a vertex lies on a crossing
    distance = ((vertices[patch] - crossing).square().sum(1) + 1e-12).sqrt()
    count = torch.bincount(patch, minlength=len(vertices)).to(distance)
    mean = distance.new_zeros(len(vertices)).index_add(0, patch, distance) / count
    return (distance - mean[patch]).abs()
