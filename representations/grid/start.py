"""From an asset, or from a field on other grids, to a field."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.assets import Asset
from sds3d.core.streams import Streams

from .. import distance
from ..as_mesh import mesh_of
from ..grids import SURE, pyramid, sum_at
from ..lattice import Lattice
from ..raster.march_twin import sample_volume
from ..surface_samples import spread_over
from .field import GridField, active_levels, blob
from .options import Options

SAMPLES = 30_000
"""Points spread over an asset, by which its distances and colours are found."""

STEEP = 3.0
"""Raw density by which the field falls over one cell of the finest grid at the asset's surface."""

SOLID, EMPTY = 3.0, -9.0
"""Raw densities deep inside an asset, and far outside."""


def from_asset(source: Asset | GridField, options: Options, streams: Streams) -> GridField:
    """A field that looks like an asset: solid inside, with the nearest surface point's colour everywhere.

    Of another field, raw densities and colours are kept as its finest grid holds them.

    Raises:
        AssetError: the asset has no surface.
    """
    if isinstance(source, GridField):
        raw, reach = _raw_of_field(source), source.options.half_extent
    else:
        raw, reach = _raw_of_asset(source, options, streams), options.half_extent

    def beyond_the_blob(points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
        value = sample_volume(raw, points.clamp(-reach, reach), reach)
        start = blob(options, round(len(points) ** (1 / 3))).reshape(-1)
        # where nothing may be, no density is missing
        density = torch.where(torch.isfinite(start), value[:, 0] - start, 0.0)
        return torch.cat([density[:, None], value[:, 1:]], dim=1)

    levels = pyramid(beyond_the_blob, options.resolutions, options.half_extent)
    return GridField(options, levels, active_levels(options, 0.0))


@torch.no_grad()
def _raw_of_field(source: GridField) -> Float[Tensor, "r r r 4"]:
    """The sum of a field's grids and its blob, on the CPU; `EMPTY` where nothing may be."""
    o, size = source.options, source.options.resolutions[-1]
    total = sum_at([level.detach().cpu() for level in source.levels[: source.active]], size)
    density = total[..., 0] + blob(o, size)
    return torch.cat([density.clamp_min(EMPTY)[..., None], total[..., 1:]], dim=-1)


def _raw_of_asset(source: Asset, options: Options, streams: Streams) -> Float[Tensor, "r r r 4"]:
    """Raw densities that fall steeply through 0 at the surface, and the raw colours of the nearest surface points."""
    from scipy.spatial import cKDTree

    mesh, size = mesh_of(source, streams), options.resolutions[-1]
    on = spread_over(mesh, streams.uniform((SAMPLES, 3), "grid-init-surface")[0])
    lattice = Lattice(size - 1, options.half_extent)
    density = (-STEEP / lattice.cell * distance.of_mesh(mesh, on, lattice)).clamp(EMPTY, SOLID)
    colors = torch.full((lattice.size, 3), 0.5)
    if on.colors is not None:
        near = cKDTree(on.points.double().numpy()).query(lattice.points().double().numpy())[1]
        colors = on.colors[torch.from_numpy(near)]
    raw = torch.logit(colors.clamp(SURE, 1 - SURE)) / options.color_gain
    return torch.cat([density[:, None], raw], dim=1).reshape(size, size, size, 4)
