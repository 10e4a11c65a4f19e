"""The grid kernels of Warp behind torch's autograd; arguments as in `march_twin`, float32, all on one device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .runtime import launch


def compose(levels: Sequence[Tensor], bias: Tensor, density_gain: float, color_gain: float) -> Tensor:
    """See march_twin.compose."""
    return _Compose.apply(bias, density_gain, color_gain, *levels)


def march(
    volume: Tensor,
    origins: Tensor,
    directions: Tensor,
    offsets: Tensor,
    half: float,
    samples: int,
    stop: float,
) -> Tensor:
    """See march_twin.march."""
    return _March.apply(volume, origins, directions, offsets, half, samples, stop)


def total_variation(volume: Tensor, weights: Sequence[float]) -> Tensor:
    """See march_twin.total_variation."""
    return _TotalVariation.apply(volume, list(weights))


def _along(kernel: Any, source: Tensor, axis: int, size: int) -> Tensor:
    """`source` with another length of that axis, by one of the two resampling kernels."""
    shape = [*source.shape]
    shape[axis] = size
    outer = source.shape[:axis].numel()
    out = torch.empty(shape, device=source.device)
    flat = source.reshape(outer, source.shape[axis], -1)
    launch(kernel, out.numel(), flat, out.view(outer, size, -1))
    return out


class _Compose(torch.autograd.Function):
    """Keeps the volume alone: both activations' derivatives follow from their values."""

    @staticmethod
    def forward(ctx, bias, density_gain, color_gain, *levels):
        from .march_kernels import activate, resample

        size = len(bias)
        raw = torch.zeros(*bias.shape, 4, device=bias.device)
        for level in levels:
            grown = level.detach().contiguous()
            for axis in (2, 1, 0) if len(level) != size else ():  # the smallest arrays first
                grown = _along(resample, grown, axis, size)
            raw += grown
        volume = torch.empty_like(raw)
        flat = (raw.view(-1, 4), bias.contiguous().view(-1))
        launch(activate, bias.numel(), *flat, density_gain, color_gain, volume.view(-1, 4))
        ctx.save_for_backward(volume)
        ctx.gains, ctx.sizes = (density_gain, color_gain), [len(level) for level in levels]
        return volume

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        from .march_kernels import activate_backward, resample_backward

        volume = ctx.saved_tensors[0].detach()
        to_raw = torch.empty_like(volume)
        flat = (volume.view(-1, 4), upstream.contiguous().view(-1, 4))
        launch(activate_backward, len(flat[0]), *flat, *ctx.gains, to_raw.view(-1, 4))
        gradients = []
        for size in ctx.sizes:
            shrunk = to_raw
            for axis in (0, 1, 2) if size != len(volume) else ():
                shrunk = _along(resample_backward, shrunk, axis, size)
            gradients.append(shrunk)
        return None, None, None, *gradients


class _March(torch.autograd.Function):
    """Keeps the inputs and where each ray ended: marching again is cheaper than storing every sample."""

    @staticmethod
    def forward(ctx, volume, origins, directions, offsets, half, samples, stop):
        from .march_kernels import march

        inputs = [t.detach().contiguous() for t in (volume, origins, directions, offsets)]
        count, device = len(offsets), volume.device
        out = torch.empty(count, 5, device=device)
        used = torch.empty(count, dtype=torch.int32, device=device)
        depths = torch.empty(count, dtype=torch.float64, device=device)
        launch(march, count, *inputs, half, samples, stop, out, used, depths)
        ctx.save_for_backward(*inputs, used, depths)
        ctx.rest = (half, samples)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        from .march_kernels import march_backward

        *inputs, used, depths = ctx.saved_tensors
        gradient = torch.zeros(inputs[0].shape, dtype=torch.float64, device=upstream.device)
        launch(march_backward, len(used), *inputs, *ctx.rest, used, depths, upstream.contiguous(), gradient)
        return gradient.float(), *[None] * 6


class _TotalVariation(torch.autograd.Function):
    """The gradient comes with the value, in one pass over the volume."""

    @staticmethod
    def forward(ctx, volume, weights):
        from .march_kernels import variation

        field = volume.detach().contiguous()
        scale = torch.tensor([weights], dtype=torch.float32, device=volume.device)
        values, gradient = torch.empty(field.shape[:3], device=volume.device), torch.empty_like(field)
        launch(variation, values.numel(), field, scale, values.view(-1), gradient.view(-1, 4))
        ctx.save_for_backward(gradient)
        return values.sum(dtype=torch.float64).float()

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, None
