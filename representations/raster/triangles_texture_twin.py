"""The plain torch definition of texture sampling.

A texture (h, w, C) covers the unit square, u to the right and v down (glTF's convention); the centre of texel
(row, column) lies at ((column + 1/2) / w, (row + 1/2) / h), and between centres the texture is bilinear. Level l of
a pyramid is the texture at half the size of level l - 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from .triangles_twin import cross, edge_at, pixel_rays


def _axis(coordinate: Tensor, size: int, wrap: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The two texels around each coordinate along one axis, and the weight of the second."""
    unit = coordinate - torch.floor(coordinate.detach()) if wrap else coordinate.clamp(0, 1)
    position = unit * size - 0.5
    low = torch.floor(position.detach())
    pair = torch.stack([low, low + 1]).long()
    pair = pair % size if wrap else pair.clamp(0, size - 1)
    return pair[0], pair[1], position - low


def _bilinear(image: Float[Tensor, "h w c"], uv: Float[Tensor, "b y x 2"], wrap: bool) -> Tensor:
    """float64 samples of one level."""
    left, right, fx = _axis(uv[..., 0].double(), image.shape[1], wrap)
    top, bottom, fy = _axis(uv[..., 1].double(), image.shape[0], wrap)
    fx, fy, values = fx[..., None], fy[..., None], image.double()
    upper = (1 - fx) * values[top, left] + fx * values[top, right]
    lower = (1 - fx) * values[bottom, left] + fx * values[bottom, right]
    return (1 - fy) * upper + fy * lower


def texture(
    levels: Sequence[Float[Tensor, "_ _ c"]],
    uv: Float[Tensor, "b y x 2"],
    level: Float[Tensor, "b y x"] | None,
    wrap: bool,
) -> Float[Tensor, "b y x c"]:
    """Samples of a pyramid; see raster.triangles_texture.texture."""
    if level is None or len(levels) == 1:
        return _bilinear(levels[0], uv, wrap).to(levels[0].dtype)
    last = len(levels) - 1
    wanted = level.double().clamp(0, last)
    finer = torch.floor(wanted.detach()).clamp_max(last - 1)
    fraction = wanted - finer
    out = torch.zeros((), dtype=torch.float64, device=uv.device)
    for number, image in enumerate(levels):
        weight = (finer == number) * (1 - fraction) + (finer == number - 1) * fraction
        out = out + weight[..., None] * _bilinear(image, uv, wrap)
    return out.to(levels[0].dtype)


@torch.no_grad()
def mip_level(
    uv: Float[Tensor, "f 3 2"],
    positions: Float[Tensor, "b v 3"],
    faces: Int[Tensor, "f 3"],
    focal: Float[Tensor, " b"],
    face: Int32[Tensor, "b h w"],
    texels: tuple[int, int],
) -> Float[Tensor, "b h w"]:
    """log2 of the largest stretch from pixels to texels, at least 0; see raster.triangles_texture.mip_level.

    With n_i the edge functions' coefficients, b_i = e_i / s and s their sum, a step of one pixel changes b_i by
    (n_i - b_i Σ n_j) / s. The stretch is the larger singular value of J = d texel / d pixel, the root
    of the larger eigenvalue of J Jᵀ.
    """
    out = torch.zeros(face.shape, dtype=positions.dtype, device=positions.device)
    b, y, x = (face >= 0).nonzero(as_tuple=True)
    u, v, f = pixel_rays(focal, (face.shape[1], face.shape[2]))
    seen = face[b, y, x].long()
    p = [tuple(c.unbind(1)) for c in positions.double()[b[:, None], faces[seen].long()].unbind(1)]
    normals = [cross(p[(i + 1) % 3], p[(i + 2) % 3]) for i in range(3)]
    e = torch.stack([edge_at(n, u[x], v[y], f[b]) for n in normals], dim=1)
    slope = torch.stack([torch.stack(n[:2], dim=1) for n in normals], dim=1)  # (n, corner, column or row)
    total = e.sum(dim=1)[:, None, None]
    change = (slope - (e[:, :, None] / total) * slope.sum(dim=1, keepdim=True)) / total
    scale = torch.tensor([texels[1], texels[0]], dtype=torch.float64, device=uv.device)
    jacobian = change.mT @ (uv.double()[seen] * scale)
    xx, yy = jacobian.square().sum(2).unbind(1)
    apart, xy = 0.5 * (xx - yy), jacobian.prod(1).sum(1)
    stretch = (0.5 * (xx + yy) + (apart.square() + xy.square()).sqrt()).sqrt()
    return out.index_put((b, y, x), stretch.clamp_min(1).log2().to(out.dtype))
