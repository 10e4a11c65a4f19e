"""Which texels of a picture a mesh reads, and whether all that reads one may change."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

AT_ONCE = 1 << 21
"""Texels looked at together."""
MOST = 1 << 25
"""Texels of all faces' boxes together; beyond, the faces count as reading everything."""

TexelTest = Callable[[Float[Tensor, "n 3"], Int[Tensor, " n"], Int[Tensor, " n"]], Bool[Tensor, " n"]]
"""Whether points, which read the texels of these columns and rows, may change."""


def readable(
    uv: Float[Tensor, "f 3 2"],
    corners: Float[Tensor, "f 3 3"],
    may_change: TexelTest,
    size: tuple[int, int],
) -> tuple[Bool[Tensor, "h w"], Bool[Tensor, "h w"]]:
    """The texels that bilinear samples on some faces read.

    A texel counts where its square, one texel larger on every side, meets the face: never too few.

    Args:
        uv: texture coordinates of the faces' corners, in which the picture repeats. corners: their places.
        may_change: see TexelTest. size: (height, width) in texels.

    Returns:
        Texels that are read at points which may change, and at points which may not.
    """
    height, width = size
    free, fixed = (torch.zeros(height, width, dtype=torch.bool) for _ in range(2))
    place = uv.double() * torch.tensor([width, height], dtype=torch.float64) - 0.5
    low, high = place.amin(1).floor().long() - 1, place.amax(1).ceil().long() + 1
    span = high - low + 1
    count = span[:, 0].clamp_max(4 * width) * span[:, 1].clamp_max(4 * height)
    if int(count.sum()) > MOST or bool((span > 4 * torch.tensor([width, height])).any()):
        row = torch.arange(height * width)
        middle = corners.double().mean((0, 1)).expand(len(row), 3)
        every = may_change(middle, row % width, row // width).reshape(height, width)
        inside = bool(_corners(corners, place, size, may_change).all())
        return free | every, fixed | (not inside) | ~every
    begin = 0
    ends = count.cumsum(0)
    while begin < len(uv):
        start = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(torch.searchsorted(ends, start + AT_ONCE, right=True)))
        rows = slice(begin, end)
        _mark(place[rows], corners[rows], low[rows], span[rows], may_change, free, fixed)
        begin = end
    return free, fixed


def _corners(corners: Tensor, place: Tensor, size: tuple[int, int], may_change: TexelTest) -> Tensor:
    """Whether the corners themselves may change."""
    texel = place.round().long().reshape(-1, 2) % torch.tensor([size[1], size[0]])
    return may_change(corners.double().reshape(-1, 3), texel[:, 0], texel[:, 1])


def _mark(
    place: Tensor,
    corners: Tensor,
    low: Tensor,
    span: Tensor,
    may_change: TexelTest,
    free: Tensor,
    fixed: Tensor,
) -> None:
    """Add the texels of some faces to both maps."""
    height, width = free.shape
    count = span[:, 0] * span[:, 1]
    face = torch.arange(len(place)).repeat_interleave(count)
    within = torch.arange(len(face)) - (count.cumsum(0) - count)[face]
    texel = low[face] + torch.stack([within % span[face, 0], within // span[face, 0]], dim=1)
    weight, meets = _inside(texel.double(), place[face])
    point = (corners.double()[face[meets]] * weight[meets][:, :, None]).sum(1)
    x, y = texel[meets, 0] % width, texel[meets, 1] % height
    may = may_change(point, x, y)
    free[y[may], x[may]] = True
    fixed[y[~may], x[~may]] = True


def _inside(at: Float[Tensor, "n 2"], triangle: Float[Tensor, "n 3 2"]) -> tuple[Tensor, Tensor]:
    """Weights of the corners at the point of a triangle near `at`, and whether its square of side two meets it.

    A square is on one side of an edge if its centre is farther from it than the square reaches towards it. A triangle
    without area is met all over its box.
    """
    a, b, c = triangle.unbind(1)

    def cross(p: Tensor, q: Tensor) -> Tensor:
        return p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]

    area = cross(b - a, c - a)
    flat = area.abs() < 1e-12
    sides = torch.stack([cross(c - b, at - b), cross(a - c, at - c), cross(b - a, at - a)], dim=1)
    sides = sides * torch.where(area < 0, -1.0, 1.0)[:, None]
    reach = torch.stack([(e.abs()).sum(1) for e in (c - b, a - c, b - a)], dim=1)
    meets = (sides >= -reach).all(1) | flat
    weight = (sides / area.abs().clamp_min(1e-12)[:, None]).clamp_min(0.0)
    weight = torch.where(flat[:, None], torch.full_like(weight, 1 / 3), weight)
    return weight / weight.sum(1, keepdim=True).clamp_min(1e-12), meets
