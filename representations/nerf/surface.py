"""From a neural radiance field to a coloured triangle mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sds3d.core.assets import Mesh

from ..grid import Options as GridOptions
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
    o = model.options
    resolution = max(RESOLUTION, o.encoding.finest)
    options = GridOptions(
        resolutions=(resolution,),
        half_extent=o.half_extent,
        empty_margin=o.empty_margin,
        picture_samples=o.picture_samples,
        stop=o.stop,
    )
    return volume_to_mesh(model.volume(resolution).cpu(), options)
