"""Flat Gaussians (surfels): one signature over the native kernel, the CUDA kernels and the twin.

Formulas and the reference implementation are in `surfels_twin`; how surfels come before the camera is here, in torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from sds3d.core.cameras import Cameras

from . import surfels_native, surfels_twin
from .dispatch import Implementation, RasterError, choose
from .finite import require_finite
from .gaussians import opencv_view
from .gaussians_twin import MAX_EXTENT, MIN_ALPHA, rotation_matrix, sh_colour

THIN = 0.5**0.5 * MAX_EXTENT
"""Pixels around its centre that even a surfel seen edge-on may reach."""


@dataclass(frozen=True)
class SurfelRender:
    """B views of N surfels.

    Args:
        rgb: (B, 3, H, W) over the background. alpha: (B, 1, H, W) in [0, 1].
        depth: (B, 1, H, W) mean distance along the view axis, world units; 0 where alpha is 0.
        normal: (B, 3, H, W) weighted sum of unit normals that look towards the camera, world axes; at most alpha long.
        distortion: (B, 1, H, W) Σ_{j<i} w_i w_j (z_i - z_j)², world units squared.
        radii: (B, N) int32, the larger half-width in pixels of each surfel's box; 0 = not drawn.
    """

    rgb: Float[Tensor, "b 3 h w"]
    alpha: Float[Tensor, "b 1 h w"]
    depth: Float[Tensor, "b 1 h w"]
    normal: Float[Tensor, "b 3 h w"]
    distortion: Float[Tensor, "b 1 h w"]
    radii: Int32[Tensor, "b n"]


def rasterize_surfels(
    means: Float[Tensor, "n 3"],
    scales: Float[Tensor, "n 2"],
    rotations: Float[Tensor, "n 4"],
    opacities: Float[Tensor, " n"],
    sh: Float[Tensor, "n k 3"],
    cameras: Cameras,
    size: tuple[int, int],
    background: Float[Tensor, "b 3"],
    *,
    near: float = 0.01,
    probe: Float[Tensor, "b n 2"] | None = None,
    implementation: Implementation = "auto",
) -> SurfelRender:
    """Draw N flat Gaussians from B cameras; differentiable in every float argument.

    Args:
        means: (N, 3) world positions. scales: (N, 2) standard deviations along the first two axes of `rotations`.
        rotations: (N, 4) quaternions w, x, y, z of any length; the third axis is the normal, either way.
        opacities: (N,) in [0, 1]. sh: (N, K, 3) as for `rasterize_gaussians`.
        size: (height, width) in pixels. background: (B, 3) RGB.
        near: surfels whose centre is not farther than this are not drawn, nor are parts that are nearer.
        probe: (B, N, 2) zeros, added to the surfels' places in the picture, in pixels (x right, y down).
        implementation: "auto" takes the fastest that is there, see raster.dispatch.

    Raises:
        RasterError: shapes, types or devices that do not fit, or no implementation for the device.
        NonFiniteError: NaN or infinity in an argument; the text names the array.
    """
    floats = {"means": means, "scales": scales, "rotations": rotations, "opacities": opacities, "sh": sh}
    floats |= {"background": background} | ({} if probe is None else {"probe": probe})
    _check(floats, cameras, size)
    composite = _implementation(implementation, means)
    view, position = opencv_view(cameras).to(means), cameras.position.to(means)
    transform, normal = _before(
        means, scales, rotations, view, position, cameras.focal(size[0]).to(means), size
    )
    if probe is not None:
        shift = torch.cat([probe, torch.zeros_like(probe[..., :1])], dim=2)
        transform = transform + shift[..., None] * transform[:, :, 2:]
    order, box, radii = _boxes(transform.detach(), opacities.detach(), size, near)
    # what is not drawn may lie in the camera's plane, where its centre is no number
    depth = torch.where(radii > 0, transform[..., 2, 2], 1.0)
    centre = transform[..., :2, 2] / depth[..., None]
    colour = torch.stack([sh_colour(sh, means - p) for p in position])
    values = torch.cat([colour, normal], dim=2)
    out = composite(transform, centre, values, opacities, order, box, size, near)
    rgb, toward, depth, _, distortion, through = out.split([3, 3, 1, 1, 1, 1], dim=1)
    alpha = 1 - through
    rgb = rgb + through * background[:, :, None, None]
    return SurfelRender(rgb, alpha, depth / alpha.clamp_min(1e-10), toward, distortion, radii)


def _implementation(implementation: Implementation, means: Tensor) -> Callable[..., Tensor]:
    offers = ("native", "twin", "warp")
    choice = choose("rasterize_surfels", implementation, means.device, means.dtype, offers=offers)
    if choice == "native":
        return surfels_native.composite
    if choice == "warp":
        from .warp import surfels as surfels_warp

        return surfels_warp.composite
    return surfels_twin.composite


def _before(
    means: Tensor,
    scales: Tensor,
    rotations: Tensor,
    view: Tensor,
    position: Tensor,
    focal: Tensor,
    size: tuple[int, int],
) -> tuple[Float[Tensor, "b n 3 3"], Float[Tensor, "b n 3"]]:
    """T of surfels_twin, and the normals towards the camera in world axes."""
    axes = rotation_matrix(rotations)
    columns = torch.stack([axes[:, :, 0] * scales[:, :1], axes[:, :, 1] * scales[:, 1:], means], dim=2)
    local = torch.einsum("bij,njk->bnik", view[:, :, :3], columns)
    local = local + torch.nn.functional.pad(view[:, None, :, 3:], (2, 0))
    height, width = size
    x, y, z = local.unbind(2)
    f = focal[:, None, None]
    transform = torch.stack([f * x + 0.5 * width * z, f * y + 0.5 * height * z, z], dim=2)
    normal = axes[:, :, 2]
    away = ((means - position[:, None]) * normal).sum(2, keepdim=True)
    return transform, torch.where(away > 0, -normal, normal)


def _boxes(
    transform: Float[Tensor, "b n 3 3"], opacities: Float[Tensor, " n"], size: tuple[int, int], near: float
) -> tuple[Int32[Tensor, "b n"], Int[Tensor, "b n 4"], Int32[Tensor, "b n"]]:
    """Which surfels are drawn in which order, and the pixels (left, top, right, bottom) that hold all that counts.

    The circle u² + v² = r² is seen between the lines x with <T_x - x T_z, T_x - x T_z> = 0 for the product
    <a, b> = r² (a_1 b_1 + a_2 b_2) - a_3 b_3, likewise y. A surfel that reaches beside or behind the camera
    (<T_z, T_z> >= 0) is not drawn.
    """
    metric = transform.new_tensor([MAX_EXTENT**2, MAX_EXTENT**2, -1.0])
    rows = transform[..., :2, :]
    away = transform[..., 2:, :]
    depth = transform[..., 2, 2]
    square = (away * away * metric).sum(-1)
    whole = (square < 0).all(-1) & (depth > near) & (opacities > MIN_ALPHA)
    square = torch.where(whole[..., None], square, -1.0)
    middle = (rows * away * metric).sum(-1) / square
    reach = (middle.square() - (rows * rows * metric).sum(-1) / square).clamp_min(0.0).sqrt()
    centre = torch.where(whole[..., None], transform[..., :2, 2] / depth[..., None], 0.0)
    low = torch.minimum(middle - reach, centre - THIN).floor()
    high = torch.maximum(middle + reach, centre + THIN).ceil()
    limit = transform.new_tensor([size[1], size[0]])
    seen = whole & ((high > 0) & (low < limit)).all(-1)
    low, high = (torch.minimum(v.clamp_min(0.0), limit) for v in (low, high))
    box = torch.where(seen[..., None], torch.cat([low, high], dim=-1), 0.0).to(torch.int32)
    radii = torch.where(seen, torch.maximum(reach, reach.new_tensor(THIN)).amax(-1).ceil(), 0.0).to(
        torch.int32
    )
    order = torch.where(seen, depth, torch.inf).argsort(dim=1, stable=True).to(torch.int32)
    place = torch.arange(order.shape[1], device=order.device)
    return torch.where(place < seen.sum(1, keepdim=True), order, -1), box, radii


def _check(arrays: dict[str, Tensor], cameras: Cameras, size: tuple[int, int]) -> None:
    count, views = len(arrays["means"]), len(cameras)
    wanted: dict[str, tuple[int, ...]] = {
        "means": (count, 3),
        "scales": (count, 2),
        "rotations": (count, 4),
        "opacities": (count,),
        "sh": (count, arrays["sh"].shape[1] if arrays["sh"].ndim == 3 else 1, 3),
        "background": (views, 3),
        "probe": (views, count, 2),
    }
    like = arrays["means"]
    for name, array in arrays.items():
        if tuple(array.shape) != wanted[name]:
            raise RasterError(
                f"rasterize_surfels: {name} has shape {tuple(array.shape)}, expected {wanted[name]}"
            )
        if array.dtype != like.dtype or array.device != like.device:
            raise RasterError(
                f"rasterize_surfels: {name} is {array.dtype} on {array.device}, means {like.dtype} on {like.device}"
            )
        require_finite("rasterize_surfels", name, array)
    if not views or min(size) < 1:
        raise RasterError(
            f"rasterize_surfels: {views} cameras, image size {tuple(size)}: all must be positive"
        )
