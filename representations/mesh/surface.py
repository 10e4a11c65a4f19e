"""The surface that is painted: welded positions, the atlas of its texture, normals and tangents corner by corner."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from sds3d.core.assets import Mesh
from sds3d.core.errors import AssetError

from ..faces import face_normals
from ..raster.triangles_antialias import topology
from .atlas import unwrap

CREASE = 0.7
"""Cosine of the angle between two faces above which the edge between them is smooth, where no normals are given."""
SAME_NORMAL = 0.999
"""Cosine above which two given normals at one place are one."""


@dataclass(frozen=True)
class Surface:
    """Triangles whose corners share positions, with what does not change while they move a little.

    Args:
        vertices: (V, 3) positions, each once. faces: (F, 3) int64, counter-clockwise seen from outside.
        partners: (F, 3) which faces share edges, see raster.triangles_antialias.topology.
        uv: (F, 3, 2) place in the atlas. corner: (F, 3) the atlas's vertex numbers.
        normals: (F, 3, 3) unit normals, and tangents: (F, 3, 4) unit vectors along +u and the sign of the
            bitangent, sign * (normal × tangent), which points along -v, up in the texture.
        around: (P, 2) int64, (corner 3 f + i, face): whose area-weighted normals make a corner's normal.
    """

    vertices: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    partners: Int[Tensor, "f 3"]
    uv: Float[Tensor, "f 3 2"]
    corner: Int[Tensor, "f 3"]
    normals: Float[Tensor, "f 3 3"]
    tangents: Float[Tensor, "f 3 4"]
    around: Int[Tensor, "p 2"]

    def to(self, device: torch.device) -> Surface:
        """The same on another device."""
        return Surface(**{name: value.to(device) for name, value in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """By name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def moved_normals(self, vertices: Float[Tensor, "v 3"]) -> Float[Tensor, "f 3 3"]:
        """The normals when the vertices have moved there; differentiable. Unmoved they are `normals`."""
        change = self._computed(vertices) - self._computed(self.vertices)
        return F.normalize(self.normals + change, dim=-1, eps=1e-12)

    def flat_normals(self, vertices: Float[Tensor, "v 3"]) -> Float[Tensor, "f 3"]:
        """The triangles' own normals, twice their areas long, on the side of `normals` whichever way they are wound."""
        flat = face_normals(vertices, self.faces)
        return torch.where((flat * self.normals.sum(1)).sum(1, keepdim=True) < 0, -flat, flat)

    def _computed(self, vertices: Tensor) -> Tensor:
        return corner_normals(vertices, self.faces, self.around)


def surface_of(mesh: Mesh, size: int, padding: int) -> tuple[Surface, Int[Tensor, " f"]]:
    """A mesh made ready for a texture of that size; its normals are kept where it has some.

    Returns:
        The surface and, of each of its faces, the mesh's face that it was; faces without area are left out.

    Raises:
        AssetError: no faces are left, or xatlas gave up.
    """
    position, welded = np.unique(mesh.vertices.cpu().double().numpy(), axis=0, return_inverse=True)
    faces = torch.from_numpy(welded.reshape(-1)).long()[mesh.faces.cpu()]
    vertices = torch.from_numpy(position).float()
    kept = (face_normals(vertices, faces).norm(dim=1) > 0).nonzero()[:, 0]
    if not len(kept):
        raise AssetError(f"the mesh '{mesh.name}' has no faces with an area: there is nothing to paint on")
    used, corner = torch.unique(faces[kept], return_inverse=True)
    vertices, faces = vertices[used], corner.reshape(-1, 3)
    given = None if mesh.normals is None else mesh.normals.cpu().float()[mesh.faces.cpu()[kept]]
    uv, corner = unwrap(vertices, faces, size, padding)
    return joined(vertices, faces, given, uv, corner), kept


def joined(
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    given: Float[Tensor, "f 3 3"] | None,
    uv: Float[Tensor, "f 3 2"],
    corner: Int[Tensor, "f 3"],
) -> Surface:
    """A surface of welded positions.

    Args:
        faces: all with an area. given: normals of the corners, or None: smooth but for creases.
        uv, corner: see Surface.
    """
    around = _smooth_pairs(vertices, faces, given)
    computed = corner_normals(vertices, faces, around)
    normals = computed if given is None else F.normalize(given, dim=-1, eps=1e-12)
    return Surface(
        vertices=vertices,
        faces=faces,
        partners=topology(faces, len(vertices)),
        uv=uv,
        corner=corner,
        normals=torch.where(normals.norm(dim=-1, keepdim=True) > 0.5, normals, computed),
        tangents=tangents(vertices, faces, uv, corner),
        around=around,
    )


def corner_normals(
    vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], around: Int[Tensor, "p 2"]
) -> Float[Tensor, "f 3 3"]:
    """Unit sums of the normals of the faces around each corner, weighted by their areas; differentiable."""
    each = face_normals(vertices, faces)
    total = each.new_zeros(3 * len(faces), 3).index_add(0, around[:, 0], each[around[:, 1]])
    return F.normalize(total, dim=1, eps=1e-20).reshape(-1, 3, 3)


def _smooth_pairs(
    vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], given: Float[Tensor, "f 3 3"] | None
) -> Int[Tensor, "p 2"]:
    """(corner, face) for all faces that meet at the corner's vertex without a crease between."""
    order = torch.argsort(faces.reshape(-1), stable=True)
    count = torch.bincount(faces.reshape(-1), minlength=len(vertices))
    start = count.cumsum(0) - count
    many = count[faces.reshape(-1)[order]]  # how many corners each has to be compared with, itself among them
    first = order.repeat_interleave(many)
    within = torch.arange(len(first)) - (many.cumsum(0) - many).repeat_interleave(many)
    second = order[start[faces.reshape(-1)[first]] + within]
    if given is not None:
        unit = F.normalize(given.reshape(-1, 3), dim=1, eps=1e-12)
        smooth = (unit[first] * unit[second]).sum(1) > SAME_NORMAL
    else:
        unit = F.normalize(face_normals(vertices, faces), dim=1, eps=1e-20)
        smooth = (unit[first // 3] * unit[second // 3]).sum(1) > CREASE
    smooth |= first == second
    return torch.stack([first, second // 3], dim=1)[smooth]


def tangents(
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    uv: Float[Tensor, "f 3 2"],
    corner: Int[Tensor, "f 3"],
) -> Float[Tensor, "f 3 4"]:
    """Unit vectors along +u, the mean over the faces around each vertex of the atlas, and the bitangent's sign."""
    a, b, c = vertices[faces].unbind(1)
    (u1, v1), (u2, v2) = ((uv[:, k] - uv[:, 0]).unbind(1) for k in (1, 2))
    area = (u1 * v2 - u2 * v1)[:, None]
    turned = torch.where(area < 0, -1.0, 1.0)  # 1 / area but for the length
    along_u = F.normalize(turned * ((b - a) * v2[:, None] - (c - a) * v1[:, None]), dim=1, eps=1e-20)
    along_v = turned * ((c - a) * u1[:, None] - (b - a) * u2[:, None])
    total = vertices.new_zeros(int(corner.max()) + 1, 3)
    total = total.index_add(0, corner.reshape(-1), along_u.repeat_interleave(3, dim=0))
    mean = F.normalize(total, dim=1, eps=1e-20)[corner]
    up = torch.linalg.cross(face_normals(vertices, faces), along_u)
    sign = torch.where((up * -along_v).sum(1) < 0, -1.0, 1.0)
    return torch.cat([mean, sign[:, None, None].expand(-1, 3, 1)], dim=2)
