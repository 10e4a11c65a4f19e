"""The native hash grid behind torch's autograd; arguments as in `hash_grid_twin`, float32 on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .dispatch import instruction_level, native_module
from .hash_grid_layout import HashGrid


def encode(points: Tensor, table: Tensor, grid: HashGrid, active: int) -> Tensor:
    """See hash_grid_twin.encode."""
    return _Encode.apply(points, table, grid, active)


def encode_slopes(points: Tensor, table: Tensor, grid: HashGrid, active: int) -> tuple[Tensor, Tensor]:
    """See hash_grid_twin.encode_slopes."""
    return _EncodeSlopes.apply(points, table, grid, active)


def _run(function: str, *arguments: Any) -> None:
    """Call a function of the extension with this process's thread count and instruction set."""
    module, _ = native_module()
    getattr(module, function)(*arguments, torch.get_num_threads(), instruction_level())


def _shape(grid: HashGrid, active: int) -> tuple[list[float], list[list[int]], int]:
    """The grid as the extension takes it."""
    shapes = zip(grid.resolutions, grid.sizes, grid.offsets[:-1], map(int, grid.dense), strict=True)
    return list(grid.scales), [list(s) for s in shapes], active


class _Encode(torch.autograd.Function):
    """Keeps the inputs: locating points again is cheaper than storing where they were."""

    @staticmethod
    def forward(ctx, points, table, grid, active):
        inputs = points.detach().contiguous(), table.detach().contiguous()
        out = torch.empty(len(points), grid.width)
        ctx.shape = _shape(grid, active)
        _run("hash_encode", *inputs, *ctx.shape, out, None)
        ctx.save_for_backward(*inputs)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        points, table = ctx.saved_tensors
        upstream, to_points, to_table = upstream.contiguous(), None, None
        if ctx.needs_input_grad[0]:
            to_points = torch.empty_like(points)
            _run("hash_encode_points_backward", points, table, *ctx.shape, upstream, to_points)
        if ctx.needs_input_grad[1]:
            to_table = torch.empty_like(table)
            _run("hash_encode_backward", points, *ctx.shape, upstream, None, to_table)
        return to_points, to_table, None, None


class _EncodeSlopes(torch.autograd.Function):
    """Linear in the table, so that the backward pass needs the points alone."""

    @staticmethod
    def forward(ctx, points, table, grid, active):
        inputs = points.detach().contiguous(), table.detach().contiguous()
        out, slopes = torch.empty(len(points), grid.width), torch.empty(len(points), 3, grid.width)
        ctx.shape, ctx.size = _shape(grid, active), table.shape
        _run("hash_encode", *inputs, *ctx.shape, out, slopes)
        ctx.save_for_backward(inputs[0])
        return out, slopes

    @staticmethod
    @once_differentiable
    def backward(ctx, to_out, to_slopes):
        (points,) = ctx.saved_tensors
        to_table = torch.empty(ctx.size)
        _run(
            "hash_encode_backward", points, *ctx.shape, to_out.contiguous(), to_slopes.contiguous(), to_table
        )
        return None, to_table, None, None
