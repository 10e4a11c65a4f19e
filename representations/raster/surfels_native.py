"""The native surfel kernels behind torch's autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from .dispatch import native_module
from .surfels_twin import CHANNELS

_INPUTS = 18


def composite(
    transform: Tensor,
    centre: Tensor,
    values: Tensor,
    opacities: Tensor,
    order: Tensor,
    box: Tensor,
    size: tuple[int, int],
    near: float,
) -> Tensor:
    """As the twin's `composite`, float32 on the CPU; the sum of squared depths has no gradient."""
    return _Composite.apply(transform, centre, values, opacities, order, box, size, near)


class _Composite(torch.autograd.Function):
    """Forward keeps the picture and how far each pixel went, from which backward takes the sums apart again."""

    @staticmethod
    def forward(ctx, transform, centre, values, opacities, order, box, size, near):
        module, _ = native_module()
        floats = [t.detach().contiguous() for t in (transform, centre, values, opacities)]
        places = [order.contiguous(), box.contiguous()]
        out = torch.empty(len(transform), CHANNELS, *size)
        last = torch.empty(len(transform), *size, dtype=torch.int32)
        arrays = [t.numpy() for t in (*floats, *places)]
        module.surfels_forward(*arrays, near, out.numpy(), last.numpy(), torch.get_num_threads())
        ctx.save_for_backward(*floats, *places, out, last)
        ctx.near = near
        return out

    @staticmethod
    def backward(ctx, gradient):
        module, _ = native_module()
        *given, out, last = ctx.saved_tensors
        to = torch.empty(len(out), len(given[3]), _INPUTS)
        arrays = [t.numpy() for t in given]
        seen = [t.numpy() for t in (out, last, gradient.contiguous(), to)]
        module.surfels_backward(*arrays, ctx.near, *seen, torch.get_num_threads())
        transform, centre, opacity, values = to.split([9, 2, 1, 6], dim=2)
        parts = (transform.reshape_as(given[0]), centre, values, opacity.sum(0)[:, 0])
        return *parts, None, None, None, None
