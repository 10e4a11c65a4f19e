"""The definition of drawing flat Gaussians in plain torch: the twin of the kernels, differentiated by autograd.

"2D Gaussian Splatting for Geometrically Accurate Radiance Fields", Huang, Yu, Chen, Geiger and Gao, SIGGRAPH 2024,
arXiv 2403.17888, §4: a surfel spans c + u a + v b, u and v in standard deviations. With T the rows of pixel x, pixel y
and depth times (a, b, c), a pixel (x, y) sees the point of the surfel where

    T_x (u, v, 1) = x z,   T_y (u, v, 1) = y z,   z = T_z (u, v, 1)
    (u, v, 1) ~ (x T_z - T_x) × (y T_z - T_y)

and its weight there is exp(-½ min(u² + v², 2 |pixel - centre|²)): a surfel seen edge-on is half a pixel wide. Limits of
alpha and transmittance are those of the 3D Gaussians.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .gaussians_twin import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE

EDGE_ON = 1e-9
"""|third component of the cross product| under which a surfel counts as seen edge-on, pixel² · world²."""

CHANNELS = 10
"""colour 3, normal 3, depth, depth², distortion, transmittance."""


def composite(
    transform: Float[Tensor, "b n 3 3"],
    centre: Float[Tensor, "b n 2"],
    values: Float[Tensor, "b n 6"],
    opacities: Float[Tensor, " n"],
    order: Int[Tensor, "b n"],
    box: Int[Tensor, "b n 4"],
    size: tuple[int, int],
    near: float,
) -> Float[Tensor, "b 10 h w"]:
    """Front to back, with w_i = alpha_i Π_{j<i} (1 - alpha_j):

    Σ w colour, Σ w normal, Σ w z, Σ w z², Σ_{j<i} w_i w_j (z_i - z_j)², Π (1 - alpha).

    Args:
        transform: T. centre: of each surfel in pixels. values: colour and normal.
        order: nearest first, -1 for those that are not drawn. box: what holds all that counts, not needed here.
    """
    height, width = size
    kind: dict[str, Any] = {"dtype": transform.dtype, "device": transform.device}
    y, x = torch.meshgrid(torch.arange(height, **kind), torch.arange(width, **kind), indexing="ij")
    pixel = torch.stack([x, y], dim=-1).reshape(-1, 1, 2) + 0.5
    views = []
    for b in range(len(transform)):
        rows = order[b][order[b] >= 0].long()
        alpha, z = _alphas(pixel, transform[b, rows], centre[b, rows], opacities[rows], near)
        views.append(_blend(alpha, z, values[b, rows]).T.reshape(CHANNELS, height, width))
    return torch.stack(views)


def _alphas(
    pixel: Float[Tensor, "p 1 2"],
    transform: Float[Tensor, "n 3 3"],
    centre: Float[Tensor, "n 2"],
    opacities: Float[Tensor, " n"],
    near: float,
) -> tuple[Float[Tensor, "p n"], Float[Tensor, "p n"]]:
    """What each surfel covers of each pixel, 0 where it does not count, and the depth there."""
    across, down, away = transform.unbind(1)
    point = torch.linalg.cross(pixel[..., :1] * away - across, pixel[..., 1:] * away - down)
    facing = point[..., 2].abs() > EDGE_ON
    third = torch.where(facing, point[..., 2], 1.0)
    u, v = point[..., 0] / third, point[..., 1] / third
    inside, around = u * u + v * v, 2 * (pixel - centre).square().sum(2)
    met = facing & (inside <= around)
    z = torch.where(met, away[:, 0] * u + away[:, 1] * v + away[:, 2], away[:, 2])
    alpha = (opacities * torch.exp(-0.5 * torch.where(met, inside, around))).clamp_max(MAX_ALPHA)
    with torch.no_grad():
        counted = (alpha >= MIN_ALPHA) & (z > near)
        # a surfel that would close the pixel is left out, with all behind it
        counted &= torch.cumprod(1 - alpha * counted, dim=1) > MIN_TRANSMITTANCE
    return torch.where(counted, alpha, 0.0), z


def _blend(
    alpha: Float[Tensor, "p n"], z: Float[Tensor, "p n"], values: Float[Tensor, "n 6"]
) -> Float[Tensor, "p 10"]:
    through = torch.cumprod(torch.cat([alpha.new_ones(len(alpha), 1), 1 - alpha], dim=1), dim=1)
    weight = alpha * through[:, :-1]
    first, second = weight * z, weight * z * z
    before = [part.cumsum(1) - part for part in (weight, first, second)]
    distortion = (weight * (z * z * before[0] + before[2] - 2 * z * before[1])).sum(1)
    sums = [first.sum(1), second.sum(1), distortion, through[:, -1]]
    return torch.cat([weight @ values, torch.stack(sums, dim=1)], dim=1)
