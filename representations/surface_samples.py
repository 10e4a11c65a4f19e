"""Points spread over a mesh, with what is known of the surface there: how one representation starts from another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sds3d.assetio.sample import vertex_colors
from sds3d.core.assets import Mesh, sample_surface
from sds3d.core.errors import AssetError


@dataclass(frozen=True)
class Samples:
    """N points on a mesh.

    Args:
        points: (N, 3). normals: (N, 3) unit vectors of the faces they lie on. faces: (N,) their numbers.
        colors: (N, 3) sRGB in [0, 1], None where the mesh has no colours.
    """

    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]
    faces: Int[Tensor, " n"]
    colors: Float[Tensor, "n 3"] | None


def spread_over(mesh: Mesh, uniform: Float[Tensor, "n 3"]) -> Samples:
    """Points spread evenly by area.

    Args:
        uniform: (N, 3) numbers in (0, 1), see core.assets.sample_surface.

    Raises:
        AssetError: the mesh has no faces.
    """
    if not len(mesh.faces):
        raise AssetError(f"the mesh '{mesh.name}' has no faces: there is no surface to start from")
    points, face = sample_surface(mesh, len(uniform), uniform)
    corner = mesh.vertices[mesh.faces[face]].double()
    normal = torch.linalg.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normal = torch.nn.functional.normalize(normal, dim=1, eps=1e-30).float()
    colors = vertex_colors(mesh)
    if colors is not None:
        weight = barycentric(points.double(), corner).float()
        colors = (colors[mesh.faces[face]] * weight[:, :, None]).sum(1)
    return Samples(points, normal, face, colors)


def barycentric(points: Float[Tensor, "n 3"], corner: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n 3"]:
    """(N, 3) weights of the corners of triangles at points in them; the first corner for a triangle of no area."""
    a, b, c = corner.unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    area = (normal * normal).sum(1).clamp_min(1e-30)
    second = (torch.linalg.cross(points - a, c - a) * normal).sum(1) / area
    third = (torch.linalg.cross(b - a, points - a) * normal).sum(1) / area
    return torch.stack([1 - second - third, second, third], dim=1).clamp(0.0, 1.0)
