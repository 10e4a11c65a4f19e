"""From a radiance field to a coloured triangle mesh."""

from __future__ import annotations

import math
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sds3d.core.assets import Box, Mesh
from sds3d.core.cameras import orbit, rays

from ..raster.march import march
from ..raster.march_twin import intervals, sample_volume
from .options import Options

VIEW_SIZE = 64
"""Edge in pixels of the views that choose the surface."""


def cell_level(options: Options) -> float:
    """The density at which one cell of the finest grid absorbs half of a ray, in extinction per world unit."""
    cell = 2.0 * options.half_extent / (options.resolutions[-1] - 1)
    return math.log(2.0) / cell


def surface_level(volume: Float[Tensor, "r r r 4"], options: Options) -> float:
    """The density whose isosurface has the outline that is seen.

    A ray meets the isosurface of a level where its highest density reaches the level, and is seen as solid where
    its alpha passes one half. Of levels between "half opaque over the whole ball" and "over a quarter of a cell"
    the one is taken for which these two sets of rays agree best (intersection over union, six views); for a
    field that is nowhere seen as solid, `cell_level`.
    """
    peak, solid = _outlines(volume, options)
    if not bool(solid.any()):
        return cell_level(options)
    low, high = math.log(2.0) / (2.0 * options.half_extent), 4.0 * cell_level(options)
    levels = torch.logspace(math.log10(low), math.log10(high), 64, dtype=torch.float64).to(peak)
    met = peak[None] > levels[:, None]
    overlap = (met & solid).sum(1) / (met | solid).sum(1).clamp_min(1)
    return float(levels[overlap.argmax()])


def _outlines(volume: Tensor, options: Options) -> tuple[Float[Tensor, " n"], Bool[Tensor, " n"]]:
    """Of each ray of six views: the highest density on it, and whether alpha is above one half."""
    cameras = orbit([0.0, 60.0, 120.0, 180.0, 240.0, 300.0], [0.0, 30.0, 60.0, -30.0, 15.0, 45.0])
    origins, directions = (v.reshape(-1, 3).to(volume) for v in rays(cameras, (VIEW_SIZE, VIEW_SIZE)))
    samples, half = options.picture_samples, options.half_extent
    draw = partial(march, half=half, stop=options.stop, implementation=options.rasterizer)
    alpha = draw(volume, origins, directions, samples=samples)[:, 3]
    near, step, count = (v.to(volume) for v in intervals(origins, directions, half, samples))
    density, peak = volume[..., :1], torch.zeros_like(near)
    for i in range(samples):  # one layer of samples at a time bounds the memory
        on = count > i
        points = origins[on] + (near[on] + (i + 0.5) * step[on])[:, None] * directions[on]
        peak[on] = torch.maximum(peak[on], sample_volume(density, points, half)[:, 0])
    return peak, alpha > 0.5


def seen_color(
    volume: Float[Tensor, "r r r 4"], points: Float[Tensor, "n 3"], options: Options
) -> Float[Tensor, "n 3"]:
    """The colour that an eye in front of the surface sees: a ray from one cell before each point straight in.

    At the surface itself a field is half air, whose colour nobody has ever seen. A point where the density has no
    slope, or where the ray meets next to nothing, gets the field's own colour.
    """
    half, cell = options.half_extent, 2.0 * options.half_extent / (options.resolutions[-1] - 1)
    around = torch.cat([torch.eye(3), -torch.eye(3)]).to(volume) * cell
    density = sample_volume(volume[..., :1], (points[:, None] + around).clamp(-half, half), half)[..., 0]
    slope = density[:, :3] - density[:, 3:]
    inward = torch.nn.functional.normalize(slope, dim=-1)
    draw = partial(march, half=half, stop=options.stop, implementation=options.rasterizer)
    out = draw(volume, points - cell * inward, inward, samples=4 * options.resolutions[-1])
    clear = (out[:, 3:4] > 0.05) & (slope.norm(dim=-1, keepdim=True) > 0)
    own = sample_volume(volume[..., 1:], points, half)
    return torch.where(clear, out[:, :3] / out[:, 3:4].clamp_min(0.05), own)


def to_mesh(volume: Float[Tensor, "r r r 4"], options: Options) -> Mesh:
    """The isosurface of the density at `surface_level`, with the colours that are seen.

    Args:
        volume: activated field, axes z, y, x (see raster.march_twin).

    Raises:
        AssetError: the field is empty at that level.
    """
    from ..bake import field_to_mesh

    h, level = options.half_extent, surface_level(volume, options)
    return field_to_mesh(
        volume[..., 0],
        level,
        lambda points: seen_color(volume, points, options),
        Box((-h, -h, -h), (h, h, h)),
    )
