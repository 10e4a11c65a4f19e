"""gsplat 1.5.3's own torch reference on the CPU: the oracle of the Gaussian rasterizer, and its benchmark.

gsplat's functions do projection, spherical harmonics, alpha and blending. Three pieces that it leaves to CUDA
are replaced here by vectorised torch: which (Gaussian, pixel) pairs count, and the two functions of nerfacc
(product of transmittances along a pixel's list, sum over it).
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from sds3d.representations.raster.gaussians import opencv_view
from torch import Tensor

from sds3d.core.cameras import Cameras

TILE = 16


def _render_weight_from_alpha(alphas: Tensor, ray_indices: Tensor, n_rays: int) -> tuple[Tensor, Tensor]:
    logs = torch.log1p(-alphas.double())
    before = torch.cumsum(logs, 0) - logs
    first = torch.searchsorted(ray_indices, ray_indices)
    through = torch.exp(before - before[first]).to(alphas.dtype)
    return alphas * through, through


def _accumulate_along_rays(
    weights: Tensor, values: Tensor | None, ray_indices: Tensor, n_rays: int
) -> Tensor:
    source = weights[:, None] if values is None else weights[:, None] * values
    return torch.zeros(n_rays, source.shape[1], dtype=source.dtype).index_add(0, ray_indices, source)


@contextmanager
def _nerfacc_on_the_cpu() -> Iterator[None]:
    """The two functions in place of nerfacc, whether it is installed or not, for as long as gsplat asks."""
    fake = types.ModuleType("nerfacc")
    fake.render_weight_from_alpha = _render_weight_from_alpha
    fake.accumulate_along_rays = _accumulate_along_rays
    real = sys.modules.get("nerfacc")
    sys.modules["nerfacc"] = fake
    try:
        yield
    finally:
        del sys.modules["nerfacc"]
        if real is not None:
            sys.modules["nerfacc"] = real


@torch.no_grad()
def contributing_pairs(means2d, conics, opacities, radii, depths, width, height) -> tuple[Tensor, Tensor]:
    """Gaussian and pixel of every pair that contributes, by pixel and then by depth (one image)."""
    order = torch.argsort(depths, stable=True)
    order = order[(radii[order] > 0).all(1)]
    mean, radius, conic, opacity = means2d[order], radii[order], conics[order], opacities[order]
    gaussians, pixels = [], []
    for top in range(0, height, TILE):
        row = (mean[:, 1] + radius[:, 1] > top) & (mean[:, 1] - radius[:, 1] < top + TILE)
        for left in range(0, width, TILE):
            hit = torch.nonzero(
                row & (mean[:, 0] + radius[:, 0] > left) & (mean[:, 0] - radius[:, 0] < left + TILE)
            )[:, 0]
            y, x = torch.meshgrid(
                torch.arange(top, min(top + TILE, height)),
                torch.arange(left, min(left + TILE, width)),
                indexing="ij",
            )
            x, y = x.flatten(), y.flatten()
            dx, dy = x[:, None] + 0.5 - mean[hit, 0], y[:, None] + 0.5 - mean[hit, 1]
            a, b, c = conic[hit].unbind(1)
            sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
            alpha = (opacity[hit] * torch.exp(-sigma)).clamp_max(0.999)
            counted = (alpha >= 1 / 255) & (sigma >= 0)
            kept = counted & (torch.cumprod(1 - alpha * counted, 1) > 1e-4)
            pixel, place = torch.nonzero(kept, as_tuple=True)
            gaussians.append(order[hit[place]])
            pixels.append((y * width + x)[pixel])
    gaussian, pixel = torch.cat(gaussians), torch.cat(pixels)
    by_pixel = torch.argsort(pixel, stable=True)
    return gaussian[by_pixel], pixel[by_pixel]


def reference_projection(means, scales, rotations, sh, cameras: Cameras, size, near=0.01):
    """gsplat's radii (B, N, 2), means2d (B, N, 2), depths (B, N), conics (B, N, 3), colours (B, N, 3)."""
    from gsplat.cuda._torch_impl import (
        _fully_fused_projection,
        _quat_scale_to_covar_preci,
        _spherical_harmonics,
    )

    height, width = size
    intrinsics = cameras.intrinsics(size)
    bottom = torch.tensor([[[0.0, 0.0, 0.0, 1.0]]]).expand(len(cameras), 1, 4)
    view = torch.cat([opencv_view(cameras), bottom], dim=1)
    covariance, _ = _quat_scale_to_covar_preci(rotations, scales, True, False)
    radii, means2d, depths, conics, _ = _fully_fused_projection(
        means, covariance, view, intrinsics, width, height, near_plane=near
    )
    directions = means[None] - cameras.position[:, None]
    degree = int(sh.shape[1] ** 0.5) - 1
    colours = _spherical_harmonics(degree, directions, sh.expand(len(view), -1, -1, -1)) + 0.5
    return radii, means2d, depths, conics, colours.clamp_min(0)


def reference_blend(projection, opacities, size, background):
    """(rgb (B, 3, H, W), alpha (B, 1, H, W), depth (B, 1, H, W)) by gsplat's `accumulate`."""
    from gsplat.cuda._torch_impl import accumulate

    height, width = size
    radii, means2d, depths, conics, colours = projection
    images = []
    for b in range(len(radii)):
        gaussian, pixel = contributing_pairs(
            means2d[b], conics[b], opacities, radii[b], depths[b], width, height
        )
        values = torch.cat([colours[b], depths[b][:, None]], 1)
        with _nerfacc_on_the_cpu():
            render, alpha = accumulate(
                means2d[b : b + 1], conics[b : b + 1], opacities[None], values[None], gaussian, pixel,
                torch.zeros_like(pixel), width, height,
            )  # fmt: skip
        rgb = render[0, ..., :3] + background[b] * (1 - alpha[0])
        depth = render[0, ..., 3:] / alpha[0].clamp_min(1e-10)
        images.append(torch.cat([rgb, alpha[0], depth], -1).permute(2, 0, 1))
    stacked = torch.stack(images)
    return stacked[:, :3], stacked[:, 3:4], stacked[:, 4:]


def reference(means, scales, rotations, opacities, sh, cameras: Cameras, size, background, near=0.01):
    """gsplat's picture, with gradients by autograd."""
    projection = reference_projection(means, scales, rotations, sh, cameras, size, near)
    return reference_blend(projection, opacities, size, background)
