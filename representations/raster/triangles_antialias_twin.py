"""The plain torch definition of silhouette antialiasing; notation and edge functions of `triangles_twin`.

Two pixels side by side, or one above the other, see different faces. From the centre of the one whose face is
nearer, walk to the centre of the other across the surface, from face to neighbouring face. If it ends on the way, at
the fraction t = e_near / (e_near - e_far) of it (e being the last edge's function at the two centres), the two
colours are mixed by how far t is from the middle: for t > 1/2 the other pixel takes t - 1/2 of the nearer face's
colour, for t < 1/2 the nearer pixel takes 1/2 - t of the other's. The sum of a row is then linear in t: it has
the derivative of the true coverage.

- The surface ends at an edge that no other face has, or whose two faces lie on the same side of it in the image.
  Between two faces that share an edge where it does not end, no silhouette is looked for.
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
    side, inner = _surface(positions, faces.long(), partners.long())
    out = flat
    for axis in (0, 1):
        first, second = (face[:, :, :-1], face[:, :, 1:]) if axis == 0 else (face[:, :-1], face[:, 1:])
        view, y, x = (first != second).nonzero(as_tuple=True)
        one, two = first[view, y, x].long(), second[view, y, x].long()
        apart = ~((inner[view, one] == two[:, None]).any(dim=1) & (one >= 0) & (two >= 0))
        view, y, x = view[apart], y[apart], x[apart]
        here = (view * height + y) * width + x
        there = here + (width if axis else 1)
        swapped = distance[there] < distance[here]
        near, far = torch.where(swapped, there, here), torch.where(swapped, here, there)
        ray_near, ray_far = ((u[p % width], v[p // width % height], f[view]) for p in (near, far))
        start = face.reshape(-1)[near].long()
        edge = _walk(positions, faces.long(), side, inner, view, ray_near, ray_far, start)
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
def _surface(positions: Tensor, faces: Tensor, partners: Tensor) -> tuple[Tensor, Tensor]:
    """(B, F) which way round a face's corners run in the image: 1, -1, or 0 edge-on; and (B, F, 3) the face beyond
    each edge that lies inside the surface, else -1."""
    p = [tuple(c.unbind(2)) for c in positions.double()[:, faces].unbind(2)]
    side = torch.sign(edge_at(cross(p[1], p[2]), *p[0]))
    if not len(faces):
        return side, partners.expand(len(positions), 0, 3)
    other = partners.clamp_min(0)
    # neighbours that are wound alike run along their edge in opposite directions
    alike = faces.roll(-1, dims=1) == faces[other // 3, (other + 2) % 3]
    same_way = side[:, :, None] * side[:, other // 3] * torch.where(alike, 1, -1)
    return side, torch.where((partners >= 0) & (same_way > 0), other // 3, -1)


@torch.no_grad()
def _walk(
    positions: Tensor,
    faces: Tensor,
    side: Float[Tensor, "b f"],
    inner: Int[Tensor, "b f 3"],
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
        sign = torch.where(side[view[rows], face] > 0, 1.0, -1.0)[:, None]
        # not through the edge it came in by: that one rises
        leaves = (sign * at_far <= 0) & (sign * (at_near - at_far) > 0)
        t = torch.where(leaves, at_near / (at_near - at_far), torch.inf)
        corner = t.argmin(dim=1)
        following = inner[view[rows], face, corner]
        out = leaves.any(dim=1)
        ends = out & (following < 0)
        found[rows[ends]] = (3 * face + corner)[ends]
        on = out & ~ends
        rows, face = rows[on], following[on]
    return found
