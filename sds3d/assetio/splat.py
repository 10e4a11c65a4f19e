"""The .splat format of antimatter15's viewer: 32 bytes a Gaussian, no header, no view-dependent colour.

float x y z, float scale x y z (standard deviations), uchar red green blue opacity, uchar rotation w x y z as
128 q + 128. Largest first, as viewers show what has arrived.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..core.assets import Splats
from ..core.errors import AssetError
from .check import as_numpy, as_tensor
from .color import to_bytes

SH_C0 = 0.28209479177387814
"""The constant spherical harmonic, 1 / (2 √π): a colour is 0.5 + SH_C0 times the first coefficient."""

ROW = np.dtype(
    [("mean", "<f4", (3,)), ("scale", "<f4", (3,)), ("rgba", "u1", (4,)), ("rotation", "u1", (4,))]
)
"""A Gaussian in the file."""


def encode_splat(splats: Splats) -> bytes:
    """A .splat file: means and scales exact, colours and opacity to 1/255, rotations to 1/128, of degree 0."""
    size = splats.scales.double().prod(1) * splats.opacities.double()
    order = torch.argsort(size, descending=True, stable=True)
    rows = np.empty(len(splats.means), dtype=ROW)
    rows["mean"] = as_numpy(splats.means[order])
    rows["scale"] = as_numpy(splats.scales[order])
    rows["rgba"][:, :3] = to_bytes(0.5 + SH_C0 * as_numpy(splats.sh[order, 0]))
    rows["rgba"][:, 3] = to_bytes(as_numpy(splats.opacities[order]))
    unit = torch.nn.functional.normalize(splats.rotations[order].double(), dim=1)
    rows["rotation"] = np.rint(as_numpy(unit, np.float64) * 128 + 128).clip(0, 255)
    return rows.tobytes()


def decode_splat(data: bytes, path: Path) -> Splats:
    """The splats of a .splat file, of degree 0.

    Raises:
        AssetError: the length is no multiple of 32, or nothing is there.
    """
    if not data or len(data) % ROW.itemsize:
        raise AssetError(
            f"{path}: is cut off or no .splat file: it has {len(data)} bytes, where each splat takes {ROW.itemsize}."
        )
    rows = np.frombuffer(data, ROW)
    rotation = rows["rotation"].astype(np.float64) / 128 - 1
    rotation[(rotation == 0).all(1), 0] = 1.0  # as viewers do with no rotation at all
    rotation /= np.linalg.norm(rotation, axis=1, keepdims=True)
    colors = rows["rgba"][:, :3].astype(np.float64) / 255
    return Splats(
        means=as_tensor(rows["mean"]),
        scales=as_tensor(rows["scale"]),
        rotations=as_tensor(rotation),
        opacities=as_tensor(rows["rgba"][:, 3].astype(np.float32) / np.float32(255)),
        sh=as_tensor((colors - 0.5) / SH_C0)[:, None],
        name=path.stem,
    )
