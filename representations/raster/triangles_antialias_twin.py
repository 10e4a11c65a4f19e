"""The plain torch definition of silhouette antialiasing; notation and edge functions of `triangles_twin`.

Two pixels side by side, or one above the other, see different faces. From the centre of the one whose face is
nearer, walk to the centre of the other across the surface, from face to neighbouring face. If it ends on the way, at
the fraction t = e_near / (e_near - e_far) of it (e being the last edge's function at the two centres), the two
colours are mixed by how far t is from the middle: for t > 1/2 the other pixel takes t - 1/2 of the nearer face's
colour, for t < 1/2 the nearer pixel takes 1/2 - t of the other's. The sum of a row is then linear in t: it has
the derivative of the true coverage.

- The surface ends at an edge that no other face has, or whose two faces lie on the same side of it in the image.
- Pairs in a row look at edges that are closer to vertical, pairs in a column at the others, so that nothing is
  counted twice.

After Laine et al. (2020, arXiv 2011.03277), section 3.6, who look at the edges of the first face alone and miss
silhouettes of triangles smaller than a pixel. All edge functions are homogeneous: edges may reach behind the camera.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from .triangles_twin import cross, edge_at, pixel_rays

STEPS = 8  # triangles that a walk between two pixels crosses at most


def topology(faces: Int[Tensor, "f 3"], vertex_count: int) -> Int[Tensor, "f 3"]:
    """See raster.triangles_antialias.topology."""
    faces = faces.long()
    first, second = faces.roll(-1, dims=1).reshape(-1), faces.roll(-2, dims=1).reshape(-1)
    whole = (faces != faces.roll(1, dims=1)).all(dim=1).repeat_interleave(3)
    key = torch.where(whole, torch.minimum(first, second) * vertex_count + torch.maximum(first, second), -1)
    _, group, count = torch.unique(key, return_inverse=True, return_counts=True)
    edge = torch.arange(len(key), device=faces.device)
    both = torch.zeros_like(count).scatter_add(0, group, edge)
    return torch.where(whole & (count[group] == 2), both[group] - edge, -1).reshape(faces.shape)


def antialias(
    image: Float[Tensor, "b h w c"],
    positions: Float[Tensor, "b v 3"],
    faces: Int[Tensor, "f 3"],
    partners: Int[Tensor, "f 3"],
    focal: Float[Tensor, " b"],
    face: Int32[Tensor, "b h w"],
    depth: Float[Tensor, "b h w"],
) -> Float[Tensor, "b h w c"]:
    """See raster.triangles_antialias.antialias."""
    _, height, width = face.shape
    u, v, f = pixel_rays(focal, (height, width))
    flat = image.reshape(-1, image.shape[-1])
    distance = torch.where(face >= 0, depth, torch.inf).reshape(-1)
    out = flat
    for axis in (0, 1):
        first, second = (face[:, :, :-1], face[:, :, 1:]) if axis == 0 else (face[:, :-1], face[:, 1:])
        view, y, x = (first != second).nonzero(as_tuple=True)
        here = (view * height + y) * width + x
        there = here + (width if axis else 1)
        swapped = distance[there] < distance[here]
        near, far = torch.where(swapped, there, here), torch.where(swapped, here, there)
        ray_near, ray_far = ((u[p % width], v[p // width % height], f[view]) for p in (near, far))
        start = face.reshape(-1)[near].long()
        edge = _walk(positions, faces.long(), partners.long(), view, ray_near, ray_far, start)
        hit = (edge >= 0).nonzero()[:, 0]
        normal = _normal(positions, faces.long(), view[hit], edge[hit])
        e_near, e_far = (edge_at(normal, *(c[hit] for c in ray)) for ray in (ray_near, ray_far))
        steep = normal[1].abs() > normal[0].abs() if axis else normal[0].abs() >= normal[1].abs()
        kept = steep.nonzero()[:, 0]
        t = (e_near / (e_near - e_far))[kept]
        covers, near, far = t > 0.5, near[hit][kept], far[hit][kept]
        into, source = torch.where(covers, far, near), torch.where(covers, near, far)
        amount = torch.where(covers, t - 0.5, 0.5 - t).to(image.dtype)
        out = out.index_add(0, into, amount[:, None] * (flat[source] - flat[into]))
    return out.reshape(image.shape)


def _corners(
    positions: Tensor, faces: Tensor, view: Int[Tensor, " n"], face: Int[Tensor, " n"]
) -> list[tuple[Tensor, ...]]:
    """The components of each face's three corners, float64."""
    corners = positions.double()[view[:, None], faces[face]]
    return [tuple(c.unbind(1)) for c in corners.unbind(1)]


def _normal(
    positions: Tensor, faces: Tensor, view: Int[Tensor, " n"], edge: Int[Tensor, " n"]
) -> tuple[Tensor, Tensor, Tensor]:
    """The edge functions' coefficients of edges 3 * face + corner; differentiable."""
    ends = (faces[edge // 3, (edge + k) % 3] for k in (1, 2))
    a, b = (tuple(positions.double()[view, end].unbind(1)) for end in ends)
    return cross(a, b)


@torch.no_grad()
def _walk(
    positions: Tensor,
    faces: Tensor,
    partners: Tensor,
    view: Int[Tensor, " n"],
    near: tuple[Tensor, ...],
    far: tuple[Tensor, ...],
    face: Int[Tensor, " n"],
) -> Int[Tensor, " n"]:
    """The edge 3 * face + corner at which the surface ends between two rays, from `face` on; -1 if it does not."""
    found = torch.full_like(face, -1)
    rows = torch.arange(len(face), device=face.device)
    for _ in range(STEPS):
        p = _corners(positions, faces, view[rows], face)
        normals = [cross(p[(i + 1) % 3], p[(i + 2) % 3]) for i in range(3)]
        at_near, at_far = (
            torch.stack([edge_at(n, *(c[rows] for c in ray)) for n in normals], dim=1) for ray in (near, far)
        )
        own = torch.stack([edge_at(n, *c) for n, c in zip(normals, p, strict=True)], dim=1)
        side = torch.where(own[:, :1] > 0, 1.0, -1.0)
        leaves = (side * at_far <= 0) & (side * (at_near - at_far) > 0)
        t = torch.where(leaves, at_near / (at_near - at_far), torch.inf)
        corner = t.argmin(dim=1, keepdim=True)
        edge = 3 * face + corner[:, 0]
        partner = partners.reshape(-1)[edge]
        beyond = faces.reshape(-1)[partner.clamp_min(0)]
        normal = (torch.stack([n[k] for n in normals], dim=1).gather(1, corner)[:, 0] for k in range(3))
        other = edge_at(tuple(normal), *positions.double()[view[rows], beyond].unbind(1))
        inner = (partner >= 0) & (own.gather(1, corner)[:, 0] * other < 0)
        out = leaves.any(dim=1)
        found[rows[out & ~inner]] = edge[out & ~inner]
        on = (out & inner).nonzero()[:, 0]
        rows, face = rows[on], partner[on] // 3
    return found
