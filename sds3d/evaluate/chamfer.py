"""Distances between surfaces, by points spread over them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.assets import Mesh, sample_surface
from ..core.cameras import Cameras, orbit
from ..core.streams import Streams
from .mesh_render import render_mesh


@dataclass(frozen=True)
class Chamfer:
    """Mean nearest-point distances in world units.

    Args:
        accuracy: from the judged surface to the true one (what is there that should not be).
        completeness: from the true surface to the judged one (what is missing).
    """

    accuracy: float
    completeness: float

    @property
    def mean(self) -> float:
        """The symmetric distance: half the sum of both."""
        return 0.5 * (self.accuracy + self.completeness)


def chamfer(points: Float[Tensor, "n 3"], truth: Float[Tensor, "m 3"]) -> Chamfer:
    """Chamfer distance (not squared) between two sets of points.

    Raises:
        ValueError: one of them is empty.
    """
    from scipy.spatial import cKDTree

    if len(points) == 0 or len(truth) == 0:
        raise ValueError(f"Chamfer distance of {len(points)} and {len(truth)} points is not defined")
    a, b = points.double().cpu().numpy(), truth.double().cpu().numpy()
    return Chamfer(float(cKDTree(b).query(a)[0].mean()), float(cKDTree(a).query(b)[0].mean()))


def surface_points(mesh: Mesh, count: int, streams: Streams, tag: str) -> Float[Tensor, "n 3"]:
    """`count` points spread evenly over a mesh by area; the same seed and tag give the same points."""
    return sample_surface(mesh, count, streams.uniform((count, 3), "surface", tag)[0])[0]


def mesh_chamfer(mesh: Mesh, truth: Mesh, streams: Streams, count: int = 20_000) -> Chamfer:
    """Chamfer distance of two meshes, all of their surfaces included (inner ones too).

    The points' own spacing adds a floor of about half of sqrt(area / count).
    """
    return chamfer(
        surface_points(mesh, count, streams, "judged"), surface_points(truth, count, streams, "truth")
    )


def around(rings: tuple[float, ...] = (-75.0, -35.0, 0.0, 35.0, 75.0), per_ring: int = 8) -> Cameras:
    """Cameras all around an object: rings at these elevations in degrees, turned against each other."""
    azimuths, elevations = [], []
    for number, elevation in enumerate(rings):
        azimuths += [(k + 0.5 * (number % 2)) * 360.0 / per_ring for k in range(per_ring)]
        elevations += [elevation] * per_ring
    return orbit(azimuths, elevations)


def visible_points(
    mesh: Mesh, cameras: Cameras, count: int, streams: Streams, tag: str, size: int = 256
) -> Float[Tensor, "n 3"]:
    """At most `count` of a mesh's surface points that some camera sees, spread evenly by area.

    Points are drawn by area and kept where a camera's depth map meets them within two pixels' depth slack, so that a
    surface seen at a slant counts as much as one seen face on.
    """
    points = surface_points(mesh, count, streams, tag)
    depth = render_mesh(mesh, cameras, (size, size))["depth"][:, 0]
    matrix = cameras.world_to_camera()
    local = torch.einsum("bij,nj->bni", matrix[:, :3, :3], points) + matrix[:, None, :3, 3]
    away = -local[..., 2]
    focal = cameras.focal(size)[:, None]
    column = (size / 2 + focal * local[..., 0] / away).floor().long()
    row = (size / 2 - focal * local[..., 1] / away).floor().long()
    framed = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    view = torch.arange(len(cameras))[:, None].expand_as(row)
    seen_depth = depth[view, row.clamp(0, size - 1), column.clamp(0, size - 1)]
    slack = 2.0 * away / focal
    seen = framed & (seen_depth > 0) & (away <= seen_depth + slack)
    return points[seen.any(0)]


def visible_chamfer(
    mesh: Mesh, truth: Mesh, streams: Streams, count: int = 20_000, cameras: Cameras | None = None
) -> Chamfer:
    """Chamfer distance of the surfaces that can be seen from outside.

    What lies inside (a torso under a coat, the hidden end of a leg) no renders can teach, so it is left out
    on both sides.

    Args:
        cameras: who looks; a full sphere of 40 by default.
    """
    cameras = around() if cameras is None else cameras
    return chamfer(
        visible_points(mesh, cameras, count, streams, "judged"),
        visible_points(truth, cameras, count, streams, "truth"),
    )
