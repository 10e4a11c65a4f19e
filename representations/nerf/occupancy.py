"""Which cells of the cube hold something: a coarse memory of the densities that were met."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sds3d.core.streams import Streams

from .field import Field
from .options import Options


@dataclass(frozen=True)
class Occupancy:
    """The occupancy grid of Müller et al. 2022 (arXiv 2201.05989, appendix E.2), updated in every cell at once.

    Args:
        density: (R, R, R) extinction per world unit, axes z, y, x: the largest that was met in each cell, faded.
        occupied: (R, R, R) which cells are marched through.
    """

    density: Float[Tensor, "r r r"]
    occupied: Bool[Tensor, "r r r"]

    def to(self, device: torch.device) -> Occupancy:
        """The same on another device."""
        return Occupancy(self.density.to(device), self.occupied.to(device))


def level(options: Options) -> float:
    """The density of which one training interval absorbs `threshold`."""
    return -math.log1p(-options.occupancy.threshold) / (2 * options.half_extent / options.samples)


def places(options: Options, streams: Streams, step: int | None) -> Float[Tensor, "p 3"]:
    """One place at random in every cell, world units."""
    size, half = options.occupancy.resolution, options.half_extent
    line = torch.arange(size, dtype=torch.float32)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    corner = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    u = streams.uniform((size**3, 3), "nerf-occupancy", step=step)[0].float()
    return ((corner + u) * (2 * half / size) - half).clamp(-half, half)


@torch.no_grad()
def update(
    before: Occupancy | None, field: Field, streams: Streams, step: int | None, everywhere: bool
) -> Occupancy:
    """The occupancy after another look at every cell.

    Args:
        before: None at the start. step: keys the places. everywhere: march through every cell all the same.
    """
    options, size = field.options, field.options.occupancy.resolution
    points = places(options, streams, step).to(field.table)
    density = field.density(points).reshape(size, size, size)
    if before is not None:
        density = torch.maximum(density, options.occupancy.decay * before.density)
    occupied = torch.ones_like(density, dtype=torch.bool) if everywhere else density > level(options)
    return Occupancy(density, occupied)
