"""The native Gaussian rasterizer behind torch's autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from .dispatch import instruction_level, native_module


def first_nonfinite(array: Tensor) -> int:
    """Flat index of the first NaN or infinity of a float32 array, or -1."""
    module, _ = native_module()
    return module.first_nonfinite(array.detach().contiguous())


def rasterize(
    means: Tensor,
    scales: Tensor,
    rotations: Tensor,
    opacities: Tensor,
    sh: Tensor,
    view: Tensor,
    focal: Tensor,
    background: Tensor,
    probe: Tensor | None,
    size: tuple[int, int],
    near: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(rgb, alpha, depth, radii); the same arguments as the twin's `rasterize`, float32 on the CPU."""
    arrays = (means, scales, rotations, opacities, sh, view, focal, background)
    return _Rasterize.apply(*arrays, probe, size, near)


class _Rasterize(torch.autograd.Function):
    """Forward keeps the projected Gaussians and per-pixel end states in a native object for backward."""

    @staticmethod
    def forward(ctx, means, scales, rotations, opacities, sh, view, focal, background, probe, size, near):
        module, _ = native_module()
        inputs = [
            t.detach().contiguous()
            for t in (means, scales, rotations, opacities, sh, view, focal, background)
        ]
        shift = None if probe is None else probe.detach().contiguous()
        views, (height, width) = len(view), size
        rgb = torch.empty(views, 3, height, width)
        alpha, depth = torch.empty(views, 1, height, width), torch.empty(views, 1, height, width)
        radii = torch.empty(views, len(means), dtype=torch.int32)
        state = module.gaussians_forward(*inputs, shift, rgb, alpha, depth, radii, near, instruction_level())
        ctx.save_for_backward(*inputs, depth)
        ctx.state, ctx.has_probe = state, probe is not None
        ctx.mark_non_differentiable(radii)
        ctx.set_materialize_grads(False)
        return rgb, alpha, depth, radii

    @staticmethod
    def backward(ctx, grad_rgb, grad_alpha, grad_depth, _):
        module, _ = native_module()
        *inputs, depth = ctx.saved_tensors
        grads = [torch.empty_like(t) for t in inputs]
        probe = torch.empty(len(depth), len(inputs[0]), 2) if ctx.has_probe else None
        incoming = [None if g is None else g.contiguous() for g in (grad_rgb, grad_alpha, grad_depth)]
        module.gaussians_backward(ctx.state, *inputs, depth, *incoming, *grads, probe)
        return *grads, probe, None, None
