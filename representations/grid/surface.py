"""From a radiance field to a coloured triangle mesh."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from sds3d.core.assets import Box, Mesh

from ..raster.march_twin import sample_volume
from .options import Options


def surface_level(options: Options) -> float:
    """The density at which one cell of the finest grid absorbs half of a ray, in extinction per world unit.

    Inside, a few cells saturate a ray; outside, the same few let it pass: the surface that is seen.
    """
    cell = 2.0 * options.half_extent / (options.resolutions[-1] - 1)
    return math.log(2.0) / cell


def to_mesh(volume: Float[Tensor, "r r r 4"], options: Options) -> Mesh:
    """The isosurface of the density at `surface_level`, coloured by the field where it passes.

    Args:
        volume: activated field, axes z, y, x (see raster.march_twin).

    Raises:
        AssetError: the field is empty at that level.
    """
    from ..bake import field_to_mesh

    h = options.half_extent

    def color_at(points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return sample_volume(volume, points, h)[..., 1:]

    return field_to_mesh(volume[..., 0], surface_level(options), color_at, Box((-h, -h, -h), (h, h, h)))
