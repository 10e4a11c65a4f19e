"""A colour field on dense grids that add up, coarse ones first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sds3d.core.streams import Streams

from ..raster.march_twin import sample_volume
from .lattice import Lattice

SURE = 1e-3
"""How close to 0 and 1 a colour is taken when a grid is made to show it."""


def fresh(resolutions: Sequence[int], noise: float, streams: Streams) -> list[Float[Tensor, "l l l 3"]]:
    """Grey grids with a little noise."""
    return [noise * streams.normal((size, size, size, 3), "tetmesh-color", size)[0] for size in resolutions]


def colors_at(
    levels: Sequence[Float[Tensor, "l l l 3"]], points: Float[Tensor, "n 3"], half: float, gain: float
) -> Float[Tensor, "n 3"]:
    """(N, 3) sRGB: sigmoid(gain · Σ grids), trilinear in the cube [-half, half]³; differentiable in both."""
    raw = sum(sample_volume(level, points, half) for level in levels)
    return torch.sigmoid(gain * raw)  # type: ignore[arg-type]


def showing(
    points: Float[Tensor, "n 3"],
    colors: Float[Tensor, "n 3"],
    resolutions: Sequence[int],
    half: float,
    gain: float,
) -> list[Float[Tensor, "l l l 3"]]:
    """Grids that show colours known at points: everywhere the nearest point's."""
    from scipy.spatial import cKDTree

    tree, wanted = cKDTree(points.double().numpy()), torch.logit(colors.float().clamp(SURE, 1 - SURE)) / gain
    return pyramid(
        lambda place: wanted[torch.from_numpy(tree.query(place.double().numpy())[1])], resolutions, half
    )


def pyramid(
    wanted: Callable[[Tensor], Tensor], resolutions: Sequence[int], half: float
) -> list[Float[Tensor, "l l l c"]]:
    """Grids whose sum is a function (N, 3) -> (N, C) at the finest one's points: each is what the coarser ones lack."""
    levels: list[Tensor] = []
    for size in resolutions:
        target = wanted(Lattice(size - 1, half).points()).reshape(size, size, size, -1)
        levels.append(target - sum_at(levels, size) if levels else target)
    return levels


def sum_at(levels: Sequence[Float[Tensor, "l l l c"]], size: int) -> Float[Tensor, "r r r c"]:
    """The sum of grids at another resolution."""
    total = levels[0].new_zeros(size, size, size, levels[0].shape[-1])
    for level in levels:
        first = level.permute(3, 0, 1, 2)[None]
        total += F.interpolate(first, size=(size,) * 3, mode="trilinear", align_corners=True)[0].permute(
            1, 2, 3, 0
        )
    return total
