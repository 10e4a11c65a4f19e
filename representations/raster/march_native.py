"""The native grid kernels behind torch's autograd; arguments as in `march_twin`, float32 on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .dispatch import instruction_level, native_module


def _run(function: str, *arguments: Any) -> Any:
    """Call a function of the extension with this process's thread count and instruction set."""
    module, _ = native_module()
    return getattr(module, function)(*arguments, torch.get_num_threads(), instruction_level())


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


class _Compose(torch.autograd.Function):
    """Keeps the volume alone: both activations' derivatives follow from their values."""

    @staticmethod
    def forward(ctx, bias, density_gain, color_gain, *levels):
        volume = torch.empty(*bias.shape, 4)
        grids = [level.detach().contiguous() for level in levels]
        _run("march_compose", grids, bias.contiguous(), density_gain, color_gain, volume)
        ctx.save_for_backward(volume)
        ctx.gains, ctx.sizes = (density_gain, color_gain), [len(level) for level in levels]
        return volume

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        (volume,) = ctx.saved_tensors
        gradients = [torch.empty(size, size, size, 4) for size in ctx.sizes]
        _run("march_compose_backward", volume.detach(), upstream.contiguous(), *ctx.gains, gradients)
        return None, None, None, *gradients


class _March(torch.autograd.Function):
    """Keeps the inputs: marching again is cheaper than storing every sample."""

    @staticmethod
    def forward(ctx, volume, origins, directions, offsets, *rest):
        inputs = [t.detach().contiguous() for t in (volume, origins, directions, offsets)]
        out = torch.empty(len(offsets), 5)
        _run("march_forward", *inputs, *rest, out)
        ctx.save_for_backward(*inputs)
        ctx.rest = rest
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        inputs = ctx.saved_tensors
        gradient = torch.empty_like(inputs[0])
        _run("march_backward", *inputs, *ctx.rest, upstream.contiguous(), gradient)
        return gradient, *[None] * 6


class _TotalVariation(torch.autograd.Function):
    """The gradient comes with the value, in one pass over the volume."""

    @staticmethod
    def forward(ctx, volume, weights):
        field = volume.detach().contiguous()
        gradient = torch.empty_like(field) if ctx.needs_input_grad[0] else None
        value = _run("march_total_variation", field, weights, gradient)
        ctx.save_for_backward(gradient)
        return torch.tensor(value, dtype=volume.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, None
