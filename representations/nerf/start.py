"""From an asset, or from another field, to a neural radiance field: fitted by samples."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sds3d.core.assets import Asset
from sds3d.core.streams import Streams

from ..grid import GridField
from ..grid import Options as GridOptions
from ..grid import start as grid_start
from ..raster.march_twin import sample_volume
from .field import Field, blob
from .model import NerfModel, create
from .options import Options

RESOLUTION = 64
"""Points along an edge of the volume that is fitted, where the source has none of its own."""

STEPS, POINTS = 300, 8192
"""Adam steps of the fit, and places a step: half of them near the surface."""

EMPTY, SOLID = -9.0, 3.0
"""Raw densities beyond these are as good as these."""

CLEAR = 0.1
"""A colour counts where one cell of the volume absorbs more than this share of the light."""


def from_asset(source: Asset | GridField | NerfModel, options: Options, streams: Streams) -> NerfModel:
    """A field that looks like a mesh, splats, points, a grid field or another neural field.

    A neural field of the same shape is copied. Anything else becomes a volume first (see grid.start), whose raw
    density and colours the network then learns from samples.

    Raises:
        AssetError: the asset has no surface.
    """
    model = create(options, streams)
    all_on = replace(model.field, active=options.encoding.levels)
    if isinstance(source, NerfModel) and _alike(source.options, options):
        field = source.field.map(lambda t: t.detach().cpu().clone())
        field = replace(field, options=options, active=options.encoding.levels)
    else:
        field = fit(all_on, volume_of(source, options, streams), streams)
    return NerfModel(options, field, model.behind, streams)


def _alike(a: Options, b: Options) -> bool:
    """Whether parameters of one mean the same in the other."""
    shape = {"encoding", "hidden", "hidden_layers", "half_extent", "density_gain", "color_gain"}
    shape |= {"blob_bias", "blob_slope", "blob_radius"}
    return all(getattr(a, name) == getattr(b, name) for name in shape)


def volume_of(
    source: Asset | GridField | NerfModel, options: Options, streams: Streams
) -> Float[Tensor, "r r r 4"]:
    """The source as an activated volume on the cube of the options, axes z, y, x: extinction and RGB."""
    if isinstance(source, NerfModel):
        size, half, own = RESOLUTION, source.options.half_extent, source.volume(RESOLUTION).cpu()
    else:
        if not isinstance(source, GridField):
            grid = GridOptions(
                resolutions=(RESOLUTION,),
                half_extent=options.half_extent,
                empty_margin=options.empty_margin,
                density_gain=options.density_gain,
            )
            source = grid_start.from_asset(source, grid, streams)
        half, own = source.options.half_extent, source.volume().detach().cpu()
        size = len(own)
    if half == options.half_extent:
        return own
    line = torch.linspace(-1.0, 1.0, size) * options.half_extent
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    points = torch.stack([x, y, z], dim=-1)
    within = (points.abs() <= half).all(-1, keepdim=True)
    values = sample_volume(own, points.clamp(-half, half), half)
    return torch.cat([values[..., :1] * within, values[..., 1:]], dim=-1)


@torch.enable_grad()
def fit(field: Field, volume: Float[Tensor, "r r r 4"], streams: Streams) -> Field:
    """The field after learning a volume: raw densities, clamped to [EMPTY, SOLID], and colours where there is matter.

    Args:
        volume: activated, on the field's cube. streams: draw the places.
    """
    options, half = field.options, field.options.half_extent
    cell = 2 * half / (len(volume) - 1)
    raw = _raw(volume[..., 0], options.density_gain).clamp(EMPTY, SOLID)
    target = torch.cat([raw[..., None], volume[..., 1:]], dim=-1)
    near = ((raw > EMPTY) & (raw < SOLID)).nonzero()
    field = field.map(lambda t: t.detach().clone().requires_grad_())
    groups = [{"params": [field.table], "lr": 0.02}, {"params": [*field.named().values()], "lr": 0.005}]
    adam = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-10)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS)
    for step in range(STEPS):
        points = _places(near, half, cell, streams, step)
        wanted = sample_volume(target, points, half)
        found = field.raw(points)
        density = (found[:, 0] + blob(points, options)).clamp(EMPTY, SOLID)
        matter = -torch.expm1(-options.density_gain * F.softplus(wanted[:, :1]) * cell)
        color = torch.sigmoid(options.color_gain * found[:, 1:])
        off = ((color - wanted[:, 1:]).square() * (matter > CLEAR)).sum(1).mean()
        loss = F.smooth_l1_loss(density, wanted[:, 0]) + 10 * off
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
    return field.map(torch.Tensor.detach)


def _raw(density: Tensor, gain: float) -> Tensor:
    """softplus backwards; very low for none."""
    share = (density / gain).clamp_min(1e-30)
    return share + torch.log(-torch.expm1(-share))


def _places(near: Tensor, half: float, cell: float, streams: Streams, step: int) -> Float[Tensor, "p 3"]:
    """Half of them around lattice points near the surface, the others anywhere in the cube."""
    u = streams.uniform((POINTS, 3), "nerf-fit", step=step)[0].float()
    anywhere = (2 * u - 1) * half
    count = POINTS // 2 if len(near) else 0
    which = streams.integers(max(1, len(near)), (count,), "nerf-fit-near", step=step)[0]
    around = near[which].flip(1).float() * cell - half + (2 * u[:count] - 1) * cell
    return torch.cat([around.clamp(-half, half), anywhere[count:]])
