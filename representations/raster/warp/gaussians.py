"""The Gaussian rasterizer of Warp kernels behind torch's autograd."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sds3d.core.errors import NonFiniteError

from .runtime import launch
from .tiles import read, tile_lists, tile_threads


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
    """(rgb, alpha, depth, radii); the same arguments as the twin's `rasterize`, float32, all on one device.

    Raises NonFiniteError when a value is not finite (it does not look which).
    """
    return _Rasterize.apply(
        means, scales, rotations, opacities, sh, view, centre, focal, background, probe, size, near
    )


def _project(inputs: list[Tensor], probe: Tensor, size: tuple[int, int], near: float) -> dict[str, Tensor]:
    """The outputs of the kernel `project` by name."""
    from .projection import project

    means, view = inputs[0], inputs[5]
    shape, device = (len(view), len(means)), means.device
    whole: dict[str, Any] = {"dtype": torch.int32, "device": device}
    out = {
        "place": torch.empty(*shape, 4, device=device),
        "shape": torch.empty(*shape, 4, device=device),
        "colour": torch.empty(*shape, 3, device=device),
        "tiles": torch.empty(*shape, 4, **whole),
        "counts": torch.empty(*shape, **whole),
        "radii": torch.empty(*shape, **whole),
        "not_finite": torch.zeros(1, **whole),
    }
    launch(project, shape[0] * shape[1], *inputs[:8], probe, near, size[1], size[0], *out.values())
    return out


def _lists(splats: dict[str, Tensor], cameras: list[Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """See tile_lists; refuses what is not finite."""
    counts = splats["counts"]
    cameras_finite = torch.cat([t.flatten() for t in cameras]).isfinite().all()
    bad = splats["not_finite"][0].bool() | ~cameras_finite
    total, refused = read(torch.stack([counts.sum(), bad.long()]))
    if refused:
        raise NonFiniteError("rasterize_gaussians: an argument holds NaN or infinity")
    return tile_lists(splats["place"], splats["tiles"], counts, total, size)


class _Rasterize(torch.autograd.Function):
    """Keeps the projected Gaussians, the lists and the pixels' end states for backward."""

    @staticmethod
    def forward(
        ctx, means, scales, rotations, opacities, sh, view, centre, focal, background, probe, size, near
    ):
        from .compositing import composite

        given = (means, scales, rotations, opacities, sh, view, centre, focal, background)
        inputs = [t.detach().contiguous() for t in given]
        views, (height, width), device = len(view), size, means.device
        shift = torch.empty(0, 0, 2, device=device) if probe is None else probe.detach().contiguous()
        splats = _project(inputs, shift, size, near)
        starts, gaussians = _lists(splats, inputs[5:], size)
        rgb = torch.empty(views, 3, height, width, device=device)
        alpha, depth, through = torch.empty(3, views, height, width, device=device)
        stops = torch.empty(views, height, width, dtype=torch.int32, device=device)
        drawn = (splats["place"], splats["shape"], splats["colour"], starts, gaussians, inputs[8])
        launch(composite, tile_threads(views, size), *drawn, width, height, rgb, alpha, depth, through, stops)
        ctx.save_for_backward(*inputs, *drawn[:5], splats["counts"], depth, through, stops)
        ctx.size, ctx.near = size, near
        ctx.mark_non_differentiable(splats["radii"])
        return rgb, alpha[:, None], depth[:, None], splats["radii"]

    @staticmethod
    @once_differentiable
    def backward(ctx, *incoming) -> Any:
        from .compositing import composite_backward
        from .projection import CAMERA_SUMS, MOMENTS
        from .projection_backward import project_backward

        inputs, (place, shape, colour, starts, gaussians) = ctx.saved_tensors[:9], ctx.saved_tensors[9:14]
        counts, depth, through, stops = ctx.saved_tensors[14:]
        height, width = ctx.size
        views, count = counts.shape
        to_rgb, to_alpha, to_depth = (g.detach().contiguous() for g in incoming[:3])
        moments = torch.zeros(views, count, MOMENTS, dtype=torch.float64, device=counts.device)
        pixels = (depth, through, stops, to_rgb, to_alpha[:, 0], to_depth[:, 0])
        drawn = (place, shape, colour, starts, gaussians, inputs[8])
        launch(composite_backward, tile_threads(views, ctx.size), *drawn, width, height, *pixels, moments)
        grads = [torch.zeros_like(t) for t in inputs[:5]]
        cameras = any(ctx.needs_input_grad[5:8])
        to_probe = torch.zeros(views if ctx.needs_input_grad[9] else 0, count, 2, device=counts.device)
        rows = torch.zeros(views if cameras else 0, count, CAMERA_SUMS, device=counts.device)
        seen = (ctx.near, width, height, colour, counts, moments)
        launch(project_backward, count, *inputs[:8], *seen, *grads, to_probe, rows)
        to_cameras = _camera_gradients(rows) if cameras else (None, None, None)
        to_background = (through[:, None] * to_rgb).sum((2, 3))
        probe = to_probe if ctx.needs_input_grad[9] else None
        return *grads, *to_cameras, to_background, probe, None, None


def _camera_gradients(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(view (B, 3, 4), centre (B, 3), focal (B,)) from (B, N, 16)."""
    total = rows.sum(1)
    view = torch.cat([total[:, :9].reshape(-1, 3, 3), total[:, 9:12, None]], dim=2)
    return view, total[:, 12:15], total[:, 15]
