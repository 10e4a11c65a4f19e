"""Any asset as a mesh."""

from __future__ import annotations

from sds3d.core.assets import Asset, Mesh, Picture
from sds3d.core.errors import AssetError
from sds3d.core.streams import Streams

from . import gaussians


def mesh_of(source: Asset, streams: Streams) -> Mesh:
    """An asset as a mesh; of splats and points the surface of their density, see gaussians.surface.

    Raises:
        AssetError: it is a picture, or nothing solid is there.
    """
    if isinstance(source, Mesh):
        return source
    if isinstance(source, Picture):
        raise AssetError("a picture has no surface to start from")
    found = gaussians.GaussianModel.from_asset(source, gaussians.Options(), streams).to_asset("mesh")
    assert isinstance(found, Mesh)
    return found
