"""Splats as PLY, in the layout of the 3D Gaussian splatting release (Kerbl et al. 2023, arXiv 2308.04079).

Columns: x y z, nx ny nz (zero), f_dc_0..2, f_rest_* (channel-major: all of red, then green, then blue),
opacity as logit, scale_0..2 as natural logarithm, rot_0..3 as w x y z. Viewers and gsplat read it so. The layout
does not say which way is up; sds3d keeps its own +Y.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..core.assets import Splats
from ..core.errors import AssetError
from .check import as_numpy, as_tensor
from .ply_format import Table, build_ply
from .provenance import NOTHING, Provenance, comments

OPACITY_MARGIN = 2.0**-24
"""Opacities nearer than this to 0 or 1 are stored at this distance: their logit would be infinite."""


def encode_splats(splats: Splats, provenance: Provenance = NOTHING) -> bytes:
    """A binary PLY file; means exact, scales and opacities to float32 rounding of their log and logit."""
    rest = splats.sh.shape[1] - 1
    opacity = splats.opacities.double().clamp(OPACITY_MARGIN, 1 - OPACITY_MARGIN)
    parts = {
        ("x", "y", "z"): splats.means,
        ("nx", "ny", "nz"): torch.zeros_like(splats.means),
        tuple(f"f_dc_{i}" for i in range(3)): splats.sh[:, 0],
        tuple(f"f_rest_{i}" for i in range(3 * rest)): splats.sh[:, 1:].transpose(1, 2).flatten(1),
        ("opacity",): torch.logit(opacity)[:, None],
        tuple(f"scale_{i}" for i in range(3)): splats.scales.double().log(),
        tuple(f"rot_{i}" for i in range(4)): splats.rotations,
    }
    rows = np.empty(len(splats.means), dtype=[(name, "<f4") for names in parts for name in names])
    for names, values in parts.items():
        for name, column in zip(names, as_numpy(values).T, strict=True):
            rows[name] = column
    return build_ply([("vertex", rows)], tuple(comments(provenance)))


def is_splats(table: Table) -> bool:
    """Whether a vertex table has the columns that only splats have."""
    return {"f_dc_0", "opacity", "scale_0", "rot_0"} <= set(table.columns)


def splats_from_table(table: Table, path: Path) -> Splats:
    """Splats of a vertex table; quaternions are normalised.

    Raises:
        AssetError: a column is missing, or the number of f_rest columns fits no degree from 0 to 3.
    """
    rest = sum(name.startswith("f_rest_") for name in table.columns)
    if rest not in (0, 9, 24, 45):
        raise AssetError(
            f"{path}: has {rest} f_rest columns; spherical harmonics of degree 0, 1, 2, 3 have 0, 9, 24, 45."
        )

    def columns(prefix: str, count: int) -> np.ndarray:
        names = list(prefix) if prefix == "xyz" else [f"{prefix}_{i}" for i in range(count)]
        missing = [name for name in names if name not in table.columns]
        if missing:
            raise AssetError(f"{path}: looks like splats but has no column '{missing[0]}'.")
        values = [table.columns[name].astype(np.float64) for name in names]
        return np.stack(values, axis=1) if values else np.zeros((table.count, 0))

    higher = columns("f_rest", rest).reshape(table.count, 3, rest // 3).transpose(0, 2, 1)
    sh = np.concatenate([columns("f_dc", 3)[:, None], higher], axis=1)
    quaternion = columns("rot", 4)
    length = np.linalg.norm(quaternion, axis=1, keepdims=True)
    unit = np.divide(quaternion, length, out=np.zeros_like(quaternion), where=length > 0)
    return Splats(
        means=as_tensor(columns("xyz", 3)),
        scales=as_tensor(np.exp(columns("scale", 3))),
        rotations=as_tensor(unit),
        opacities=torch.sigmoid(
            as_tensor(table.columns["opacity"].astype(np.float64), torch.float64)
        ).float(),
        sh=as_tensor(sh),
        name=path.stem.removesuffix(".3dgs"),
    )
