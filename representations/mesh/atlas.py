"""Texture atlases: a surface cut into charts that lie side by side in the unit square, and what each texel shows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sds3d.core.cameras import orbit
from sds3d.core.errors import AssetError, MissingPackageError

from ..raster.triangles import Fragments, rasterize

TRIES = 5
"""Packings until one fits; the last is shrunk, and its padding with it."""


def unwrap(
    vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], size: int, padding: int
) -> tuple[Float[Tensor, "f 3 2"], Int[Tensor, "f 3"]]:
    """Charts for a texture of size x size texels, by xatlas (github.com/jpcy/xatlas, MIT licence).

    Args:
        padding: texels around each chart, so that twice as many lie between two.

    Returns:
        uv (F, 3, 2) in [0, 1], glTF's convention, and the atlas's own vertex number of each corner (F, 3): corners
        that share one are next to each other in a chart.

    Raises:
        AssetError: the mesh has no faces, or xatlas gave up on it. MissingPackageError: xatlas is not installed.
    """
    if not len(faces):
        raise AssetError("the mesh has no faces: there is nothing to put a texture on")
    resolution = size
    for _ in range(TRIES):  # what comes out is larger than asked for, by more the more charts need padding
        atlas = _packed(vertices, faces, resolution, padding)
        excess = max(atlas.width, atlas.height) - size
        if excess <= 0:
            break
        resolution = max(resolution // 2, resolution - math.ceil(1.3 * excess))
    source, corner, uv = atlas[0]
    if atlas.atlas_count != 1 or not np.array_equal(source[corner], faces.cpu().numpy()):
        raise AssetError(
            "xatlas could not put the mesh into one texture; clean it (no doubled or degenerate faces), or "
            "decimate it first"
        )
    # one scale for both axes: the atlas may be a little higher than wide
    square = uv * (np.array([atlas.width, atlas.height]) / max(atlas.width, atlas.height))
    index = torch.from_numpy(corner.astype(np.int64))
    return torch.from_numpy(square.astype(np.float32))[index], index


def _packed(vertices: Tensor, faces: Tensor, resolution: int, padding: int) -> Any:
    """An xatlas.Atlas of about that many texels a side."""
    try:
        import xatlas
    except ImportError as error:
        raise MissingPackageError("xatlas", "texture atlases", "pip install xatlas") from error
    atlas, pack = xatlas.Atlas(), xatlas.PackOptions()
    pack.resolution, pack.padding, pack.bilinear = resolution, padding, True
    atlas.add_mesh(vertices.cpu().numpy().astype(np.float32), faces.cpu().numpy().astype(np.uint32))
    atlas.generate(xatlas.ChartOptions(), pack)
    return atlas


def texels(uv: Float[Tensor, "f 3 2"], size: int) -> Fragments:
    """The face, and the place in it, at the centre of each texel of a (size, size) texture, as one view of it."""
    flat = torch.stack([uv[..., 0] - 0.5, 0.5 - uv[..., 1], torch.zeros_like(uv[..., 0])], dim=-1)
    whole = orbit([0.0], 0.0, 1.0, math.degrees(2 * math.atan(0.5)))  # sees the unit square and no more
    faces = torch.arange(3 * len(uv), device=uv.device).reshape(-1, 3)
    return rasterize(flat.reshape(-1, 3), faces, whole.to(uv.device), (size, size))


def spread(
    values: Float[Tensor, "h w c"], known: Bool[Tensor, "h w"], reach: int | None = None
) -> Float[Tensor, "h w c"]:
    """Texels that are not known get the value of the nearest known one, up to `reach` texels away; others stay."""
    from scipy.ndimage import distance_transform_edt

    if not bool(known.any()):
        return values
    away, (row, column) = distance_transform_edt(~known.cpu().numpy(), return_indices=True)
    near = values[torch.from_numpy(row).long(), torch.from_numpy(column).long()]
    filled = torch.from_numpy(away) <= (math.inf if reach is None else reach)
    return torch.where(filled[..., None].to(values.device), near, values)
