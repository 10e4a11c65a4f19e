"""The native triangle kernels behind torch's autograd; arguments as in `triangles_twin`, float32 on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sds3d.core.errors import NonFiniteError

from . import triangles_twin
from .dispatch import RasterError, instruction_level, native_module


def rasterize(
    positions: Tensor, faces: Tensor, focal: Tensor, size: tuple[int, int], near: float
) -> tuple[Tensor, Tensor, Tensor]:
    """See triangles_twin.rasterize.

    Raises NonFiniteError when a value is not finite and RasterError when a face names no vertex (it does not
    say which).
    """
    return _Rasterize.apply(positions, faces, focal, size, near)


def interpolate(attributes: Tensor, faces: Tensor, face: Tensor, barycentric: Tensor) -> Tensor:
    """See triangles_twin.interpolate; raises as `rasterize` does."""
    return _Interpolate.apply(attributes, faces, face, barycentric)


def _check(status: int) -> None:
    if status == -2:
        raise NonFiniteError("a triangle function got NaN or infinity")
    if status >= 0:
        raise RasterError(f"face {status} does not fit the arrays")


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, positions, faces, focal, size, near):
        module, _ = native_module()
        inputs = [t.detach().contiguous() for t in (positions, faces.long(), focal)]
        face = torch.empty(len(focal), *size, dtype=torch.int32)
        barycentric, depth = torch.empty(*face.shape, 3), torch.empty(face.shape)
        arrays = [t.numpy() for t in (*inputs, face, barycentric, depth)]
        _check(module.triangles_forward(*arrays, near, torch.get_num_threads(), instruction_level()))
        ctx.save_for_backward(positions, faces, focal, face)
        ctx.mark_non_differentiable(face)
        return face, barycentric, depth

    @staticmethod
    @once_differentiable
    def backward(ctx, _, grad_barycentric, grad_depth):
        positions, faces, focal, face = ctx.saved_tensors
        with torch.enable_grad():
            leaves = [t.detach().requires_grad_() for t in (positions, focal)]
            out = triangles_twin.locate(leaves[0], faces, leaves[1], face)
            to_positions, to_focal = torch.autograd.grad(out, leaves, (grad_barycentric, grad_depth))
        return to_positions, None, to_focal, None, None


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, attributes, faces, face, barycentric):
        module, _ = native_module()
        inputs = [t.detach().contiguous() for t in (attributes, faces.long(), face, barycentric)]
        values, corners, seen, weights = (t.numpy() for t in inputs)
        out = torch.empty(*face.shape, attributes.shape[-1])
        _check(
            module.triangles_interpolate(
                values,
                None if attributes.ndim == 3 else corners,
                seen,
                weights,
                out.numpy(),
                torch.get_num_threads(),
            )
        )
        ctx.save_for_backward(attributes, faces, face, barycentric)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        attributes, faces, face, barycentric = ctx.saved_tensors
        with torch.enable_grad():
            leaves = [t.detach().requires_grad_() for t in (attributes, barycentric)]
            out = triangles_twin.interpolate(leaves[0], faces, face, leaves[1])
            to_attributes, to_barycentric = torch.autograd.grad(out, leaves, upstream)
        return to_attributes, None, None, to_barycentric
