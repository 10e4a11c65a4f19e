"""Gaussian splatting: one signature over the native kernel, CUDA kernels and the twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from sds3d.core.cameras import Cameras
from sds3d.core.errors import NonFiniteError

from . import gaussians_native, gaussians_twin
from .dispatch import Implementation, RasterError, choose

SH_COUNTS = (1, 4, 9, 16)


@dataclass(frozen=True)
class GaussianRender:
    """B views of N Gaussians.

    Args:
        rgb: (B, 3, H, W) over the background; at least 0, above 1 where the Gaussians' colours are.
        alpha: (B, 1, H, W) in [0, 1].
        depth: (B, 1, H, W) expected distance along the view axis, world units; 0 where alpha is 0.
        radii: (B, N) int32, the larger half-width in pixels of each Gaussian's bounding box; 0 = not drawn.
    """

    rgb: Float[Tensor, "b 3 h w"]
    alpha: Float[Tensor, "b 1 h w"]
    depth: Float[Tensor, "b 1 h w"]
    radii: Int32[Tensor, "b n"]


def rasterize_gaussians(
    means: Float[Tensor, "n 3"],
    scales: Float[Tensor, "n 3"],
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
) -> GaussianRender:
    """Draw N Gaussians from B cameras; differentiable in every float argument and in the cameras.

    3D Gaussian Splatting (Kerbl et al., 2023, arXiv 2308.04079) with gsplat 1.5.3's "classic" conventions:
    blur 0.3 px², alpha = min(0.999, opacity·exp(-s)), nothing under 1/255, a pixel closed before its
    transmittance falls to 1e-4, front to back by depth of the centres.

    Args:
        means: (N, 3) world positions.
        scales: (N, 3) standard deviations in world units, along the axes of `rotations`.
        rotations: (N, 4) quaternions w, x, y, z of any length (normalised here).
        opacities: (N,) in [0, 1].
        sh: (N, K, 3) spherical harmonics of degree 0 to 3, K = 1, 4, 9 or 16, in the order and signs of 3DGS
            files; the colour seen is max(0, ½ + Σ_k Y_k sh_k).
        cameras: B cameras. Gradients reach c2w (taken as rigid) and fov_y_deg where they require one.
        size: (height, width) in pixels.
        background: (B, 3) RGB.
        near: Gaussians whose centre is not farther than this along the view axis are not drawn.
        probe: (B, N, 2) zeros, added to the projected centres in pixels (x right, y down): its gradient is
            what densification measures.
        implementation: "auto" takes the fastest that is there, see raster.dispatch.

    Raises:
        RasterError: shapes, types or devices that do not fit, or no implementation for the device.
        NonFiniteError: NaN or infinity in an argument; the text names the array and the first index.
    """
    arrays = {
        "means": means,
        "scales": scales,
        "rotations": rotations,
        "opacities": opacities,
        "sh": sh,
        "cameras.c2w": cameras.c2w,
        "cameras.fov_y_deg": cameras.fov_y_deg,
        "background": background,
    }
    if probe is not None:
        arrays["probe"] = probe
    _check_shapes(arrays, size)
    rasterize = _implementation(implementation, arrays)
    if rasterize is gaussians_twin.rasterize:
        _check_finite(arrays)
    view, position, focal = opencv_view(cameras), cameras.position, cameras.focal(size[0])
    camera = (view.to(means.dtype), position.to(means.dtype), focal.to(means.dtype))
    try:
        rgb, alpha, depth, radii = rasterize(
            means, scales, rotations, opacities, sh, *camera, background, probe, size, near
        )
    except NonFiniteError:
        _check_finite(arrays)
        raise
    return GaussianRender(rgb, alpha, depth, radii)


def _implementation(implementation: Implementation, arrays: dict[str, Tensor]) -> Callable[..., tuple]:
    """The function that draws; gsplat has no gradient of the focal length, so it is not offered where one is due."""
    offers: tuple[str, ...] = ("native", "twin", "warp")
    if not (torch.is_grad_enabled() and arrays["cameras.fov_y_deg"].requires_grad):
        offers += ("gsplat",)
    means = arrays["means"]
    choice = choose("rasterize_gaussians", implementation, means.device, means.dtype, offers=offers)
    if choice == "native":
        return gaussians_native.rasterize
    if choice == "warp":
        from .warp import gaussians as gaussians_warp

        return gaussians_warp.rasterize
    if choice == "gsplat":
        from . import gaussians_gsplat

        return gaussians_gsplat.rasterize
    return gaussians_twin.rasterize


def opencv_view(cameras: Cameras) -> Float[Tensor, "b 3 4"]:
    """(B, 3, 4) world to camera, camera axes right, down, forward; c2w is taken as rigid."""
    flip = torch.tensor([[1.0], [-1.0], [-1.0]], dtype=cameras.c2w.dtype, device=cameras.c2w.device)
    rotation = cameras.c2w[:, :3, :3].mT * flip
    return torch.cat([rotation, -(rotation @ cameras.c2w[:, :3, 3:])], dim=2)


def _check_shapes(arrays: dict[str, Tensor], size: tuple[int, int]) -> None:
    count, views = len(arrays["means"]), len(arrays["cameras.c2w"])
    wanted: dict[str, tuple[int | str, ...]] = {
        "means": (count, 3),
        "scales": (count, 3),
        "rotations": (count, 4),
        "opacities": (count,),
        "sh": (count, "1, 4, 9 or 16", 3),
        "cameras.c2w": (views, 4, 4),
        "cameras.fov_y_deg": (views,),
        "background": (views, 3),
        "probe": (views, count, 2),
    }
    for name, array in arrays.items():
        shape, expected = tuple(array.shape), wanted[name]
        fits = len(shape) == len(expected) and all(
            s in SH_COUNTS if isinstance(e, str) else s == e for s, e in zip(shape, expected, strict=True)
        )
        if not fits:
            raise RasterError(f"rasterize_gaussians: {name} has shape {shape}, expected {expected}")
        if array.device != arrays["means"].device:
            raise RasterError(
                f"rasterize_gaussians: {name} is on {array.device}, means on {arrays['means'].device}"
            )
        if array.dtype != arrays["means"].dtype and not name.startswith("cameras."):
            raise RasterError(f"rasterize_gaussians: {name} is {array.dtype}, means {arrays['means'].dtype}")
    if not views or min(size) < 1:
        raise RasterError(
            f"rasterize_gaussians: {views} cameras and image size {tuple(size)}; both must be positive"
        )


def _check_finite(arrays: dict[str, Tensor]) -> None:
    for name, array in arrays.items():
        bad = ~torch.isfinite(array.detach())
        if bool(bad.any()):
            index = tuple(bad.nonzero()[0].tolist())
            raise NonFiniteError(
                f"rasterize_gaussians: {name}[{', '.join(map(str, index))}] is {array[index].item()}; every "
                "argument must be finite. Look at the step before: a learning rate too high or a loss of NaN."
            )
