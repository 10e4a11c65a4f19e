"""The native Gaussian rasterizer behind torch's autograd."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sds3d.core.errors import NonFiniteError

from .dispatch import instruction_level, native_module


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
    """(rgb, alpha, depth, radii); the same arguments as the twin's `rasterize`, float32 on the CPU.

    Raises NonFiniteError when a value is not finite (it does not look which).
    """
    return _Rasterize.apply(
        means, scales, rotations, opacities, sh, view, centre, focal, background, probe, size, near
    )


def _arrays(tensors: Sequence[Tensor | None]) -> list:
    """Views for the native module; NumPy's cross the border in less time than tensors."""
    return [None if t is None else t.numpy() for t in tensors]


class _Rasterize(torch.autograd.Function):
    """Forward keeps the projected Gaussians and per-pixel end states in a native object for backward."""

    @staticmethod
    def forward(
        ctx, means, scales, rotations, opacities, sh, view, centre, focal, background, probe, size, near
    ):
        module, _ = native_module()
        given = (means, scales, rotations, opacities, sh, view, centre, focal, background)
        inputs = [t.detach().contiguous() for t in given]
        shift = None if probe is None else probe.detach().contiguous()
        views, (height, width) = len(view), size
        rgb = torch.empty(views, 3, height, width)
        alpha, depth = torch.empty(2, views, 1, height, width)
        radii = torch.empty(views, len(means), dtype=torch.int32)
        arrays = _arrays([*inputs, shift, rgb, alpha, depth, radii])
        state = module.gaussians_forward(*arrays, near, instruction_level())
        if state is None:
            raise NonFiniteError("rasterize_gaussians: an argument holds NaN or infinity")
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
        incoming = [
            None if g is None else g.detach().contiguous() for g in (grad_rgb, grad_alpha, grad_depth)
        ]
        module.gaussians_backward(ctx.state, *_arrays([*inputs, depth, *incoming, *grads, probe]))
        return *grads, probe, None, None
