"""The surfel rasterizer of Warp kernels behind torch's autograd."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..surfels_twin import CHANNELS
from .runtime import launch
from .tiles import TILE, read, tile_lists, tile_threads


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
    """As the twin's `composite`, float32, all on one device; the sum of squared depths has no gradient.

    The lists of the tiles are sorted here, by the same depths as `order`.
    """
    return _Composite.apply(transform, centre, values, opacities, box, size, near)


class _Composite(torch.autograd.Function):
    """Keeps the lists and the picture, from which backward takes the sums apart again."""

    @staticmethod
    def forward(ctx, transform, centre, values, opacities, box, size, near):
        from .surfels_kernels import composite_surfels

        transform, centre, values, opacities = (
            t.detach().contiguous() for t in (transform, centre, values, opacities)
        )
        depth = transform[..., 2, 2:]
        place = torch.cat([centre, opacities.expand(len(centre), -1)[..., None], depth], dim=2)
        tiles = torch.cat([box[..., :2] // TILE, -(-box[..., 2:] // TILE)], dim=2)
        counts = ((tiles[..., 2] - tiles[..., 0]) * (tiles[..., 3] - tiles[..., 1])).int()
        lists = tile_lists(place, tiles, counts, *read(counts.sum()[None]), size)
        views, (height, width), device = len(transform), size, transform.device
        out = torch.empty(views, CHANNELS, height, width, device=device)
        stops = torch.empty(views, height, width, dtype=torch.int32, device=device)
        drawn = (transform, place, values, *lists)
        launch(composite_surfels, tile_threads(views, size), *drawn, near, width, height, out, stops)
        ctx.save_for_backward(*drawn, out, stops)
        ctx.near = near
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient) -> Any:
        from .surfels_kernels import SUMS, composite_surfels_backward

        *drawn, out, stops = ctx.saved_tensors
        views, _, height, width = out.shape
        sums = torch.zeros(views, drawn[0].shape[1], SUMS, dtype=torch.float64, device=out.device)
        picture = (out, stops, gradient.contiguous(), sums)
        threads = tile_threads(views, (height, width))
        launch(composite_surfels_backward, threads, *drawn, ctx.near, width, height, *picture)
        transform, centre, opacity, values = sums.float().split([9, 2, 1, 6], dim=2)
        return transform.unflatten(2, (3, 3)), centre, values, opacity.sum(0)[:, 0], None, None, None
