"""The plain torch definition of the triangle functions: every faster implementation must agree with this file.

Positions are in camera axes right, down, forward (world units). The ray of a pixel points along
d = (u, v, focal) with u = column + 1/2 - width / 2, v = row + 1/2 - height / 2. A triangle's corner i has the
edge function e_i = d · (p_{i+1} × p_{i+2}), linear on the image and zero on the opposite edge. Divided by their
sum the three are the barycentric coordinates of the point where the ray's line meets the triangle, with no
division by any vertex's depth: nothing has to be clipped (Olano and Greer, Triangle scan conversion using 2D
homogeneous coordinates, 1997).

Which face a pixel sees is found in float64 in one fixed order of operations, without gradients; barycentrics and
depth are differentiable.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int, Int32
from torch import Tensor

PAIRS_AT_ONCE = 4_000_000


def place(vertices: Float[Tensor, "v 3"], c2w: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b v 3"]:
    """(B, V, 3) vertices in camera axes right, down, forward; c2w is taken as rigid.

    Element by element: vertices at the same place come to the same place, to the last bit, so that a mesh
    whose vertices are doubled along a seam has no gaps there.
    """
    offset = vertices[None] - c2w[:, None, :3, 3]
    x, y, z = offset.split(1, dim=2)
    rows = c2w[:, None, :3, :3]
    upright = x * rows[:, :, 0] + y * rows[:, :, 1] + z * rows[:, :, 2]
    return upright * upright.new_tensor([1.0, -1.0, -1.0])


def pixel_rays(
    focal: Float[Tensor, " b"], size: tuple[int, int]
) -> tuple[Float[Tensor, " w"], Float[Tensor, " h"], Float[Tensor, " b"]]:
    """u of every column, v of every row, and the focal lengths: the rays' coordinates, float64."""
    (height, width), device = size, focal.device
    u = torch.arange(width, dtype=torch.float64, device=device) + 0.5 - 0.5 * width
    v = torch.arange(height, dtype=torch.float64, device=device) + 0.5 - 0.5 * height
    return u, v, focal.double()


def cross(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """a × b of vectors given by their components, in one order of operations: b × a is exactly the opposite."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def edge_at(normal: tuple[Tensor, ...], u: Tensor, v: Tensor, f: Tensor) -> Tensor:
    """normal · (u, v, f), in one order of operations."""
    return normal[0] * u + (normal[1] * v + normal[2] * f)


def _inside(
    values: Sequence[Tensor], normals: Sequence[tuple[Tensor, ...]], side: int
) -> Bool[Tensor, "f h w"]:
    """Whether all three edge functions have that sign. A pixel centre on an edge counts as a hair to the right
    of where it is, and below if that does not decide: the top-left rule."""
    inside = torch.ones_like(values[0], dtype=torch.bool)
    for value, (x, y, _) in zip(values, normals, strict=True):
        signed, x, y = side * value, side * x, side * y
        tie = ((x > 0) | ((x == 0) & (y > 0)))[:, None, None]
        inside &= (signed > 0) | ((signed == 0) & tie)
    return inside


@torch.no_grad()
def visible(
    positions: Float[Tensor, "b v 3"],
    faces: Int[Tensor, "f 3"],
    focal: Float[Tensor, " b"],
    size: tuple[int, int],
    near: float,
) -> Int32[Tensor, "b h w"]:
    """The face nearest along the ray of every pixel, beyond `near`; -1 where there is none.

    Depths are compared as float32; of equal ones the lowest index is seen.
    """
    u, v, f = pixel_rays(focal, size)
    out = torch.full((len(positions), *size), -1, dtype=torch.int32, device=positions.device)
    at_once = max(1, PAIRS_AT_ONCE // (size[0] * size[1]))
    for b in range(len(positions)):
        best = torch.full(size, torch.inf, device=positions.device)
        corners = positions[b].double()[faces.long()]
        for first in range(0, len(faces), at_once):
            p = [tuple(c.unbind(1)) for c in corners[first : first + at_once].unbind(1)]
            normals = [cross(p[(i + 1) % 3], p[(i + 2) % 3]) for i in range(3)]
            e = [edge_at(tuple(c[:, None, None] for c in n), u, v[:, None], f[b]) for n in normals]
            z = [c[2][:, None, None] for c in p]
            depth = (e[0] * z[0] + e[1] * z[1] + e[2] * z[2]) * (1 / (e[0] + e[1] + e[2]))
            seen = (_inside(e, normals, 1) | _inside(e, normals, -1)) & (depth > near)
            depth = torch.where(seen, depth, torch.inf).float()
            nearest = depth.min(dim=0).values
            index = (depth == nearest).int().argmax(dim=0) + first  # argmax: the first of equal ones
            closer = nearest < best
            out[b] = torch.where(closer, index.int(), out[b])
            best = torch.where(closer, nearest, best)
    return out


def locate(
    positions: Float[Tensor, "b v 3"],
    faces: Int[Tensor, "f 3"],
    focal: Float[Tensor, " b"],
    face: Int32[Tensor, "b h w"],
) -> tuple[Float[Tensor, "b h w 3"], Float[Tensor, "b h w"]]:
    """Barycentrics and depth of the point where each pixel's ray meets the face it sees; zeros where none."""
    out = torch.zeros(*face.shape, 4, dtype=torch.float64, device=positions.device)
    b, y, x = (face >= 0).nonzero(as_tuple=True)
    u, v, f = pixel_rays(focal, (face.shape[1], face.shape[2]))
    corners = positions.double()[b[:, None], faces[face[b, y, x].long()].long()]
    p = [tuple(c.unbind(1)) for c in corners.unbind(1)]
    normals = [cross(p[(i + 1) % 3], p[(i + 2) % 3]) for i in range(3)]
    e = [edge_at(n, u[x], v[y], f[b]) for n in normals]
    inverse = 1 / (e[0] + e[1] + e[2])
    depth = (e[0] * p[0][2] + e[1] * p[1][2] + e[2] * p[2][2]) * inverse
    values = torch.stack([*(value * inverse for value in e), depth], dim=1)
    out = out.index_put((b, y, x), values).to(positions.dtype)
    return out[..., :3], out[..., 3]


def rasterize(
    positions: Float[Tensor, "b v 3"],
    faces: Int[Tensor, "f 3"],
    focal: Float[Tensor, " b"],
    size: tuple[int, int],
    near: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """face, barycentric, depth; see raster.triangles.rasterize."""
    face = visible(positions, faces, focal, size, near)
    return face, *locate(positions, faces, focal, face)


def interpolate(
    attributes: Float[Tensor, "v c"] | Float[Tensor, "f 3 c"],
    faces: Int[Tensor, "f 3"],
    face: Int32[Tensor, "b h w"],
    barycentric: Float[Tensor, "b h w 3"],
) -> Float[Tensor, "b h w c"]:
    """Attributes at every pixel; see raster.triangles.interpolate."""
    corners = attributes if attributes.ndim == 3 else attributes[faces.long()]
    if not len(corners):
        return barycentric.new_zeros(*face.shape, attributes.shape[-1])
    weights = torch.where((face >= 0)[..., None], barycentric, 0)
    return (weights[..., None] * corners[face.clamp_min(0).long()]).sum(dim=-2)
