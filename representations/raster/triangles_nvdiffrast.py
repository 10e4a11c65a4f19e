"""The triangle functions by nvdiffrast, for those who have it and ask for it by name; arguments as in the twins.

Laine et al., "Modular Primitives for High-Performance Differentiable Rendering" (2020, arXiv 2011.03277). Its licence
(Nvidia Source Code License) allows non-commercial use only: "auto" never takes it. Differences from the definition:
antialiasing looks at the edges of the first face alone; of equal depths any may be seen; and what `interpolate` hands
back to the barycentrics is for the first two of them, the third being the rest up to 1.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from . import triangles_antialias_twin, triangles_texture_twin, triangles_twin
from .dispatch import RasterError

INSTALL = "pip install --no-build-isolation git+https://github.com/NVlabs/nvdiffrast"
MOST_FACES = 1 << 24  # it returns indices as float32
NEAR = 0.01


def nvdiffrast_status(device: torch.device) -> str:
    """Why it cannot serve that device; "" where it can."""
    if device.type != "cuda":
        return f"nvdiffrast runs on CUDA devices only, not on '{device.type}'"
    if importlib.util.find_spec("nvdiffrast") is None:
        return f"nvdiffrast is not installed (its licence allows non-commercial use only): {INSTALL}"
    return ""


def _module() -> Any:
    return importlib.import_module("nvdiffrast.torch")


@cache
def _context(device: torch.device) -> Any:
    """Making one takes long, so each device keeps its own."""
    return _module().RasterizeCudaContext(device=device)


def _clip(positions: Tensor, focal: Tensor, size: tuple[int, int], near: float) -> Tensor:
    """(B, V, 4) clip coordinates of camera axes right, down, forward, with the far plane at infinity.

    Its lowest row of pixels is at y = -1; with y down that is the top one, as here.
    """
    height, width = size
    x, y, z = positions.unbind(2)
    scale = 2 * focal[:, None]
    return torch.stack([x * scale / width, y * scale / height, z - 2 * near, z], dim=2).contiguous()


def _whole(indices: Tensor) -> Tensor:
    return indices.to(torch.int32).contiguous()


def _seen(face: Tensor, first: Tensor, second: Tensor, depth: Tensor | None = None) -> Tensor:
    """(B, H, W, 4) what `rasterize` returned, from its parts; where depth counts, only its order does."""
    z = torch.zeros_like(first) if depth is None else torch.where(face >= 0, 1 - NEAR / depth, 0)
    return torch.stack([first, second, z, (face + 1).to(first.dtype)], dim=3).contiguous()


def rasterize(
    positions: Tensor, faces: Tensor, focal: Tensor, size: tuple[int, int], near: float
) -> tuple[Tensor, Tensor, Tensor]:
    """See triangles_twin.rasterize. Raises RasterError for more faces than float32 can count."""
    if len(faces) > MOST_FACES:
        raise RasterError(f"nvdiffrast: {len(faces)} faces, it takes at most {MOST_FACES}")
    if not len(faces):
        return triangles_twin.rasterize(positions, faces, focal, size, near)
    pos, tri = _clip(positions, focal, size, near), _whole(faces)
    out, _ = _module().rasterize(_context(positions.device), pos, tri, list(size), grad_db=False)
    face = out[..., 3].detach().int() - 1
    weights = torch.stack([out[..., 0], out[..., 1], 1 - out[..., 0] - out[..., 1]], dim=3)
    barycentric = torch.where((face >= 0)[..., None], weights, 0)
    view = torch.arange(len(pos), device=pos.device)[:, None, None, None]
    corner = positions[..., 2][view, faces.long()[face.clamp_min(0).long()]]
    return face, barycentric, (barycentric * corner).sum(3)


def interpolate(attributes: Tensor, faces: Tensor, face: Tensor, barycentric: Tensor) -> Tensor:
    """See triangles_twin.interpolate."""
    if not len(faces):
        return triangles_twin.interpolate(attributes, faces, face, barycentric)
    if attributes.ndim == 3:
        faces = torch.arange(3 * len(faces), device=faces.device).reshape(-1, 3)
        attributes = attributes.flatten(0, 1)
    seen = _seen(face, barycentric[..., 0], barycentric[..., 1])
    return _module().interpolate(attributes[None].contiguous(), seen, _whole(faces))[0]


def topology(faces: Tensor, vertex_count: int) -> Tensor:
    """See triangles_antialias_twin.topology."""
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
    """See triangles_antialias_twin.antialias; `partners` are not asked, it finds them itself."""
    if not len(faces):
        return image
    pos = _clip(positions, focal, (face.shape[1], face.shape[2]), NEAR)
    nothing = torch.zeros_like(depth)
    seen = _seen(face, nothing, nothing, depth.detach())
    return _module().antialias(image.contiguous(), seen, pos, _whole(faces))


def mip_level(
    uv: Tensor, positions: Tensor, faces: Tensor, focal: Tensor, face: Tensor, texels: tuple[int, int]
) -> Tensor:
    """See triangles_texture_twin.mip_level: it has no such function of its own."""
    return triangles_texture_twin.mip_level(uv, positions, faces, focal, face, texels)


def texture(levels: Sequence[Tensor], uv: Tensor, level: Tensor | None, wrap: bool) -> Tensor:
    """See triangles_texture_twin.texture."""
    mode = {"boundary_mode": "wrap" if wrap else "clamp"}
    images = [image[None].contiguous() for image in levels]
    if level is None or len(images) == 1:
        return _module().texture(images[0], uv.contiguous(), filter_mode="linear", **mode)
    return _module().texture(
        images[0],
        uv.contiguous(),
        mip_level_bias=level.contiguous(),
        mip=images[1:],
        filter_mode="linear-mipmap-linear",
        **mode,
    )
