"""A colour field on dense grids that add up, coarse ones first."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.streams import Streams

from ..grids import SURE, pyramid
from ..raster.march_twin import sample_volume


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
