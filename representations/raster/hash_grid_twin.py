"""The plain torch definition of the hash grid: every faster implementation must agree with this file.

A point x in [0, 1]^3 lies at u = scale x + 1/2 of a level, in the cell floor(u). The level's features are the
trilinear mean of the rows of the cell's eight corners. The row of a corner (i, j, k) is i + j r + k r^2 on a dense
level of resolution r and (i XOR j p1 XOR k p2) on the others, both modulo the level's rows (Müller et al. 2022,
section 3).
"""

from __future__ import annotations

from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .hash_grid_layout import PRIMES, HashGrid


def encode(
    points: Float[Tensor, "n 3"], table: Float[Tensor, "t f"], grid: HashGrid, active: int
) -> Float[Tensor, "n w"]:
    """Features (N, levels * features), level after level; zeros for the levels from `active` on."""
    parts = []
    for level in range(active):
        share, corner_rows = _cell(points, grid, level)
        parts.append((_weights(share)[..., None] * table[corner_rows]).sum(1))
    return torch.cat([*parts, points.new_zeros(len(points), (grid.levels - active) * grid.features)], dim=1)


def encode_slopes(
    points: Float[Tensor, "n 3"], table: Float[Tensor, "t f"], grid: HashGrid, active: int
) -> tuple[Float[Tensor, "n w"], Float[Tensor, "n 3 w"]]:
    """The features and their derivatives by x, y and z; both linear in the table."""
    slopes = []
    for level in range(active):
        share, corner_rows = _cell(points, grid, level)
        by_axis = grid.scales[level] * _weight_slopes(share)
        slopes.append(torch.einsum("nac,ncf->naf", by_axis, table[corner_rows]))
    rest = points.new_zeros(len(points), 3, (grid.levels - active) * grid.features)
    return encode(points, table, grid, active), torch.cat([*slopes, rest], dim=2)


def rows(corner: Int[Tensor, "*n 3"], grid: HashGrid, level: int) -> Int[Tensor, " *n"]:
    """The table's rows of a level's points, given by their whole coordinates."""
    x, y, z = corner.unbind(-1)
    if grid.dense[level]:
        size = grid.resolutions[level]
        index = x + y * size + z * size * size
    else:
        index = (x * PRIMES[0]) ^ (y * PRIMES[1]) ^ (z * PRIMES[2])
    return grid.offsets[level] + index % grid.sizes[level]


def _cell(points: Tensor, grid: HashGrid, level: int) -> tuple[Float[Tensor, "n 3"], Int[Tensor, "n 8"]]:
    """Where in its cell each point lies, in [0, 1), and the rows of the cell's corners."""
    place = points * grid.scales[level] + 0.5
    low = place.detach().floor()
    steps = torch.tensor(list(product((0, 1), repeat=3)), device=points.device)
    return place - low, rows(low.long()[:, None] + steps, grid, level)


def _sides(share: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 8"]:
    """Per axis, the weight of each corner's side."""
    upper = torch.tensor(list(product((False, True), repeat=3)), device=share.device).T
    return torch.where(upper, share[..., None], 1 - share[..., None])


def _weights(share: Float[Tensor, "n 3"]) -> Float[Tensor, "n 8"]:
    return _sides(share).prod(1)


def _weight_slopes(share: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 8"]:
    """Derivatives of the weights by the share along each axis."""
    a, b, c = _sides(share).unbind(1)
    sign = torch.tensor(list(product((-1.0, 1.0), repeat=3)), dtype=share.dtype, device=share.device).T
    return sign * torch.stack([b * c, a * c, a * b], dim=1)
