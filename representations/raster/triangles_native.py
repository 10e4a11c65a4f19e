"""The native triangle kernels behind torch's autograd; arguments as in the twins, float32 on the CPU.

Each raises NonFiniteError when a value is not finite and RasterError when an index fits no array; they do not say
which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sds3d.core.errors import NonFiniteError

from .dispatch import RasterError, instruction_level, native_module


def place(vertices: Tensor, c2w: Tensor) -> Tensor:
    """See triangles_twin.place."""
    return _Place.apply(vertices, c2w)


def rasterize(
    positions: Tensor, faces: Tensor, focal: Tensor, size: tuple[int, int], near: float
) -> tuple[Tensor, Tensor, Tensor]:
    """See triangles_twin.rasterize."""
    return _Rasterize.apply(positions, faces.long(), focal, size, near)


def interpolate(attributes: Tensor, faces: Tensor, face: Tensor, barycentric: Tensor) -> Tensor:
    """See triangles_twin.interpolate."""
    return _Interpolate.apply(attributes, None if attributes.ndim == 3 else faces.long(), face, barycentric)


def topology(faces: Tensor, vertex_count: int) -> Tensor:
    """See triangles_antialias_twin.topology."""
    out = torch.empty(faces.shape, dtype=torch.int64)
    _run("triangles_topology", faces.long(), out, vertex_count)
    return out


def antialias(
    image: Tensor,
    positions: Tensor,
    faces: Tensor,
    partners: Tensor,
    focal: Tensor,
    face: Tensor,
    depth: Tensor,
) -> Tensor:
    """See triangles_antialias_twin.antialias."""
    return _Antialias.apply(image, positions, faces.long(), partners.long(), focal, face, depth)


def mip_level(
    uv: Tensor, positions: Tensor, faces: Tensor, focal: Tensor, face: Tensor, texels: tuple[int, int]
) -> Tensor:
    """See triangles_texture_twin.mip_level."""
    out = torch.empty(face.shape)
    _run("triangles_mip_level", positions, faces.long(), focal, face, uv, texels[1], texels[0], out)
    return out


def texture(levels: Sequence[Tensor], uv: Tensor, level: Tensor | None, wrap: bool) -> Tensor:
    """See triangles_texture_twin.texture."""
    return _Texture.apply(uv, level, wrap, *levels)


def _plain(value: Any) -> Any:
    """What crosses the border: NumPy's arrays do in less time than tensors."""
    if isinstance(value, Tensor):
        return value.detach().contiguous().numpy()
    return [_plain(v) for v in value] if isinstance(value, list) else value


def _run(function: str, *arguments: Any) -> None:
    """Call a function of the extension; tensors that it writes must be contiguous."""
    module, _ = native_module()
    status = getattr(module, function)(*map(_plain, arguments))
    if status == -2:
        raise NonFiniteError("a triangle function got NaN or infinity")
    if status == -3:
        raise RasterError("a triangle function got an index that fits no array")


class _Place(torch.autograd.Function):
    @staticmethod
    def forward(ctx, vertices, c2w):
        positions = torch.empty(len(c2w), *vertices.shape)
        _run("triangles_place", vertices, c2w, positions, torch.get_num_threads())
        ctx.save_for_backward(vertices, c2w)
        return positions

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        inputs = ctx.saved_tensors
        needed = [
            torch.empty(t.shape) if n else None for t, n in zip(inputs, ctx.needs_input_grad, strict=True)
        ]
        _run("triangles_place_backward", *inputs, upstream, *needed, torch.get_num_threads())
        return tuple(needed)


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, positions, faces, focal, size, near):
        face = torch.empty(len(focal), *size, dtype=torch.int32)
        barycentric, depth = torch.empty(*face.shape, 3), torch.empty(face.shape)
        _run(
            "triangles_forward",
            positions,
            faces,
            focal,
            face,
            barycentric,
            depth,
            near,
            torch.get_num_threads(),
            instruction_level(),
        )
        ctx.save_for_backward(positions, faces, focal, face)
        ctx.mark_non_differentiable(face)
        ctx.set_materialize_grads(False)
        return face, barycentric, depth

    @staticmethod
    @once_differentiable
    def backward(ctx, _, to_barycentric, to_depth):
        inputs = ctx.saved_tensors
        to_positions, to_focal = (torch.empty(inputs[i].shape) for i in (0, 2))
        upstream = (to_barycentric, to_depth)
        _run("triangles_backward", *inputs, *upstream, to_positions, to_focal, torch.get_num_threads())
        return to_positions, None, to_focal, None, None


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, attributes, faces, face, barycentric):
        out = torch.empty(*face.shape, attributes.shape[-1])
        inputs = (attributes, faces, face, barycentric)
        _run("triangles_interpolate", *inputs, out, torch.get_num_threads())
        ctx.save_for_backward(*inputs)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        inputs = ctx.saved_tensors
        needed = [torch.empty(inputs[i].shape) if ctx.needs_input_grad[i] else None for i in (0, 3)]
        _run("triangles_interpolate_backward", *inputs, upstream, *needed, torch.get_num_threads())
        return needed[0], None, None, needed[1]


class _Antialias(torch.autograd.Function):
    """Keeps how much each pixel takes from its neighbours; where edges cross is found again."""

    @staticmethod
    def forward(ctx, image, positions, faces, partners, focal, face, depth):
        share, out = torch.empty(*face.shape, 2), torch.empty(image.shape)
        inputs = (positions, faces, partners, focal, face, depth, image, share)
        _run("triangles_antialias", *inputs, out, torch.get_num_threads())
        ctx.save_for_backward(*inputs)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        inputs = ctx.saved_tensors
        to_image, to_positions, to_focal = (torch.empty(inputs[i].shape) for i in (6, 0, 3))
        threads = torch.get_num_threads()
        _run("triangles_antialias_backward", *inputs, upstream, to_image, to_positions, to_focal, threads)
        return to_image, to_positions, None, None, to_focal, None, None


class _Texture(torch.autograd.Function):
    @staticmethod
    def forward(ctx, uv, level, wrap, *levels):
        out = torch.empty(*uv.shape[:-1], levels[0].shape[-1])
        _run("triangles_texture", list(levels), uv, level, out, wrap, torch.get_num_threads())
        ctx.save_for_backward(uv, level, *levels)
        ctx.wrap = wrap
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        uv, level, *levels = ctx.saved_tensors
        to_levels = [torch.empty(t.shape) for t in levels] if any(ctx.needs_input_grad[3:]) else []
        to_uv = torch.empty(uv.shape)
        to_level = torch.empty(level.shape) if level is not None and ctx.needs_input_grad[1] else None
        gradients = (to_levels, to_uv, to_level, ctx.wrap, torch.get_num_threads())
        _run("triangles_texture_backward", levels, uv, level, upstream, *gradients)
        return to_uv, to_level, None, *(to_levels or [None] * len(levels))
