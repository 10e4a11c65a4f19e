"""The file that a representation starts from."""

from __future__ import annotations

from collections.abc import Sequence

from sds3d import assetio
from sds3d.core.assets import Asset
from sds3d.core.errors import AssetError

_FORMS = ("mesh", "splats", "points")


def asset_in(file: str, takes: Sequence[str]) -> Asset:
    """Of what a file holds, the first that is taken.

    Args:
        takes: see RepresentationOptions.starts_from.

    Raises:
        AssetError: the file cannot be read, or holds nothing of that.
    """
    scene = assetio.read(file)
    held = {"mesh": scene.mesh, "splats": scene.splats, "points": scene.points}
    forms = [form for form in takes if form in _FORMS]
    for form in forms:
        asset = held[form]
        if asset is not None:
            return asset
    raise AssetError(f"{file}: holds no {', '.join(forms[:-1])} or {forms[-1]} to start from")
