"""Texture look-ups at vertices."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ..core.assets import Mesh
from .check import as_numpy, as_tensor
from .color import linear_to_srgb, srgb_to_linear

WRAPS = ("repeat", "clamp", "mirror")


def vertex_colors(mesh: Mesh) -> Float[Tensor, "v 3"] | None:
    """(V, 3) sRGB colours: the mesh's own, else its texture at each vertex, else None."""
    if mesh.colors is not None or mesh.texture is None or mesh.uv is None:
        return mesh.colors
    return as_tensor(sample_texture(as_numpy(mesh.texture).transpose(1, 2, 0), as_numpy(mesh.uv)))


def sample_texture(
    texture: Float[np.ndarray, "h w 3"],
    uv: Float[np.ndarray, "v 2"],
    wrap: tuple[str, str] = ("repeat", "repeat"),
) -> Float[np.ndarray, "v 3"]:
    """Bilinear colours in linear light, as a renderer filters them.

    Args:
        texture: sRGB in [0, 1]. uv: glTF convention, (0, 0) is the top left corner of the first texel.
        wrap: how u and v outside [0, 1] fold back, of WRAPS.

    Returns:
        (V, 3) sRGB in [0, 1].
    """
    height, width = texture.shape[:2]
    x = _fold(uv[:, 0].astype(np.float64), wrap[0]) * width - 0.5
    y = _fold(uv[:, 1].astype(np.float64), wrap[1]) * height - 0.5
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]

    def at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        # A vertex on the border takes its own side's colour, not a blend with the opposite edge.
        texel = texture[row.clip(0, height - 1), column.clip(0, width - 1)]
        return srgb_to_linear(texel.astype(np.float64))

    top = at(y0, x0) * (1 - fx) + at(y0, x0 + 1) * fx
    bottom = at(y0 + 1, x0) * (1 - fx) + at(y0 + 1, x0 + 1) * fx
    return linear_to_srgb(top * (1 - fy) + bottom * fy).astype(np.float32)


def _fold(value: np.ndarray, wrap: str) -> np.ndarray:
    """Coordinates brought into [0, 1]; those already there stay, so that 1 does not become 0."""
    inside = (value >= 0) & (value <= 1)
    if wrap == "repeat":
        return np.where(inside, value, value - np.floor(value))
    if wrap == "mirror":
        return np.where(inside, value, 1 - np.abs(value % 2.0 - 1))
    return value.clip(0.0, 1.0)
