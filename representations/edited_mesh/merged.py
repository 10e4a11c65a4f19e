"""The parts of a mesh file as one surface in our world, which remembers the file's own rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from sds3d.assetio.original_mesh import MeshOriginal, Part
from sds3d.core.errors import AssetError
from sds3d.core.frame import Frame

from ..faces import face_normals
from ..mesh.surface import Surface, joined


@dataclass(frozen=True)
class Merged:
    """One surface of several parts.

    Args:
        surface: in our world. part: (F,) number of each face's part. corner: (F, 3) row of each corner among the
            vertices of all parts, one part after another. first: row at which each part begins.
        welded: (V,) of those rows the vertex of the surface, -1 for one that no face shows.
        places: (V, 3) the same rows in the file's world, float64.
    """

    surface: Surface
    part: Int[Tensor, " f"]
    corner: Int[Tensor, "f 3"]
    first: tuple[int, ...]
    welded: Int[Tensor, " v"]
    places: Float[Tensor, "v 3"]

    def rows(self, number: int) -> slice:
        """The rows of a part."""
        return slice(self.first[number], self.first[number + 1])


def world_places(file: MeshOriginal) -> list[Tensor]:
    """(V, 3) float64 vertices of each part in the file's world."""
    return [file.points[p.points].double() @ p.transform[:3, :3].T + p.transform[:3, 3] for p in file.parts]


def merged(file: MeshOriginal, places: list[Tensor], frame: Frame) -> Merged:
    """The surface of all parts, welded where positions are equal; faces without area are left out.

    Raises:
        AssetError: no faces are left.
    """
    first = np.cumsum([0] + [len(p) for p in places]).tolist()
    every = torch.cat(places)
    corner = torch.cat([p.faces + start for p, start in zip(file.parts, first, strict=False)])
    part = torch.arange(len(file.parts)).repeat_interleave(torch.tensor([len(p.faces) for p in file.parts]))
    _, place = np.unique(every.numpy(), axis=0, return_inverse=True)
    row = torch.from_numpy(place.reshape(-1)).long()
    world = torch.zeros(int(row.max()) + 1, 3)
    world[row] = frame.to_world(every).float()
    kept = (face_normals(world, row[corner]).norm(dim=1) > 0).nonzero()[:, 0]
    if not len(kept):
        raise AssetError(f"{file.source.path}: has no faces with an area: there is nothing to edit.")
    corner, part = corner[kept], part[kept]
    used, index = torch.unique(row[corner], return_inverse=True)
    faces = index.reshape(-1, 3)
    compact = torch.full((len(world),), -1, dtype=torch.int64)
    compact[used] = torch.arange(len(used))
    vertices = world[used]
    uv = torch.cat([_or_zeros(p.uv, len(v), 2) for p, v in zip(file.parts, places, strict=True)])[corner]
    normals = torch.cat([_normals(p, v, frame) for p, v in zip(file.parts, places, strict=True)])[corner]
    flat = F.normalize(face_normals(vertices, faces), dim=1, eps=1e-20)[:, None].expand(-1, 3, -1)
    # glTF shades flat where a file has no normals
    given = torch.where(normals.norm(dim=-1, keepdim=True) > 0.5, normals, flat)
    surface = joined(vertices, faces, given, uv, corner)
    return Merged(surface, part, corner, tuple(first), compact[row], every)


def _or_zeros(values: Tensor | None, count: int, width: int) -> Tensor:
    return torch.zeros(count, width) if values is None else values.float()


def _normals(part: Part, places: Tensor, frame: Frame) -> Float[Tensor, "v 3"]:
    """Unit normals in our world, 0 where the file has none."""
    linear = part.transform[:3, :3]
    if part.normals is None or float(torch.linalg.det(linear).abs()) < 1e-30:
        return torch.zeros(len(places), 3)
    turn = torch.tensor(frame.turn, dtype=torch.float64)
    world = part.normals.double() @ torch.linalg.inv(linear) @ turn
    return F.normalize(world, dim=1, eps=1e-12).float()
