"""The definition of Gaussian splatting in plain torch: the twin of the fast kernels, differentiated by autograd.

3D Gaussian Splatting for Real-Time Radiance Field Rendering (Kerbl et al., 2023, arXiv 2308.04079), with the
conventions of gsplat 1.5.3's "classic" mode: a blur of 0.3 px² on the image covariance, alpha at most 0.999,
contributions under 1/255 skipped, a pixel closed before its transmittance falls to 1e-4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

BLUR = 0.3  # px², added to both variances of the projected Gaussian
MAX_ALPHA = 0.999
MIN_ALPHA = 1 / 255
MIN_TRANSMITTANCE = 1e-4
MAX_EXTENT = 3.33  # standard deviations; beyond it even opacity 1 is under MIN_ALPHA
FIELD_MARGIN = 1.3  # the projection's derivative is taken at most this far out, in half-widths of the image
TILE = 16  # pixels; only groups the work, the result does not depend on it


@dataclass(frozen=True)
class Splats:
    """The M Gaussians that one camera sees, projected; M <= N.

    Args:
        index: (M,) which of the N Gaussians.
        mean: (M, 2) pixels, x right and y down, (0.5, 0.5) the centre of the top left pixel.
        conic: (M, 3) entries xx, xy, yy of the inverse image covariance, 1/px².
        depth: (M,) distance along the view axis. radius: (M, 2) half-widths of the bounding box, whole pixels.
        colour: (M, 3). opacity: (M,).
    """

    index: Int[Tensor, " m"]
    mean: Float[Tensor, "m 2"]
    conic: Float[Tensor, "m 3"]
    depth: Float[Tensor, " m"]
    radius: Float[Tensor, "m 2"]
    colour: Float[Tensor, "m 3"]
    opacity: Float[Tensor, " m"]

    def take(self, rows: Tensor) -> Splats:
        """The splats of those rows, in that order."""
        return Splats(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def rasterize(
    means: Float[Tensor, "n 3"],
    scales: Float[Tensor, "n 3"],
    rotations: Float[Tensor, "n 4"],
    opacities: Float[Tensor, " n"],
    sh: Float[Tensor, "n k 3"],
    view: Float[Tensor, "b 3 4"],
    centre: Float[Tensor, "b 3"],
    focal: Float[Tensor, " b"],
    background: Float[Tensor, "b 3"],
    probe: Float[Tensor, "b n 2"] | None,
    size: tuple[int, int],
    near: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(rgb, alpha, depth, radii) of every camera; see raster.gaussians.rasterize_gaussians.

    Args:
        view: world to camera, camera axes right, down, forward. centre: the cameras' positions.
        focal: pixels, the same in x and y.
    """
    covariance = covariance_matrix(scales, rotations)
    images, radii = [], torch.zeros(len(view), len(means), dtype=torch.int32, device=means.device)
    for b in range(len(view)):
        shift = None if probe is None else probe[b]
        splats = project(means, covariance, opacities, sh, view[b], centre[b], focal[b], shift, size, near)
        radii[b, splats.index] = splats.radius.amax(dim=1).to(torch.int32)
        order = torch.argsort(splats.depth, stable=True)
        images.append(composite(splats.take(order), size))
    layers = torch.stack(images)
    colour, depth_sum, through = layers[:, :3], layers[:, 3:4], layers[:, 4:]
    alpha = 1 - through
    rgb = colour + through * background[:, :, None, None]
    return rgb, alpha, depth_sum / alpha.clamp_min(1e-10), radii


def rotation_matrix(rotations: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3 3"]:
    """(N, 3, 3) rotations of the quaternions w, x, y, z, which need not have unit length."""
    w, x, y, z = torch.nn.functional.normalize(rotations, dim=1).unbind(1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def covariance_matrix(
    scales: Float[Tensor, "n 3"], rotations: Float[Tensor, "n 4"]
) -> Float[Tensor, "n 3 3"]:
    """(N, 3, 3) world covariances R S Sᵀ Rᵀ, S = diag(standard deviations)."""
    half = rotation_matrix(rotations) * scales[:, None, :]
    return half @ half.transpose(1, 2)


def project(
    means: Tensor,
    covariance: Tensor,
    opacities: Tensor,
    sh: Tensor,
    view: Float[Tensor, "3 4"],
    centre: Float[Tensor, " 3"],
    focal: Tensor,
    shift: Float[Tensor, "n 2"] | None,
    size: tuple[int, int],
    near: float,
) -> Splats:
    """The splats of one camera: those in front of `near` whose bounding box meets the image.

    The image covariance is J W Σ Wᵀ Jᵀ + 0.3 I with J the derivative of the perspective projection (EWA
    splatting, Zwicker et al. 2001). The bounding box holds all that reaches MIN_ALPHA: a box of
    min(3.33, sqrt(2 ln(255 opacity))) standard deviations.
    """
    height, width = size
    rotation = view[:, :3]
    local = means @ rotation.T + view[:, 3]
    index = torch.nonzero((local[:, 2] > near) & (opacities > MIN_ALPHA))[:, 0]
    x, y, z = local[index].unbind(1)

    limit_x, limit_y = (FIELD_MARGIN * 0.5 * extent / focal for extent in (width, height))
    slope_x = torch.minimum(torch.maximum(x / z, -limit_x), limit_x)
    slope_y = torch.minimum(torch.maximum(y / z, -limit_y), limit_y)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [focal / z, zero, -focal * slope_x / z, zero, focal / z, -focal * slope_y / z], dim=1
    )
    half = jacobian.reshape(-1, 2, 3) @ rotation
    image = half @ covariance[index] @ half.transpose(1, 2)
    xx, xy, yy = image[:, 0, 0] + BLUR, image[:, 0, 1], image[:, 1, 1] + BLUR
    det = xx * yy - xy * xy
    conic = torch.stack([yy, -xy, xx], dim=1) / det[:, None]

    mean = torch.stack([focal * x / z + width / 2, focal * y / z + height / 2], dim=1)
    if shift is not None:
        mean = mean + shift[index]
    with torch.no_grad():
        reach = torch.sqrt(2 * torch.log(opacities[index] / MIN_ALPHA)).clamp_max(MAX_EXTENT)
        radius = torch.ceil(reach[:, None] * torch.stack([xx, yy], dim=1).sqrt())
        extent = torch.tensor([width, height], dtype=mean.dtype, device=mean.device)
        meets = ((mean + radius > 0) & (mean - radius < extent)).all(dim=1) & (det > 0)
    colour = sh_colour(sh[index], means[index] - centre)
    return Splats(index, mean, conic, z, radius, colour, opacities[index]).take(torch.nonzero(meets)[:, 0])


def sh_colour(sh: Float[Tensor, "m k 3"], direction: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
    """(M, 3) colours max(0, ½ + Σ_k Y_k(direction) sh_k), from the camera towards the Gaussian; any length."""
    basis = sh_basis(torch.nn.functional.normalize(direction, dim=1), sh.shape[1])
    return ((basis[:, :, None] * sh).sum(dim=1) + 0.5).clamp_min(0)


def sh_basis(direction: Float[Tensor, "m 3"], count: int) -> Float[Tensor, "m k"]:
    """The first 1, 4, 9 or 16 real spherical harmonics at unit vectors, in the order and signs of 3DGS files:
    within a degree from m = -l to l, with the Condon-Shortley phase."""
    x, y, z = direction.unbind(1)
    xx, yy, zz = x * x, y * y, z * z
    c1 = math.sqrt(3 / (4 * math.pi))
    c2 = math.sqrt(15 / (4 * math.pi))
    c33, c31 = math.sqrt(35 / (32 * math.pi)), math.sqrt(21 / (32 * math.pi))
    c32, c30 = math.sqrt(105 / (4 * math.pi)), math.sqrt(7 / (16 * math.pi))
    values = [torch.full_like(x, 0.5 / math.sqrt(math.pi))]
    if count > 1:
        values += [-c1 * y, c1 * z, -c1 * x]
    if count > 4:
        values += [
            c2 * x * y,
            -c2 * y * z,
            c2 / math.sqrt(12) * (3 * zz - 1),
            -c2 * x * z,
            c2 / 2 * (xx - yy),
        ]
    if count > 9:
        values += [
            -c33 * y * (3 * xx - yy),
            c32 * x * y * z,
            -c31 * y * (5 * zz - 1),
            c30 * z * (5 * zz - 3),
            -c31 * x * (5 * zz - 1),
            c32 / 2 * z * (xx - yy),
            -c33 * x * (xx - 3 * yy),
        ]
    return torch.stack(values, dim=1)


def composite(splats: Splats, size: tuple[int, int]) -> Float[Tensor, "5 h w"]:
    """(5, H, W): Σ weight·colour (3), Σ weight·depth, transmittance left. `splats` come nearest first."""
    height, width = size
    rows = []
    for top in range(0, height, TILE):
        bottom = min(top + TILE, height)
        near_row = _between(splats.mean[:, 1], splats.radius[:, 1], top, bottom)
        row = []
        for left in range(0, width, TILE):
            right = min(left + TILE, width)
            touching = near_row & _between(splats.mean[:, 0], splats.radius[:, 0], left, right)
            row.append(_composite_tile(splats.take(torch.nonzero(touching)[:, 0]), left, right, top, bottom))
        rows.append(torch.cat(row, dim=2))
    return torch.cat(rows, dim=1)


def _between(centre: Tensor, radius: Tensor, low: int, high: int) -> Tensor:
    return (centre.detach() + radius > low) & (centre.detach() - radius < high)


def _composite_tile(splats: Splats, left: int, right: int, top: int, bottom: int) -> Float[Tensor, "5 h w"]:
    kind: dict[str, Any] = {"dtype": splats.mean.dtype, "device": splats.mean.device}
    y, x = torch.meshgrid(torch.arange(top, bottom, **kind), torch.arange(left, right, **kind), indexing="ij")
    dx = x[..., None] + 0.5 - splats.mean[:, 0]
    dy = y[..., None] + 0.5 - splats.mean[:, 1]
    xx, xy, yy = splats.conic.unbind(1)
    falloff = torch.exp(-0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy)
    alpha = (splats.opacity * falloff).clamp_max(MAX_ALPHA)
    with torch.no_grad():
        counted = alpha >= MIN_ALPHA
        # a splat that would close the pixel is left out, with all behind it
        open_after = torch.cumprod(1 - alpha * counted, dim=2) > MIN_TRANSMITTANCE
    alpha = torch.where(counted & open_after, alpha, 0)
    first = torch.ones(*alpha.shape[:2], 1, **kind)
    through = torch.cumprod(torch.cat([first, 1 - alpha], dim=2), dim=2)
    weight = alpha * through[..., :-1]
    values = torch.cat([splats.colour, splats.depth[:, None]], dim=1)
    return torch.cat([weight @ values, through[..., -1:]], dim=2).permute(2, 0, 1)
