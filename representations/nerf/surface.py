"""From a neural radiance field to a coloured triangle mesh."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from sds3d.core.assets import Mesh

from ..grid import Options as GridOptions
from ..grid.surface import seen_color
from ..grid.surface import to_mesh as volume_to_mesh

if TYPE_CHECKING:
    from .model import NerfModel

RESOLUTION = 96
"""Points along an edge of the lattice, at least."""


def to_mesh(model: NerfModel) -> Mesh:
    """The isosurface of the density whose outline is the one that is seen, with the colours that are seen.

    The field is read out on a lattice, and grid.surface does the rest.

    Raises:
        AssetError: the field is empty.
    """
    return volume_to_mesh(*_lattice(model))


def surface_colors(model: NerfModel) -> Callable[[Tensor], Tensor]:
    """(P, 3) points of the mesh's surface to the sRGB that is seen there."""
    volume, options = _lattice(model)
    return lambda points: seen_color(volume, points, options)


def _lattice(model: NerfModel) -> tuple[Tensor, GridOptions]:
    """The field read out, (R, R, R, 4) on the CPU, and the options of a grid that holds it."""
    o = model.options
    resolution = max(RESOLUTION, o.encoding.finest)
    options = GridOptions(
        resolutions=(resolution,),
        half_extent=o.half_extent,
        empty_margin=o.empty_margin,
        picture_samples=o.picture_samples,
        stop=o.stop,
    )
    return model.volume(resolution).cpu(), options
