"""The Gaussian rasterizer of the package gsplat (Apache-2.0), where its compiled CUDA module is installed.

gsplat's wheel on PyPI carries sources, which it compiles at first use: minutes of silence, and an error where
the toolkit does not fit. That build is never started from here: only a compiled module that is there counts.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from sds3d.core.errors import NonFiniteError

from .compiled import obstacle
from .gaussians_twin import BLUR, TILE

FAR = 1e10  # nothing is too far to be drawn

ADVICE = "Warp kernels serve instead; docs/gpu.md says how to get a compiled gsplat"


@cache
def compiled_module() -> str:
    """Why gsplat's compiled module cannot be used; "" where it can."""
    return obstacle("gsplat", "gsplat", "gsplat.csrc", ADVICE)


def gsplat_status(device: torch.device) -> str:
    """Why gsplat cannot draw on that device; "" where it can."""
    if device.type != "cuda":
        return f"gsplat draws on CUDA devices, not on '{device.type}'"
    return compiled_module()


def rasterize(
    means: Tensor,
    scales: Tensor,
    rotations: Tensor,
    opacities: Tensor,
    sh: Tensor,
    view: Tensor,
    centre: Tensor,
    focal: Tensor,
    background: Tensor,
    probe: Tensor | None,
    size: tuple[int, int],
    near: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(rgb, alpha, depth, radii); the same arguments as the twin's `rasterize`, float32 on a CUDA device.

    No gradient reaches `focal`: gsplat has none of the intrinsics.
    Raises NonFiniteError when a value is not finite (it does not look which).
    """
    from gsplat import fully_fused_projection, rasterize_to_pixels, spherical_harmonics

    given = [means, scales, rotations, opacities, sh, view, centre, focal, background]
    given += [] if probe is None else [probe]
    if not _all_finite(given):
        raise NonFiniteError("rasterize_gaussians: an argument holds NaN or infinity")
    (height, width), views, count = size, len(view), len(means)
    matrices, intrinsics = _cameras(view, focal.detach(), size)
    radii, centres, distance, conics, _ = fully_fused_projection(
        means, None, rotations, scales, matrices, intrinsics, width, height,
        eps2d=BLUR, near_plane=near, far_plane=FAR, opacities=opacities,
    )  # fmt: skip
    if probe is not None:
        centres = centres + probe
    directions = means[None] - centre[:, None]
    coefficients = sh.expand(views, *sh.shape)
    degree = round(sh.shape[1] ** 0.5) - 1
    colour = (spherical_harmonics(degree, directions, coefficients) + 0.5).clamp_min(0)
    layers, alpha = rasterize_to_pixels(
        centres,
        conics,
        torch.cat([colour, distance[..., None]], dim=2),
        opacities.expand(views, count),
        width,
        height,
        TILE,
        *_lists(centres, radii, distance, size),
        backgrounds=torch.cat([background, torch.zeros_like(background[:, :1])], dim=1),
    )
    layers, alpha = layers.permute(0, 3, 1, 2), alpha.permute(0, 3, 1, 2)
    depth = layers[:, 3:] / alpha.clamp_min(1e-10)
    return layers[:, :3].contiguous(), alpha.contiguous(), depth, radii.amax(dim=2)


def _all_finite(given: list[Tensor]) -> bool:
    """With one wait for the device."""
    return bool(torch.stack([t.detach().isfinite().all() for t in given]).all())


def _cameras(view: Tensor, focal: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """World to camera (B, 4, 4), and intrinsics (B, 3, 3) with the principal point in the middle."""
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0], device=view.device).expand(len(view), 1, 4)
    intrinsics = torch.zeros(len(view), 3, 3, device=view.device)
    intrinsics[:, 0, 0] = intrinsics[:, 1, 1] = focal
    intrinsics[:, 0, 2], intrinsics[:, 1, 2], intrinsics[:, 2, 2] = size[1] / 2, size[0] / 2, 1.0
    return torch.cat([view, bottom], dim=1), intrinsics


def _lists(centres: Tensor, radii: Tensor, distance: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(offsets (B, rows, columns), flat indices): the Gaussians of every tile, nearest first."""
    from gsplat import isect_offset_encode, isect_tiles

    columns, rows = -(-size[1] // TILE), -(-size[0] // TILE)
    _, keys, index = isect_tiles(centres, radii, distance, TILE, columns, rows)
    offsets = isect_offset_encode(keys, len(centres), columns, rows)
    return offsets.reshape(len(centres), rows, columns), index
