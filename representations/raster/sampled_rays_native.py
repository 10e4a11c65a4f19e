"""The native kernels of sampled rays behind torch's autograd; arguments as in `sampled_rays_twin`, on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .dispatch import native_module


def sample(
    occupied: Tensor, origins: Tensor, directions: Tensor, offsets: Tensor, half: float, samples: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See sampled_rays_twin.sample."""
    module, _ = native_module()
    assert module is not None, "the dispatch asks this file only where the module was built"
    threads = torch.get_num_threads()
    cells = occupied.contiguous().view(torch.uint8)
    rays = [t.detach().contiguous() for t in (origins, directions, offsets)]
    starts = torch.empty(len(origins) + 1, dtype=torch.int64)
    module.rays_count(cells, *rays, half, samples, starts, threads)
    total = int(starts[-1])
    ray, distance, length = (
        torch.empty(total, dtype=kind) for kind in (torch.int64, torch.float32, torch.float32)
    )
    points = torch.empty(total, 3)
    module.rays_place(cells, *rays, half, samples, starts, ray, distance, length, points, threads)
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
        inputs = density.detach().contiguous(), length.detach().contiguous(), starts.contiguous()
        weight = torch.empty_like(inputs[0])
        module, _ = native_module()
        module.rays_weights(*inputs, stop, weight, torch.get_num_threads())
        ctx.save_for_backward(*inputs, weight)
        ctx.stop = stop
        return weight

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        *inputs, weight = ctx.saved_tensors
        gradient = torch.empty_like(weight)
        module, _ = native_module()
        upstream, threads = upstream.contiguous(), torch.get_num_threads()
        module.rays_weights_backward(*inputs, ctx.stop, weight.detach(), upstream, gradient, threads)
        return gradient, None, None, None


class _Accumulate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, values, starts):
        inputs = weight.detach().contiguous(), values.detach().contiguous(), starts.contiguous()
        sums = torch.empty(len(starts) - 1, values.shape[1])
        module, _ = native_module()
        module.rays_sums(*inputs, sums, torch.get_num_threads())
        ctx.save_for_backward(*inputs)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        inputs = ctx.saved_tensors
        to_weight = torch.empty_like(inputs[0])
        to_values = torch.empty_like(inputs[1]) if ctx.needs_input_grad[1] else None
        module, _ = native_module()
        module.rays_sums_backward(
            *inputs, upstream.contiguous(), to_weight, to_values, torch.get_num_threads()
        )
        return to_weight, to_values, None
