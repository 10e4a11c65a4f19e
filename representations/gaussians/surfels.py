"""Pictures of flat Gaussians, and what their normals and depths should agree on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sds3d.core.cameras import Cameras, rays
from sds3d.core.look import Look, Render

from ..raster.dispatch import Implementation
from ..raster.surfels import rasterize_surfels
from .parameters import Parameters
from .regularise import gamut

SOLID = 0.5
"""Alpha above which the depth of a pixel counts as a surface."""


def render(
    parameters: Parameters,
    harmonics: int,
    look: Look,
    probe: Float[Tensor, "b n 2"] | None,
    implementation: Implementation,
) -> Render:
    """rgb over the background, alpha, depth, normal (unit length, world axes), distortion, radii; with gradients also
    "bent", see `against_depth`."""
    assert look.cameras is not None
    p = parameters
    cameras = look.cameras.to(p.means.device)
    out = rasterize_surfels(
        p.means,
        p.scales[:, :2],
        p.rotations,
        p.opacities,
        p.sh(harmonics),
        cameras,
        look.size,
        look.background.to(p.means),
        probe=probe,
        implementation=implementation,
    )
    shown = {
        "rgb": gamut(out.rgb),
        "alpha": out.alpha,
        "depth": out.depth,
        "normal": F.normalize(out.normal, dim=1, eps=1e-8),
        "distortion": out.distortion,
        "radii": out.radii,
    }
    if not torch.is_grad_enabled():
        return shown
    return shown | {"bent": against_depth(out.normal, out.alpha, out.depth, cameras)}


def against_depth(
    normal: Float[Tensor, "b 3 h w"],
    alpha: Float[Tensor, "b 1 h w"],
    depth: Float[Tensor, "b 1 h w"],
    cameras: Cameras,
) -> Float[Tensor, "b 1 h w"]:
    """Σ_i w_i (1 - n_i · N): how far the surfels' normals are from N, that of the surface which the depth map shows.

    "2D Gaussian Splatting for Geometrically Accurate Radiance Fields" (Huang et al., 2024, arXiv 2403.17888), §5. N is
    found from the pixels left, right, above and below; where one of them is not solid, nothing is asked.

    Args:
        normal: Σ w n. alpha: Σ w.
    """
    surface, known = depth_normals(alpha, depth, cameras)
    return torch.where(known, alpha - (normal * surface).sum(1, keepdim=True), 0.0)


def depth_normals(
    alpha: Float[Tensor, "b 1 h w"], depth: Float[Tensor, "b 1 h w"], cameras: Cameras
) -> tuple[Float[Tensor, "b 3 h w"], Tensor]:
    """Normals of the surface of a depth map, towards the camera, world axes; and where they are known (B, 1, H, W)."""
    origin, direction = (v.to(depth) for v in rays(cameras, (depth.shape[2], depth.shape[3])))
    ahead = -cameras.c2w[:, None, None, :3, 2].to(depth)
    along = depth[:, 0, :, :, None] / (direction * ahead).sum(-1, keepdim=True)
    point = F.pad((origin + along * direction).permute(0, 3, 1, 2), (1, 1, 1, 1), mode="replicate")
    across = point[:, :, 1:-1, 2:] - point[:, :, 1:-1, :-2]
    down = point[:, :, 2:, 1:-1] - point[:, :, :-2, 1:-1]
    # right × down points away from the camera
    normal = F.normalize(torch.linalg.cross(down, across, dim=1), dim=1, eps=1e-12)
    solid = F.pad((alpha.detach() > SOLID).to(depth), (1, 1, 1, 1))
    return normal, -F.max_pool2d(-solid, 3, stride=1) > 0
