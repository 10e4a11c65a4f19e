"""Sampled rays by Warp behind torch's autograd; arguments as in `sampled_rays_twin`, float32, all on one device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .runtime import launch


def sample(
    occupied: Tensor, origins: Tensor, directions: Tensor, offsets: Tensor, half: float, samples: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See sampled_rays_twin.sample."""
    from .sampled_rays_kernels import count_samples, place_samples

    cells, device = occupied.contiguous().view(torch.uint8), origins.device
    rays = [t.detach().contiguous() for t in (origins, directions, offsets)]
    counts = torch.zeros(len(origins), dtype=torch.int64, device=device)
    launch(count_samples, len(origins), cells, *rays, half, samples, counts)
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    total = int(starts[-1])
    ray = torch.empty(total, dtype=torch.int64, device=device)
    distance, length = torch.empty(total, device=device), torch.empty(total, device=device)
    points = torch.empty(total, 3, device=device)
    launch(place_samples, len(origins), cells, *rays, half, samples, starts, ray, distance, length, points)
    return starts, ray, distance, length, points


def weights(density: Tensor, length: Tensor, starts: Tensor, stop: float) -> Tensor:
    """See sampled_rays_twin.weights."""
    return _Weights.apply(density, length, starts, stop)


def accumulate(weight: Tensor, values: Tensor, starts: Tensor) -> Tensor:
    """See sampled_rays_twin.accumulate."""
    return _Accumulate.apply(weight, values, starts)


class _Weights(torch.autograd.Function):
    @staticmethod
    def forward(ctx, density, length, starts, stop):
        from .sampled_rays_kernels import weigh

        inputs = density.detach().contiguous(), length.detach().contiguous(), starts.contiguous()
        weight = torch.empty_like(inputs[0])
        launch(weigh, len(starts) - 1, *inputs, stop, weight)
        ctx.save_for_backward(*inputs, weight)
        ctx.stop = stop
        return weight

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        from .sampled_rays_kernels import weigh_backward

        *inputs, weight = ctx.saved_tensors
        gradient = torch.empty_like(weight)
        both = weight.detach(), upstream.contiguous()
        launch(weigh_backward, len(inputs[2]) - 1, *inputs, ctx.stop, *both, gradient)
        return gradient, None, None, None


class _Accumulate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, values, starts):
        from .sampled_rays_kernels import add_up

        inputs = weight.detach().contiguous(), values.detach().contiguous(), starts.contiguous()
        sums = torch.empty(len(starts) - 1, values.shape[1], device=values.device)
        launch(add_up, len(starts) - 1, *inputs, sums)
        ctx.save_for_backward(*inputs)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        from .sampled_rays_kernels import add_up_backward

        weight, values, starts = ctx.saved_tensors
        to_weight, to_values = torch.empty_like(weight), torch.empty_like(values)
        arrays = (weight, values, starts, upstream.contiguous(), to_weight, to_values)
        launch(add_up_backward, len(starts) - 1, *arrays)
        return to_weight, to_values, None
