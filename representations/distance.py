"""Signed distances on a lattice's points: of a ball, of a box, of a mesh. Negative inside."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sds3d.core.assets import Mesh

from .lattice import Lattice
from .surface_samples import Samples

NEAREST = 4
"""Faces whose exact distance is taken for each point: those of the nearest samples."""


def ball(points: Float[Tensor, "n 3"], radius: float) -> Float[Tensor, " n"]:
    """Distance to a sphere around the origin."""
    return points.norm(dim=1) - radius


def box(points: Float[Tensor, "n 3"], half: tuple[float, float, float]) -> Float[Tensor, " n"]:
    """Distance to an axis-aligned box around the origin, given half its edges."""
    away = points.abs() - points.new_tensor(half)
    return away.clamp_min(0.0).norm(dim=1) + away.amax(1).clamp_max(0.0)


def of_mesh(mesh: Mesh, samples: Samples, lattice: Lattice) -> Float[Tensor, " v"]:
    """Distance of every lattice point to a mesh.

    Exact where one of the `NEAREST` nearest samples lies on the nearest face, as it does near the surface; the sign
    tells whether the surface winds around the point. Of parts that overlap the union counts, and small gaps are
    outvoted: two of the three axes' counts decide.

    Args:
        samples: points on the mesh, many more than faces where these are large.
    """
    from scipy.spatial import cKDTree

    points = lattice.points()
    tree = cKDTree(samples.points.double().numpy())
    near = torch.from_numpy(tree.query(points.double().numpy(), k=NEAREST)[1]).reshape(-1)
    corner = mesh.vertices[mesh.faces[samples.faces[near]]].double()
    each = to_triangle(points.double().repeat_interleave(NEAREST, dim=0), corner)
    distance = each.reshape(-1, NEAREST).amin(1)
    return torch.where(inside(mesh, lattice), -distance, distance).float()


def to_triangle(points: Float[Tensor, "n 3"], corner: Float[Tensor, "n 3 3"]) -> Float[Tensor, " n"]:
    """(N,) distance of each point to its own triangle: to the plane over its inside, else to the nearest edge."""
    ends = corner.roll(-1, 1)
    along, offset = ends - corner, points[:, None] - corner
    share = ((along * offset).sum(2) / (along * along).sum(2).clamp_min(1e-30)).clamp(0.0, 1.0)
    to_edge = (offset - share[..., None] * along).norm(dim=2).amin(1)
    normal = torch.linalg.cross(along[:, 0], -along[:, 2])
    unit = torch.nn.functional.normalize(normal, dim=1, eps=1e-30)
    side = (torch.linalg.cross(along, offset) * normal[:, None]).sum(2)
    over = (side >= 0).all(1) & (normal.norm(dim=1) > 0)
    return torch.where(over, (offset[:, 0] * unit).sum(1).abs(), to_edge)


def inside(mesh: Mesh, lattice: Lattice) -> Bool[Tensor, " v"]:
    """(V,) whether a mesh winds around each lattice point: by two of three axes at least."""
    votes = torch.stack([_surrounded(mesh, lattice, axis) for axis in range(3)])
    return (votes.sum(0) >= 2).reshape(-1)


def _surrounded(mesh: Mesh, lattice: Lattice, axis: int) -> Bool[Tensor, "z y x"]:
    """Whether the faces above a lattice point along an axis do not cancel, and those below it neither.

    Faces that look up count as 1, those that look down as -1: for a closed mesh both sums tell how often it winds
    around the point. Lines run a little beside the points, so that they meet no edge of a regular mesh.
    """
    n, cell = lattice.line, lattice.cell
    column, height, sign = _crossings(mesh, lattice, axis)
    below = ((height + lattice.half) / cell).ceil().long().clamp(0, n)
    counts = torch.zeros(n * n, n + 1, dtype=torch.int64)
    counts.index_put_((column, below), sign, accumulate=True)
    above = counts.flip(1).cumsum(1).flip(1)
    inside = ((above != 0) & (above != above[:, :1]))[:, 1:].reshape(n, n, n)
    # axes are (axis + 2, axis + 1, axis) here, and z, y, x is wanted
    at = [(axis + 2 - k) % 3 for k in range(3)]
    return inside.permute([at.index(a) for a in (2, 1, 0)])


def _crossings(
    mesh: Mesh, lattice: Lattice, axis: int
) -> tuple[Int[Tensor, " m"], Float[Tensor, " m"], Int[Tensor, " m"]]:
    """Where lattice lines along an axis meet faces: the line (second other axis times line, plus first), the height,
    and 1 for faces that look up, -1 for those that look down."""
    n, cell = lattice.line, lattice.cell
    order = [(axis + 1) % 3, (axis + 2) % 3, axis]
    shift = torch.tensor([0.0137, 0.0071], dtype=torch.float64)
    corner = mesh.vertices[mesh.faces].double()[..., order]
    flat = (corner[..., :2] + lattice.half) / cell - shift
    low = flat.amin(1).ceil().long().clamp(0, n)
    high = flat.amax(1).floor().long().clamp(-1, n - 1)
    width = (high - low + 1).clamp_min(0)
    count = width.prod(1)
    face = torch.repeat_interleave(torch.arange(len(corner)), count)
    index = torch.arange(len(face)) - torch.repeat_interleave(count.cumsum(0) - count, count)
    spot = low[face] + torch.stack([index % width[face, 0], index // width[face, 0]], dim=1)
    a, b, c = flat[face].unbind(1)
    at = spot.double()
    weight = torch.stack([_turn(at, b, c), _turn(at, c, a), _turn(at, a, b)], dim=1)
    area = weight.sum(1)
    hit = ((weight * area.sign()[:, None]) >= 0).all(1) & (area != 0)
    height = (weight * corner[face][..., 2]).sum(1)[hit] / area[hit]
    return (spot[:, 1] * n + spot[:, 0])[hit], height, area[hit].sign().long()


def _turn(
    origin: Float[Tensor, "m 2"], p: Float[Tensor, "m 2"], q: Float[Tensor, "m 2"]
) -> Float[Tensor, " m"]:
    """Twice the signed area of the triangle (origin, p, q)."""
    u, v = p - origin, q - origin
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
