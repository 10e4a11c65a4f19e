"""Camera files of a set of pictures: what the readers and writers of nerfstudio and COLMAP share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..core.cameras import Cameras
from ..core.errors import AssetError
from .check import as_tensor

MAX_VIEWS = 100_000


@dataclass(frozen=True)
class Shots:
    """Pictures and where they were taken from.

    Args:
        cameras: B pinhole cameras with the principal point in the middle. size: (height, width) in pixels.
        names: B file names, relative to the file that holds the cameras.
    """

    cameras: Cameras
    size: tuple[int, int]
    names: tuple[str, ...]

    def check(self, path: Path) -> None:
        """Raise AssetError unless there is one plain name a camera and the numbers can be used."""
        if len(self.names) != len(self.cameras) or not len(self.cameras) or min(self.size) < 1:
            raise AssetError(
                f"{path}: {len(self.cameras)} cameras, {len(self.names)} names, size {self.size}: nothing to write."
            )
        if any(not name or set(name) & set("\n\r\0 ") for name in self.names):
            raise AssetError(f"{path}: names of pictures have neither spaces nor line breaks in these files.")
        if not bool(torch.isfinite(self.cameras.c2w).all()):
            raise AssetError(f"{path}: a camera's matrix is not finite.")


def shots_of(
    c2w: np.ndarray, focal_y: np.ndarray, size: tuple[int, int], names: Sequence[str], path: Path
) -> Shots:
    """The cameras of a file.

    Args:
        c2w: (B, 4, 4) OpenGL axes. focal_y: (B,) pixels. size: (height, width).

    Raises:
        AssetError: no cameras, numbers that are not finite, a rotation that is none, or a size that is none.
    """
    rotation = c2w[:, :3, :3]
    good = np.isfinite(c2w).all() and np.isfinite(focal_y).all() and min(size) > 0 and len(c2w)
    if not good or (focal_y <= 0).any():
        raise AssetError(f"{path}: holds no cameras, or numbers that no camera has.")
    if not np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-3):
        raise AssetError(f"{path}: a camera's matrix is no rotation and position.")
    position = c2w[:, :3, 3]
    distance = np.linalg.norm(position, axis=1)
    safe = np.where(distance > 0, distance, 1.0)
    cameras = Cameras(
        c2w=as_tensor(c2w),
        fov_y_deg=as_tensor(np.degrees(2 * np.arctan(0.5 * size[0] / focal_y))),
        azimuth_deg=as_tensor(np.degrees(np.arctan2(position[:, 0], position[:, 2]))),
        elevation_deg=as_tensor(np.degrees(np.arcsin((position[:, 1] / safe).clip(-1, 1)))),
        distance=as_tensor(distance),
        group=torch.zeros(len(c2w), dtype=torch.int64),
        ids=torch.arange(len(c2w)),
    )
    return Shots(cameras, size, tuple(names))
