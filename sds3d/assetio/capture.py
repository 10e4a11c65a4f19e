"""Captures: photographs of a scene with the cameras that took them, as COLMAP and nerfstudio leave them on a disk.

Everything stays in the capture's own space and units. Nothing of a capture is ever written.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..core.assets import PointCloud
from ..core.errors import AssetError
from ..core.lenses import Lens
from .cameras import MAX_VIEWS
from .cameras_nerfstudio import FILE
from .files import shown

MODELS = ("sparse/0", "sparse", "colmap/sparse/0", "0", ".")
"""Where in a folder the files of a COLMAP model are looked for."""

MAX_SIDE = 1 << 16
"""Pixels: larger pictures than any camera takes."""


@dataclass(frozen=True)
class Photo:
    """A photograph.

    Args:
        name: as the capture calls it. file: the picture. c2w: (4, 4) float64, OpenGL axes, the capture's space.
        lens: of the picture's nominal size; the file may hold it smaller. mask: a picture that is white where the
            photograph counts, None where all of it does.
    """

    name: str
    file: Path
    c2w: Float[Tensor, "4 4"]
    lens: Lens
    mask: Path | None = None


@dataclass(frozen=True)
class Capture:
    """Photographs of a scene.

    Args:
        path: the file or folder of cameras. kind: "nerfstudio" or "colmap". photos: sorted by name, at least one.
        points: a sparse cloud of the scene, None where the capture has none.
        camera_files: what the cameras were read from.
    """

    path: Path
    kind: str
    photos: tuple[Photo, ...]
    points: PointCloud | None
    camera_files: tuple[Path, ...]

    def c2w(self) -> Float[Tensor, "b 4 4"]:
        """(B, 4, 4) float64 of all photographs."""
        return torch.stack([photo.c2w for photo in self.photos])

    def fingerprint(self) -> str:
        """64 hex digits over the bytes of the camera files and the names and sizes of the pictures.

        Raises:
            AssetError: a picture is missing.
        """
        digest = hashlib.sha256()
        for cameras in self.camera_files:
            digest.update(cameras.read_bytes())
        for photo in self.photos:
            for file in (photo.file, photo.mask):
                if file is not None:
                    digest.update(f"{photo.name} {present(file, self.path).stat().st_size}\n".encode())
        return digest.hexdigest()


def place_of(path: str | Path) -> Path | None:
    """The file or folder of cameras that a path means: a transforms.json, or a COLMAP model; None where it has none.

    A folder is looked into: transforms.json first, then COLMAP's places.
    """
    path = Path(path)
    if path.is_file():
        return path if path.suffix.lower() == ".json" and path.name.startswith("transforms") else None
    if (path / FILE).is_file():
        return path / FILE
    for place in MODELS:
        folder = path / place
        if any((folder / f"images.{ending}").is_file() for ending in ("bin", "txt")):
            return folder
    return None


def read_capture(path: str | Path, images: str | Path | None = None) -> Capture:
    """The photographs of a capture, with their cameras; the pictures themselves are not opened.

    Args:
        path: a transforms.json, a COLMAP model, or a folder that holds one. images: the folder of a COLMAP capture's
            pictures, by default images/ beside the model or above it.

    Raises:
        AssetError: there is no capture, or it is malformed, names files outside its folder or that are missing, or
            has a pose or a lens that is none; the text names the file and the entry.
    """
    from .capture_colmap import read_colmap_capture
    from .capture_nerfstudio import read_nerfstudio_capture

    place = place_of(path)
    if place is None:
        raise AssetError(
            f"{path}: holds no capture: there is neither a {FILE} nor a COLMAP model (sparse/0 with cameras and "
            "images, .bin or .txt). Give the folder of the photographs, or the file of their cameras."
        )
    capture = (
        read_nerfstudio_capture(place) if place.is_file() else read_colmap_capture(place, Path(path), images)
    )
    for photo in capture.photos:
        present(photo.file, place)
        if photo.mask is not None:
            present(photo.mask, place)
    return capture


def read_again(path: str | Path, images: str | Path | None) -> Capture:
    """The capture that a run was made from, by the place that the run's config notes.

    Raises:
        AssetError: it is not there any more (the text says how the run goes on), or see `read_capture`.
    """
    if not Path(path).exists():
        keys = "capture.file" if images is None else "capture.file and capture.images"
        raise AssetError(
            f"{path}: the capture that this run was made from is not there. Put it back, or write into the run's "
            f"config.yaml, as {keys}, where it lies now; the run goes on."
        )
    return read_capture(path, images)


def present(file: Path, owner: Path) -> Path:
    """The file, which has to be there.

    Raises:
        AssetError: it is not.
    """
    if not file.is_file():
        raise AssetError(
            f"{owner}: names the picture {shown(file, 300)}, which does not exist. Copy it there, or take it out of "
            "the file."
        )
    return file


def check_photos(photos: list[Photo], path: Path) -> tuple[Photo, ...]:
    """The photographs by name, checked.

    Raises:
        AssetError: there are none or too many, two of one name, or a pose or a lens is none.
    """
    if not photos or len(photos) > MAX_VIEWS:
        raise AssetError(f"{path}: names {len(photos)} pictures; a capture has 1 to {MAX_VIEWS}.")
    for photo in photos:
        _check(photo, path)
    found = sorted(photos, key=lambda photo: photo.name)
    for one, other in pairwise(found):
        if one.name == other.name:
            raise AssetError(f"{path}: names the picture {shown(one.name)} twice.")
    return tuple(found)


def _check(photo: Photo, path: Path) -> None:
    name, pose, lens = shown(photo.name), photo.c2w, photo.lens
    if not bool(torch.isfinite(pose).all()):
        raise AssetError(f"{path}: {name}: transform_matrix holds a number that is not finite.")
    turn = pose[:3, :3]
    if not torch.allclose(turn @ turn.T, torch.eye(3, dtype=turn.dtype), atol=1e-3) or turn.det() < 0:
        raise AssetError(f"{path}: {name}: transform_matrix is no rotation and position.")
    if not np.isfinite(lens.numbers).all() or min(lens.fx, lens.fy) <= 0:
        raise AssetError(f"{path}: {name}: its focal length or lens is none: {lens.numbers}.")
    if not (1 <= lens.width <= MAX_SIDE and 1 <= lens.height <= MAX_SIDE):
        raise AssetError(f"{path}: {name}: a picture of {lens.width} x {lens.height} pixels is none.")
