"""The triangle kernels of Warp behind torch's autograd; arguments as in the twins, float32, all on one device.

Values are checked by the caller: a kernel trusts its indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .. import triangles_antialias_twin
from .runtime import launch

EMPTY_KEY = 2**63 - 1


def rasterize(
    positions: Tensor, faces: Tensor, focal: Tensor, size: tuple[int, int], near: float
) -> tuple[Tensor, Tensor, Tensor]:
    """See triangles_twin.rasterize."""
    return _Rasterize.apply(positions, _whole(faces), focal, size, near)


def interpolate(attributes: Tensor, faces: Tensor, face: Tensor, barycentric: Tensor) -> Tensor:
    """See triangles_twin.interpolate."""
    if attributes.ndim == 3:
        rows = torch.arange(3 * len(faces), dtype=torch.int32, device=faces.device).reshape(-1, 3)
        return _Interpolate.apply(attributes.flatten(0, 1), rows, face, barycentric)
    return _Interpolate.apply(attributes, _whole(faces), face, barycentric)


def topology(faces: Tensor, vertex_count: int) -> Tensor:
    """See triangles_antialias_twin.topology: sorting and counting, which torch does on every device."""
    return triangles_antialias_twin.topology(faces, vertex_count)


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
    return _Antialias.apply(image, positions, _whole(faces), _whole(partners), focal, face, depth)


def mip_level(
    uv: Tensor, positions: Tensor, faces: Tensor, focal: Tensor, face: Tensor, texels: tuple[int, int]
) -> Tensor:
    """See triangles_texture_twin.mip_level."""
    from .triangles_pixels import mip_level as kernel

    level = torch.empty(face.shape, device=face.device)
    scene = (positions.contiguous(), _whole(faces), focal.contiguous(), face.contiguous())
    launch(kernel, face.numel(), *scene, uv.contiguous(), float(texels[1]), float(texels[0]), level)
    return level


def texture(levels: Sequence[Tensor], uv: Tensor, level: Tensor | None, wrap: bool) -> Tensor:
    """See triangles_texture_twin.texture."""
    return _Texture.apply(uv, level, wrap, *levels)


def _whole(indices: Tensor) -> Tensor:
    return indices.to(torch.int32).contiguous()


def _plain(*tensors: Tensor) -> list[Tensor]:
    return [t.detach().contiguous() for t in tensors]


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, positions, faces, focal, size, near):
        from .triangles_scan import bound, resolve, scan

        positions, focal = _plain(positions, focal)
        (height, width), views, count, device = size, len(focal), len(faces), focal.device
        boxes = torch.empty(views, count, 4, dtype=torch.int32, device=device)
        counts = torch.empty(views, count, dtype=torch.int32, device=device)
        launch(bound, views * count, positions, faces, focal, near, width, height, boxes, counts)
        ends = counts.flatten().cumsum(0)
        owners = _owners(counts, ends)
        keys = torch.full((views, height, width), EMPTY_KEY, dtype=torch.int64, device=device)
        entries = (boxes.flatten(0, 1), owners, ends - counts.flatten())
        launch(scan, len(owners), positions, faces, focal, near, *entries, keys)
        face = torch.empty(keys.shape, dtype=torch.int32, device=device)
        barycentric = torch.empty(*keys.shape, 3, device=device)
        depth = torch.empty(keys.shape, device=device)
        launch(resolve, keys.numel(), positions, faces, focal, keys, face, barycentric, depth)
        ctx.save_for_backward(positions, faces, focal, face)
        ctx.mark_non_differentiable(face)
        return face, barycentric, depth

    @staticmethod
    @once_differentiable
    def backward(ctx, _, to_barycentric, to_depth):
        from .triangles_scan import rasterize_backward

        inputs = ctx.saved_tensors
        sums = _zeros(inputs[0].shape, inputs[0]), _zeros(inputs[3].shape, inputs[0])
        upstream = _plain(to_barycentric, to_depth)
        launch(rasterize_backward, inputs[3].numel(), *inputs, *upstream, *sums)
        return sums[0].float(), None, sums[1].sum((1, 2)).float(), None, None


def _owners(counts: Tensor, ends: Tensor) -> Tensor:
    """The view and face that each entry belongs to, int32; waits for the device once."""
    total = _read(ends[-1]) if len(ends) else 0
    index = torch.arange(counts.numel(), dtype=torch.int32, device=counts.device)
    return torch.repeat_interleave(index, counts.flatten(), output_size=total)


def _read(number: Tensor) -> int:
    """From the device."""
    return int(number)


def _zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    """Sums to be added to."""
    return torch.zeros(*shape, dtype=torch.float64, device=like.device)


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, attributes, rows, face, barycentric):
        from .triangles_pixels import interpolate

        attributes, face, barycentric = _plain(attributes, face, barycentric)
        out = torch.empty(face.numel(), attributes.shape[1], device=face.device)
        flat = (face.view(-1), barycentric.view(-1, 3))
        launch(interpolate, out.numel(), attributes, rows, *flat, out)
        ctx.save_for_backward(attributes, rows, face, barycentric)
        return out.view(*face.shape, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        from .triangles_pixels import interpolate_backward

        attributes, rows, face, barycentric = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        sums = _zeros(attributes.shape if wanted[0] else (0, 0), face)
        weights = torch.empty(face.numel() if wanted[3] else 0, 3, device=face.device)
        pixels = (face.view(-1), barycentric.view(-1, 3), upstream.contiguous().view(face.numel(), -1))
        launch(interpolate_backward, face.numel(), attributes, rows, *pixels, sums, weights)
        to_attributes = sums.float() if wanted[0] else None
        return to_attributes, None, None, weights.view(barycentric.shape) if wanted[3] else None


class _Antialias(torch.autograd.Function):
    """Keeps how much each pixel takes from its neighbours; where edges cross is found again."""

    @staticmethod
    def forward(ctx, image, positions, faces, partners, focal, face, depth):
        from .triangles_edges import beyond, blend, facing, find_shares

        image, positions, focal, face, depth = _plain(image, positions, focal, face, depth)
        views, count, device = len(focal), len(faces), face.device
        sides = torch.empty(views, count, dtype=torch.int32, device=device)
        inner = torch.empty(views, count, 3, dtype=torch.int32, device=device)
        launch(facing, views * count, positions, faces, sides)
        launch(beyond, views * count, faces, partners, sides, inner)
        shares, out = torch.empty(*face.shape, 2, device=device), torch.empty_like(image)
        scene = (positions, faces, focal, sides, inner, face, depth, shares)
        launch(find_shares, shares.numel(), *scene)
        launch(blend, face.numel(), shares, image, out)
        ctx.save_for_backward(*scene, image)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        from .triangles_edges import blend_backward, shares_backward

        *scene, image = ctx.saved_tensors
        positions, shares, upstream = scene[0], scene[-1], upstream.contiguous()
        to_image = torch.empty_like(image)
        launch(blend_backward, shares.numel() // 2, shares, upstream, to_image)
        sums = _zeros(positions.shape, image), _zeros(shares.shape, image)
        launch(shares_backward, shares.numel(), *scene, image, upstream, *sums)
        return to_image, sums[0].float(), None, None, sums[1].sum((1, 2, 3)).float(), None, None


class _Texture(torch.autograd.Function):
    """Copies the levels behind each other into one array."""

    @staticmethod
    def forward(ctx, uv, level, wrap, *levels):
        from .triangles_texels import sample

        texels = torch.cat([t.detach().flatten(0, 1) for t in levels])
        sizes, first = [], 0
        for t in levels:
            sizes.append([*t.shape[:2], first])
            first += t.shape[0] * t.shape[1]
        table = torch.tensor(sizes, dtype=torch.int32).to(uv.device)
        place = uv.detach().contiguous().view(-1, 2)
        wanted = uv.new_empty(0) if level is None else level.detach().contiguous().view(-1)
        out = torch.empty(len(place), texels.shape[1], device=uv.device)
        launch(sample, len(place), texels, table, place, wanted, int(wrap), out)
        ctx.save_for_backward(texels, table, place, wanted)
        ctx.rest = (int(wrap), [t.shape for t in levels], None if level is None else level.shape, uv.shape)
        return out.view(*uv.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        from .triangles_texels import sample_backward

        texels, table, place, wanted = ctx.saved_tensors
        wrap, shapes, level_shape, uv_shape = ctx.rest
        any_texel = any(ctx.needs_input_grad[3:])
        sums = _zeros(texels.shape if any_texel else (0, 0), texels)
        to_uv = torch.empty_like(place)
        to_level = torch.empty(len(wanted) if ctx.needs_input_grad[1] else 0, device=place.device)
        flat = upstream.contiguous().view(len(place), -1)
        launch(sample_backward, len(place), texels, table, place, wanted, wrap, flat, sums, to_uv, to_level)
        to_levels: list[Any] = [None] * len(shapes)
        if any_texel:
            parts = sums.float().split([s[0] * s[1] for s in shapes])
            to_levels = [part.view(s) for part, s in zip(parts, shapes, strict=True)]
        one = to_level.view(level_shape) if ctx.needs_input_grad[1] else None
        return to_uv.view(uv_shape), one, None, *to_levels
