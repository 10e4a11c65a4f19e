"""Facts about a mesh's texture coordinates: how evenly they spread the texture, and whether parts share texels."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import torch

from ..core.assets import Mesh
from ..core.cameras import orbit
from ..representations.raster.triangles import rasterize

SAMPLES = 1024
"""Points along each side of the unit square at which coverage is looked at."""


@dataclass(frozen=True)
class UvQuality:
    """What `uv_quality` found.

    Args:
        used: share of the unit square that some face covers, in [0, 1].
        overlap: share of the faces' area in the unit square that lies on top of other faces, in [0, 1]; what is painted
            there shows in several places.
        outside: share of the faces that reach out of the unit square (a repeated texture).
        flat: share of the faces without area in the texture; they show one colour each.
        texels_per_unit: median over the surface of texels along a world unit; 0 without a texture.
        spread: ratio of the 95 % to the 5 % quantile of that, 1 for an even texture; 0 where nothing has area.
    """

    used: float
    overlap: float
    outside: float
    flat: float
    texels_per_unit: float
    spread: float

    def as_dict(self) -> dict[str, float]:
        """Plain types, for JSON."""
        return asdict(self)


def uv_quality(mesh: Mesh) -> UvQuality | None:
    """Checks of a mesh's texture coordinates; None where it has none or no faces.

    Coverage is sampled at SAMPLES² points, so shares are good to about 1 / SAMPLES.
    """
    if mesh.uv is None or not len(mesh.faces):
        return None
    faces = mesh.faces.cpu().numpy()
    uv = mesh.uv.cpu().double().numpy()[faces]
    corner = mesh.vertices.cpu().double().numpy()[faces]
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    flat_area = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
    inside = ((uv >= -1e-6) & (uv <= 1 + 1e-6)).all((1, 2))
    used = _covered(uv[inside])
    total = float(flat_area[inside].sum())
    solid = (flat_area > 1e-12) & (area > 0)
    density = np.sqrt(flat_area[solid] / area[solid])
    low, middle, high = _quantiles(density, area[solid])
    side = 0.0 if mesh.texture is None else math.sqrt(mesh.texture.shape[1] * mesh.texture.shape[2])
    return UvQuality(
        used=used,
        overlap=max(0.0, 1 - used / total) if total > 4 / SAMPLES**2 else 0.0,
        outside=float(1 - inside.mean()),
        flat=float((flat_area <= 1e-12).mean()),
        texels_per_unit=middle * side,
        spread=high / low if low > 0 else 0.0,
    )


def _covered(uv: np.ndarray) -> float:
    """Share of the unit square under (F, 3, 2) triangles."""
    if not len(uv):
        return 0.0
    flat = np.concatenate([uv[..., :1] - 0.5, 0.5 - uv[..., 1:], np.zeros_like(uv[..., :1])], axis=2)
    vertices = torch.from_numpy(flat.reshape(-1, 3).astype(np.float32))
    whole = orbit([0.0], 0.0, 1.0, math.degrees(2 * math.atan(0.5)))  # sees the unit square and no more
    seen = rasterize(vertices, torch.arange(len(vertices)).reshape(-1, 3), whole, (SAMPLES, SAMPLES))
    return float((seen.face >= 0).double().mean())


def _quantiles(values: np.ndarray, weights: np.ndarray) -> tuple[float, float, float]:
    """The 5, 50 and 95 % quantiles by weight; zeros of nothing."""
    if not len(values):
        return 0.0, 0.0, 0.0
    order = np.argsort(values)
    share = np.cumsum(weights[order])
    places = np.searchsorted(share, np.array([0.05, 0.5, 0.95]) * share[-1])
    low, middle, high = values[order][places.clip(0, len(values) - 1)]
    return float(low), float(middle), float(high)
