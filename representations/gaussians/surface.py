"""From Gaussians to a coloured triangle mesh."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from sds3d.core.assets import Box, Mesh
from sds3d.core.cameras import Cameras, orbit, rays
from sds3d.core.look import Look

from ..raster.gaussians_twin import rotation_matrix
from .parameters import Parameters

if TYPE_CHECKING:
    from .model import GaussianModel

REACH = 3.0
"""Standard deviations beyond which a Gaussian counts as nothing (1.1 % of its peak)."""

VIEW_SIZE = 64
SOLID = 0.5


def to_mesh(model: GaussianModel) -> Mesh:
    """The isosurface of Σ o exp(-d²/2) whose outline agrees best with that of the splats.

    Args:
        model: whose density, colours and outline.

    Raises:
        AssetError: nothing solid is there.
    """
    from ..bake import field_to_mesh

    size = model.options.mesh_resolution
    bounds = box_of(model.parameters, model.bounds)
    volume = density_volume(model.parameters, bounds, size)
    cameras = _outline_cameras()
    solid = _solid_pixels(model, cameras)
    peak = peak_along_rays(volume[..., 0], bounds, cameras, VIEW_SIZE)
    level = best_level(peak, solid)

    return field_to_mesh(volume[..., 0], level, mean_colors(volume, bounds), bounds)


def surface_colors(model: GaussianModel) -> Callable[[Tensor], Tensor]:
    """(P, 3) points of `to_mesh`'s surface to the mean sRGB of the Gaussians there, weighted by their density."""
    bounds = box_of(model.parameters, model.bounds)
    return mean_colors(density_volume(model.parameters, bounds, model.options.mesh_resolution), bounds)


def mean_colors(volume: Float[Tensor, "r r r 4"], bounds: Box) -> Callable[[Tensor], Tensor]:
    """Colours of `density_volume` at points."""

    def color_at(points: Float[Tensor, "p 3"]) -> Float[Tensor, "p 3"]:
        values = trilinear(volume, bounds, points)
        return values[:, 1:] / values[:, :1].clamp_min(1e-8)

    return color_at


def box_of(parameters: Parameters, bounds: Box) -> Box:
    """A cube around the model's bounds that holds nearly all of every solid Gaussian."""
    p = parameters.map(torch.Tensor.detach)
    solid = p.opacities > 0.05
    reach = (p.means.abs() + REACH * p.scales.amax(1, keepdim=True))[solid]
    half = float(reach.max()) if len(reach) else max(bounds.high)
    half = min(half, 1.5 * max(bounds.high))
    return Box((-half, -half, -half), (half, half, half))


def density_volume(parameters: Parameters, bounds: Box, size: int) -> Float[Tensor, "r r r 4"]:
    """Density Σ o exp(-d²/2) and density-weighted colour on a lattice, axes z, y, x.

    Each Gaussian is evaluated in the box of its 3 standard deviations alone. Its axes are taken as at least half
    a voxel wide, so that none falls between the samples.
    """
    p = parameters.map(torch.Tensor.detach).map(torch.Tensor.cpu).map(torch.Tensor.double)
    low, voxel = bounds.low[0], (bounds.high[0] - bounds.low[0]) / (size - 1)
    rotation, scales = rotation_matrix(p.rotations), p.scales.clamp_min(0.5 * voxel)
    extent = REACH * (rotation * scales[:, None, :]).norm(dim=2)
    first = ((p.means - extent - low) / voxel).ceil().long().clamp(0, size)
    last = ((p.means + extent - low) / voxel).floor().long().clamp(-1, size - 1)
    precision = rotation @ ((1 / scales**2)[:, :, None] * rotation.transpose(1, 2))
    weights = torch.cat([p.opacities[:, None], p.opacities[:, None] * p.colors.clamp(0, 1)], dim=1)
    volume = np.zeros((4, size, size, size), dtype=np.float32)
    line = low + voxel * np.arange(size)
    arrays = (v.numpy() for v in (p.means, precision, weights, first, last + 1))
    for mean, q, weight, begin, end in zip(*arrays, strict=True):
        box = tuple(slice(begin[i], end[i]) for i in (2, 1, 0))
        x, y, z = ((line[begin[i] : end[i]] - mean[i]).astype(np.float32) for i in range(3))
        volume[(slice(None), *box)] += weight[:, None, None, None].astype(np.float32) * _bump(q, x, y, z)
    return torch.from_numpy(volume).permute(1, 2, 3, 0)


def _bump(
    q: Float[np.ndarray, "3 3"],
    x: Float[np.ndarray, " w"],
    y: Float[np.ndarray, " h"],
    z: Float[np.ndarray, " d"],
) -> Float[np.ndarray, "d h w"]:
    """exp(-½ vᵀ q v) within REACH on the points v = (x, y, z) of a small lattice."""
    q = q.astype(np.float32)
    y, z = y[:, None], z[:, None, None]
    rest = q[1, 1] * y * y + q[2, 2] * z * z + 2 * q[1, 2] * y * z
    distance = q[0, 0] * x * x + 2 * x * (q[0, 1] * y + q[0, 2] * z) + rest
    return np.where(distance <= REACH**2, np.exp(-0.5 * distance), np.float32(0.0))


def trilinear(
    volume: Float[Tensor, "r r r c"], bounds: Box, points: Float[Tensor, "p 3"]
) -> Float[Tensor, "p c"]:
    """Values at world points; 0 outside the bounds, which are a cube around the origin."""
    grid = (points / bounds.high[0]).reshape(1, 1, 1, -1, 3)
    values = F.grid_sample(volume.permute(3, 0, 1, 2)[None], grid, padding_mode="zeros", align_corners=True)
    return values[0, :, 0, 0].T


def _outline_cameras() -> Cameras:
    """Eight views around and from above and below, from far enough to see all of the bounds."""
    return orbit([0, 45, 90, 135, 20, 65, 110, 155], [0, 15, 30, 45, 75, -20, 0, 15], 3.2)


@torch.no_grad()
def _solid_pixels(model: GaussianModel, cameras: Cameras) -> Bool[Tensor, "b h w"]:
    look = Look(cameras, (VIEW_SIZE, VIEW_SIZE), torch.ones(len(cameras), 3))
    return model.render(look)["alpha"][:, 0].cpu() > SOLID


@torch.no_grad()
def peak_along_rays(
    density: Float[Tensor, "r r r"], bounds: Box, cameras: Cameras, side: int
) -> Float[Tensor, "b h w"]:
    """Largest density on the ray of each pixel: the outline at any level is where the peak exceeds it."""
    size, half = len(density), bounds.high[0]
    radius = half * 3**0.5
    distance = torch.linspace(-radius, radius, int(size * 1.5))
    peaks = []
    for view in range(len(cameras)):
        camera = cameras[[view]]
        origins, directions = (v.reshape(-1, 3) for v in rays(camera, (side, side)))
        middle = float(camera.position.norm())
        points = origins[:, None] + (distance + middle)[:, None] * directions[:, None]
        values = trilinear(density[..., None], bounds, points.reshape(-1, 3))
        peaks.append(values.reshape(side, side, -1).amax(-1))
    return torch.stack(peaks)


def best_level(peak: Float[Tensor, "b h w"], solid: Bool[Tensor, "b h w"]) -> float:
    """The level whose outline has the largest intersection over union with the solid pixels.

    Every level between two peaks is tried at once: sorted by peak, the k highest pixels are the outline.
    Where no pixel is solid, the level lies under the highest peak.
    """
    value, order = peak.flatten().sort(descending=True, stable=True)
    inside = solid.flatten()[order].double()
    both = inside.cumsum(0)
    union = torch.arange(1, len(value) + 1) + inside.sum() - both
    score = torch.where(value > 0, both / union.clamp_min(1), -1.0)
    best = int(score.argmax())
    below = float(value[best + 1]) if best + 1 < len(value) else 0.0
    return max(0.5 * (float(value[best]) + below), 1e-4 * float(value[0]))
