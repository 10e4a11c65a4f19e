"""The hash grid of Warp behind torch's autograd; arguments as in `hash_grid_twin`, float32, all on one device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..hash_grid_layout import HashGrid
from .runtime import launch


def encode(points: Tensor, table: Tensor, grid: HashGrid, active: int) -> Tensor:
    """See hash_grid_twin.encode."""
    return _Encode.apply(points, table, grid, active)


def encode_slopes(points: Tensor, table: Tensor, grid: HashGrid, active: int) -> tuple[Tensor, Tensor]:
    """See hash_grid_twin.encode_slopes."""
    return _EncodeSlopes.apply(points, table, grid, active)


def _levels(grid: HashGrid, active: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Of the active levels: scales (L,), and resolution, rows, first row and whether dense (L, 4)."""
    shapes = zip(grid.resolutions, grid.sizes, grid.offsets[:-1], map(int, grid.dense), strict=True)
    scales = torch.tensor(grid.scales[:active], dtype=torch.float32, device=device)
    return scales, torch.tensor(list(shapes)[:active], dtype=torch.int32, device=device).reshape(-1, 4)


class _Encode(torch.autograd.Function):
    """Keeps the inputs."""

    @staticmethod
    def forward(ctx, points, table, grid, active):
        from .hash_grid_kernels import encode

        inputs = points.detach().contiguous(), table.detach().contiguous()
        levels = _levels(grid, active, points.device)
        out = torch.zeros(len(points), grid.width, device=points.device)
        launch(encode, len(points) * active, *inputs, *levels, out)
        ctx.save_for_backward(*inputs, *levels)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        from .hash_grid_kernels import encode_backward, points_backward

        points, table, scales, shapes = ctx.saved_tensors
        upstream, to_points, to_table = upstream.contiguous(), None, None
        if ctx.needs_input_grad[0]:
            to_points = torch.zeros_like(points)
            launch(points_backward, len(points), points, table, scales, shapes, upstream, to_points)
        if ctx.needs_input_grad[1]:
            sums = torch.zeros(table.shape, dtype=torch.float64, device=table.device)
            launch(encode_backward, len(points) * len(scales), points, scales, shapes, upstream, sums)
            to_table = sums.float()
        return to_points, to_table, None, None


class _EncodeSlopes(torch.autograd.Function):
    """Linear in the table, so that the backward pass needs the points alone."""

    @staticmethod
    def forward(ctx, points, table, grid, active):
        from .hash_grid_kernels import encode_slopes

        inputs = points.detach().contiguous(), table.detach().contiguous()
        levels = _levels(grid, active, points.device)
        out = torch.zeros(len(points), grid.width, device=points.device)
        slopes = torch.zeros(len(points), 3, grid.width, device=points.device)
        launch(encode_slopes, len(points) * active, *inputs, *levels, out, slopes)
        ctx.save_for_backward(inputs[0], *levels)
        ctx.size = table.shape
        return out, slopes

    @staticmethod
    @once_differentiable
    def backward(ctx, to_out, to_slopes):
        from .hash_grid_kernels import encode_slopes_backward

        points, scales, shapes = ctx.saved_tensors
        upstream = to_out.contiguous(), to_slopes.contiguous()
        sums = torch.zeros(ctx.size, dtype=torch.float64, device=points.device)
        launch(encode_slopes_backward, len(points) * len(scales), points, scales, shapes, *upstream, sums)
        return None, sums.float(), None, None
